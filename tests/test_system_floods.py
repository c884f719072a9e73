"""Agents that print without measure: what they cost the server, and what others notice of it."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from tests.figures import tell
from tests.system import TIMEOUT, Server
from tests.test_system_sessions import HERE, install_runner
from tests.test_system_slow_readers import forget_most, memory

MOST_GROWTH = 96 * 1024 * 1024
"""Of the server's memory, whatever comes. A queue of all that is printed would take gigabytes."""

KEPT = "20000"
"""So many events the log keeps: what a flood of lines makes of them is not the question here."""


class Prober(threading.Thread):
    """
    Asks the server whether it lives, again and again, until the end of the block.

    :ivar seconds: How long each answer took.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self._is_over = threading.Event()
        self._port = port

    def run(self) -> None:
        """Ask."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)) as there:
            while not self._is_over.wait(0.02):
                began = time.monotonic()
                there.request("GET", "/health/live")
                answer = there.getresponse()
                answer.read()
                assert answer.status == 200
                self.seconds.append(time.monotonic() - began)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self.join(TIMEOUT)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose agent is to be written."""
    install_runner(tmp_path, "exit 0")
    with Server(tmp_path, "--retain-events", KEPT) as running:
        yield running


@pytest.mark.promise("R9")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "amount", "full_amount", "seconds"),
    [
        ("endless", 50_000_000, 1_000_000_000, 0.0),
        ("binary", 5_000_000, 100_000_000, 0.0),
        ("broken", 2_000_000, 50_000_000, 0.0),
        ("empty", 100_000, 2_000_000, 0.0),
        ("lines", 50_000, 500_000, 1.0),
    ],
)
def test_a_flood_holds_up_nobody(
    server: Server,
    tmp_path: Path,
    kind: str,
    amount: int,
    full_amount: int,
    seconds: float,
    is_full: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever comes is read to its end in bounded memory, while others are answered."""
    if is_full:
        amount, seconds = full_amount, 20 * seconds
    program = HERE / "standins" / "flooding.py"
    install_runner(tmp_path, f"exec '{sys.executable}' '{program}' {kind} {amount} {seconds}")
    server.get("/health/live")
    before = memory(server.pid, "VmRSS")
    forget_most(server.pid)
    began = time.monotonic()
    with Prober(server.port) as prober:
        session_id = server.start()
        events = server.until_end(session_id, "types=session:*&lastEventId=earliest")
        took = time.monotonic() - began
    growth = memory(server.pid, "VmHWM") - before
    assert events[-1].type == "session:completed"
    last = server.get(f"/api/events/history?sessionId={session_id}&types=log:info&limit=1")
    assert last["events"][0]["data"]["message"] == "the end"
    assert growth < MOST_GROWTH
    assert prober.seconds
    if is_full:
        slowest = sorted(prober.seconds)
        figures = (
            f"{kind}: {took:.1f} s, memory grew by {growth / 2**20:.0f} MiB; {len(slowest)} asked,"
            f" p50 {slowest[len(slowest) // 2] * 1000:.1f} ms, longest {slowest[-1] * 1000:.1f} ms"
        )
        tell(capsys, figures)
        assert slowest[-1] < 0.1


@pytest.mark.promise("R9")
def test_a_flood_is_there_byte_for_byte(server: Server, tmp_path: Path) -> None:
    """What events are cut to is whole in the raw output, also for whoever follows it."""
    program = HERE / "standins" / "flooding.py"
    install_runner(tmp_path, f"exec '{sys.executable}' '{program}' binary 2560000 0")
    session_id = server.start()
    path = f"/api/sessions/{session_id}/output"
    followed = server.request("GET", f"{path}?follow=true")
    assert followed.status == 200
    assert followed.body == bytes(range(256)) * 10_000 + b"\nthe end\n"
    server.until_end(session_id)
    server.kill()
    with Server(tmp_path) as again:
        assert again.request("GET", path).body == followed.body
        part = again.request("GET", f"{path}?after=1000&limit=5000")
        assert part.body == followed.body[1000:6000]
        assert part.headers["X-Next-Offset"] == "6000"
        assert part.headers["X-Output-Size"] == str(len(followed.body))
        assert again.request("GET", f"{path}?stream=stderr").body == b""
        assert again.request("DELETE", f"/api/sessions/{session_id}").status == 200
        assert again.request("GET", path).status == 404
