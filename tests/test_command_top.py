"""All sessions at a glance, and when it is time for another one."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from loki_twisted.command.alarm import Alarm
from loki_twisted.command.colours import Palette
from loki_twisted.command.overview import Overview, overview
from loki_twisted.command.tables import as_text
from loki_twisted.model.wire import EventStats, Status
from tests.test_client_api import STATS, STATUS
from tests.test_command_listing import NOW_MS, SESSIONS

SERVER = msgspec.convert({**STATUS, "problems": ["polling\x1b[2J"]}, Status)
WELL = msgspec.convert(STATUS, Status)


def taken(count: int = 2, server: Status = WELL, asked: int = 0) -> Overview:
    return Overview(
        at_ms=NOW_MS,
        sessions=SESSIONS[:1] * count,
        total=count,
        server=server,
        stream=msgspec.convert(STATS, EventStats),
        open_inputs=asked,
    )


def shown(view: Overview, room: int = 80, lines: int = 24, **more: bool) -> list[str]:
    laid_out = overview(view, "http://a", NOW_MS + 5000, room, lines, **more)
    return as_text(laid_out, Palette(), room).split("\n")


def test_at_a_glance() -> None:
    """It says how the server is, how much happens there, and lists the sessions."""
    assert shown(taken(1)) == [
        "healthy  http://a  loki 1",
        "0 running  nothing asked  0.5 events/s  1 listen  up 0s  load 0.1",
        "",
        "SESSION   STATUS   PROVIDER  PHASE    TASKS  COST  AGE",
        "4fe1a2b3  running  demo      testing  3/7       -  1m",
    ]
    assert shown(taken(0))[-1] == "No session runs; start one: lokictl start"


def test_what_is_wrong_comes_first() -> None:
    """Problems of the server, and that it does not answer, stand where one looks first."""
    assert shown(taken(server=SERVER, asked=2))[0] == "degraded: polling [2J  http://a  loki 1"
    assert "2 asked" in shown(taken(asked=2))[1]
    assert shown(taken(), is_old=True)[0].startswith("CUT OFF for 5s, trying again")


def test_little_room() -> None:
    """It never has more lines or columns than the terminal, and says what it leaves out."""
    for lines in range(5, 30):
        small = shown(taken(100, server=SERVER), room=40, lines=lines)
        assert len(small) <= lines
        assert max(map(len, small)) <= 40
        assert small[-1] == f"... and {100 - (lines - 5)} more"


def test_waking_up() -> None:
    """One who waits is woken by what happens, but not at once again, and after a while else."""
    clock = Clock()
    alarm = Alarm(clock, 0.5)
    woken: list[float] = []

    def wait() -> Deferred[None]:
        return alarm.wait(10).addCallback(lambda _: woken.append(clock.seconds()))

    wait()
    clock.advance(3)
    alarm.ring()
    clock.advance(0)
    assert woken == [3]

    wait()
    alarm.ring()
    alarm.ring()
    clock.pump([0.25, 0.25])
    assert woken == [3, 3.5]

    alarm.ring()  # while nobody waits
    wait()
    clock.pump([0.25, 0.25])
    assert woken == [3, 3.5, 4.0]

    wait()
    alarm.ring(is_urgent=True)
    clock.advance(0)
    assert woken == [3, 3.5, 4.0, 4.0]

    wait()
    clock.advance(10)
    assert woken == [3, 3.5, 4.0, 4.0, 14.0]
    assert clock.getDelayedCalls() == []


def test_waiting_no_longer() -> None:
    """Who is told to end leaves nothing behind."""
    clock = Clock()
    alarm = Alarm(clock, 0.5)
    waiting = alarm.wait(10)
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    alarm.ring()

    assert clock.getDelayedCalls() == []
