"""Options of retention from outside: what a server keeps, and what clients are told of it."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.figures import tell
from tests.history import Told, history
from tests.system import Server, StreamEvent
from tests.test_system_sessions import install_runner, until

AT_ONCE_BYTES = 4 * 1024 * 1024
"""So much is written to the log in one transaction, at most."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A LOKI_DIR whose agent prints as many lines as the project's file ``count`` says."""
    install_runner(
        tmp_path,
        'COUNT=$(cat count); for n in $(seq 1 "$COUNT"); do echo "line $n"; done; '
        "[ -e stay ] && read -r line; exit 0",
    )
    return tmp_path


def project(home: Path, name: str, count: int, *, stays: bool = False) -> str:
    """A project directory for one agent; one that stays ends when it is told something."""
    (home / name).mkdir()
    (home / name / "count").write_text(str(count))
    if stays:
        (home / name / "stay").touch()
    return name


def history_size(server: Server) -> int:
    return int(server.get("/api/events/stats")["historySize"])


def all_at_rest(server: Server) -> list[Told]:
    """All events of the history, when nothing has gone in the meantime."""
    events: list[Told] = []

    def nothing_has_gone() -> bool:
        before = server.get("/api/events/stats")
        with contextlib.suppress(AssertionError):  # the place in the history may have gone
            events[:] = history(server)
            return bool(server.get("/api/events/stats") == {**before, "eventsPerSecond": ANY})
        return False

    until(nothing_has_gone)
    return events


@pytest.mark.promise("R6", "R28")
def test_by_events(home: Path) -> None:
    """Old events go; a session that runs keeps its last 1,000; streams say what is missing."""
    with Server(home, "--retain-events", "3000") as server:
        quiet = server.start(projectDir=project(home, "quiet", 1500, stays=True))
        until(lambda: history_size(server) == 1501)
        [first] = server.get("/api/events/history?limit=1&after=earliest")["events"]
        for number in range(4):
            server.until_end(server.start(projectDir=project(home, f"loud{number}", 2000)))
        until(lambda: history_size(server) <= 3000)

        events = all_at_rest(server)
        kept = list(history(server, f"sessionId={quiet}"))
        stats = server.get("/api/events/stats")
        assert (
            len(events)
            == stats["historySize"]
            == server.get("/api/status")["events"]["historySize"]
        )
        assert 2000 <= len(events) <= 3000
        assert [event.data["message"] for event in kept[-1000:]] == [
            f"line {n}" for n in range(501, 1501)
        ]
        assert (events[0].id, events[-1].id) == (
            stats["oldestEventId"],
            stats["newestEventId"],
        )
        answer = server.request("GET", f"/api/events/history?after={first['id']}")
        assert (answer.status, answer.json["code"]) == (410, "EVENT_ID_EXPIRED")
        assert answer.json["details"]["oldest"] == stats["oldestEventId"]

        resumed = take(server.stream(**{"Last-Event-ID": first["id"]}), len(events) + 1)
        assert (resumed[0].type, resumed[0].id) == ("stream:reset", None)
        assert resumed[0].event["reason"] == "expired"
        assert resumed[0].event["oldest"] == stats["oldestEventId"]
        assert [event.id for event in resumed[1:]] == [event.id for event in events]

        server.post(f"/api/sessions/{quiet}/input", {"input": "enough"})
        until(lambda: server.get(f"/api/sessions/{quiet}")["session"]["status"] == "completed")
        of_quiet = f"/api/events/history?sessionId={quiet}&types=log:*"
        until(lambda: not server.get(of_quiet)["events"])
        assert server.get("/health/ready") == {"ready": True}


@pytest.mark.promise("R28")
def test_by_age_and_size_of_what_there_is(home: Path) -> None:
    """A server that is started with stricter limits shortens the log of the one before."""
    with Server(home) as server:
        for number in range(3):
            server.until_end(server.start(projectDir=project(home, f"loud{number}", 3000)))
        assert history_size(server) == 3 * 3002
        server.stop()
    database = home / ".loki" / "server" / "log.db"
    assert database.stat().st_size > 2_000_000

    with Server(home, "--retain-mb", "1") as server:
        until(lambda: database.stat().st_size <= 1_200_000)
        assert 1000 < history_size(server) < 9000
        *_, newest = history(server)
        server.stop()

    with Server(home, "--retain-days", "0.00001") as server:
        until(lambda: history_size(server) < 1000)  # less than a block has
        assert list(history(server))[-1] == newest
        server.until_end(server.start(projectDir=project(home, "last", 1)))
        until(lambda: history_size(server) < 4)
        server.stop()


class Loud:
    """What was seen of a server while four agents printed at once."""

    def __init__(self, server: Server, home: Path, lines: int, prefix: str = "loud") -> None:
        self.databases: list[int] = []
        self.written_ahead: list[int] = []
        self._waits: list[float] = []
        data = home / ".loki" / "server"
        for number in range(4):
            server.start(projectDir=project(home, f"{prefix}{number}", lines))
        while server.get("/api/status")["sessions"]["running"]:
            began = time.monotonic()
            assert server.request("GET", "/health/live").status == 200
            self._waits.append(time.monotonic() - began)
            self.databases.append(size_of(data / "log.db"))
            self.written_ahead.append(size_of(data / "log.db-wal"))
        self.newest = int(server.get("/api/events/stats")["newestEventId"].split("_")[1])

    @property
    def waits(self) -> str:
        """How long others waited."""
        waits = [1000 * each for each in sorted(self._waits)]
        return f"p50 {waits[len(waits) // 2]:.1f} ms, p99 {waits[len(waits) * 99 // 100]:.1f} ms"


@pytest.mark.promise("R28")
@pytest.mark.timeout(900)
def test_r28_the_files_keep_to_their_size(
    home: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """While more is said than may be kept, the log never has more than a fifth too much."""
    megabytes, lines = (32, 80_000) if is_full else (3, 8_000)
    usual = ""
    if is_full:
        with Server(home) as server:
            usual = Loud(server, home, lines, "first").waits
            server.stop()
        (home / ".loki" / "server" / "log.db").unlink()
    with Server(home, "--retain-mb", str(megabytes)) as server:
        loud = Loud(server, home, lines)
        assert loud.newest >= 4 * lines
        assert history_size(server) < loud.newest / 2
        server.stop()
    if is_full:
        tell(
            capsys,
            f"{loud.newest} events, at most {max(loud.databases) / 1_000_000:.1f} MB of "
            f"{megabytes}; /health/live {loud.waits}, and without a limit {usual}",
        )
    assert max(loud.databases) <= 1.2 * megabytes * 1_000_000
    assert max(loud.written_ahead) <= 2 * AT_ONCE_BYTES


def size_of(path: Path) -> int:
    """How long a file is; it comes and goes."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def take(events: Iterator[StreamEvent], count: int) -> list[StreamEvent]:
    return list(itertools.islice((e for e in events if e.type != "heartbeat"), count))
