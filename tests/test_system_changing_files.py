"""R20: files that change faster than anybody can look at them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.figures import tell
from tests.system import TIMEOUT, Server
from tests.test_system_sessions import until
from tests.test_system_stopped import wait_for, write

STEP_SECONDS = 0.03
MOST_FIRST_SECONDS = 0.5
MOST_LAST_SECONDS = 1.0


def task(number: int, status: str = "pending") -> dict[str, Any]:
    return {"id": f"t{number}", "title": "T", "status": status}


class Writer(threading.Thread):
    """
    Writes the tasks of a session again and again, with one more each time.

    :ivar count: How many it has written so far.
    :ivar first: When the first were to be read, by the monotonic clock.
    :ivar seen: Set when something was: before that it does not end.
    """

    def __init__(self, place: Path, least: int, pause: float) -> None:
        super().__init__(daemon=True)
        self._place, self._least, self._pause = place, least, pause
        self.count = 0
        self.first = 0.0
        self.seen = threading.Event()

    def run(self) -> None:
        """Write often enough."""
        while self.count < self._least or not self.seen.is_set():
            self.count += 1
            write(self._place, tasks=[task(each) for each in range(self.count + 1)])
            self.first = self.first or time.monotonic()
            time.sleep(self._pause)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of a session in which one task waits."""
    place = tmp_path / ".loki" / "sessions" / "busy"
    write(place, session={"status": "running"}, tasks=[task(0)])
    return place


@pytest.mark.promise("R20")
@pytest.mark.timeout(600)
def test_r20_steps_in_between_are_told(place: Path, tmp_path: Path, is_full: bool) -> None:
    """A task that goes through its states faster than it is looked at has gone through each."""
    with Server(tmp_path) as server:
        wait_for(server, {"busy": ("running", 0, {"t0": "pending"})})
        for number in range(100 if is_full else 5):
            for status in ("pending", "in_progress", "done"):
                write(
                    place,
                    tasks=[task(each, "done") for each in range(number)] + [task(number, status)],
                )
                time.sleep(STEP_SECONDS)
            told = [
                event.type
                for event in until_completed(server, f"t{number}")
                if event.data.get("taskId") == f"t{number}"
            ]
            assert told == ["task:created", "task:started", "task:completed"]


def until_completed(server: Server, task_id: str) -> list[Any]:
    """All events about tasks, up to the end of one."""
    events = []
    for event in server.stream("types=task:*&lastEventId=earliest"):
        events.append(event)
        if event.type == "task:completed" and event.data["taskId"] == task_id:
            return events
    raise AssertionError("the stream ended before")


@pytest.mark.promise("R20")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("pause", "count"), [(0.05, 100), (0.01, 1000)])
def test_r20_a_file_that_is_written_all_the_time_is_read(
    pause: float,
    count: int,
    place: Path,
    tmp_path: Path,
    is_full: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """
    What changes is told while it goes on changing, and in the end the last state is what is seen.

    With the long figures: for 5 and 10 seconds; the first change within half a second, the last
    state within one.
    """
    with Server(tmp_path) as server:
        wait_for(server, {"busy": ("running", 0, {"t0": "pending"})})
        writer = Writer(place, count if is_full else 20, pause)
        writer.start()
        stream = server.stream("types=task:created")
        assert next(stream)
        first = time.monotonic() - writer.first
        writer.seen.set()
        stream.close()
        writer.join(TIMEOUT)
        began = time.monotonic()
        until(lambda: total_of(server) == writer.count + 1)
        last = time.monotonic() - began
    if is_full:
        tell(capsys, f"every {pause} s: the first after {first:.2f} s, the last after {last:.2f} s")
        assert first <= MOST_FIRST_SECONDS
        assert last <= MOST_LAST_SECONDS


def total_of(server: Server) -> int:
    """How many tasks a client sees."""
    return int(server.get("/api/sessions/busy")["tasks"]["total"])
