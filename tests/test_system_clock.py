"""R24: the wall clock jumps, by hours and by decades, and the server's time goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.figures import tell
from tests.history import history
from tests.system import Server
from tests.test_system_sessions import install_runner

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
JUMPS = ("-3600", "+3600", "@2038-01-19 03:14:00", "@2100-01-01 00:00:00", "+0")
GRACE_SECONDS = 1.0
HEARTBEAT_SECONDS = 10.0
MOST_LATE_SECONDS = 3.0


class WallClock:
    """The wall clock of a server, which the test sets."""

    def __init__(self, home: Path) -> None:
        self._file = home / "time"
        self.set("+0")
        self.variables = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, when: str) -> None:
        """Set it, to a time or relative to the right one."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{when}\n", "ascii")
        new.replace(self._file)


@pytest.mark.promise("R24")
@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is missing")
@pytest.mark.timeout(1800)
def test_r24_the_wall_clock_may_jump(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Whatever the clock does, stubborn agents are ended, streams go on, and numbers have no gap.

    With the long figures: each jump 10 times, at random between two heartbeats, which come in time;
    agents are ended after their grace and a second at most.
    """
    install_runner(tmp_path, "trap '' TERM; echo ready; while :; do sleep 0.2; echo on; done")
    clock = WallClock(tmp_path)
    chance = random.Random(24)
    stops: list[float] = []
    beats: list[float] = []
    with Server(tmp_path, "--grace", str(GRACE_SECONDS), **clock.variables) as server:
        for jump in JUMPS * (10 if is_full else 1):
            session_id = server.start()
            stream = server.stream(f"sessionId={session_id}&lastEventId=earliest")
            assert next(event for event in stream if event.type == "log:info").data
            before = server.get("/health/live")["uptime"]
            if is_full:
                pause = chance.uniform(0.0, HEARTBEAT_SECONDS - 1.0)
                beats.append(heartbeat_over(server, session_id, partial(clock.set, jump), pause))
            else:
                clock.set(jump)
            began = time.monotonic()
            server.post(f"/api/sessions/{session_id}/stop")
            assert next(event for event in stream if event.type == "session:stopped")
            stops.append(time.monotonic() - began)
            stream.close()
            assert 0 <= server.get("/health/live")["uptime"] - before < 600_000
        numbers = [told.number for told in history(server)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert server.get("/health/ready") == {"ready": True}
        assert "Traceback" not in "".join(server.said), server.said
        assert server.stop() == 0
    assert min(stops) >= GRACE_SECONDS - 0.1
    if is_full:
        tell(
            capsys,
            f"{len(stops)} jumps: stopped after {min(stops):.2f} to {max(stops):.2f} s, heartbeats "
            f"{min(beats):.1f} to {max(beats):.1f} s apart",
        )
        assert max(stops) <= GRACE_SECONDS + 1.0
        assert max(abs(each - HEARTBEAT_SECONDS) for each in beats) <= MOST_LATE_SECONDS


def heartbeat_over(
    server: Server, session_id: str, jump: Callable[[], None], pause: float
) -> float:
    """How many seconds pass between two heartbeats of a session, between which the clock jumps."""
    stream = server.stream(f"sessionId={session_id}&types=heartbeat")
    assert next(event for event in stream if event.type == "heartbeat")
    began = time.monotonic()
    time.sleep(pause)
    jump()
    assert next(event for event in stream if event.type == "heartbeat")
    stream.close()
    return time.monotonic() - began
