"""The event log on SQLite, from outside: what it drops."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from twisted.logger import capturedLogs

from loki_twisted.log.interface import Batch, Bounds, Ends
from loki_twisted.log.retention import Retention
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.filters import EVERYTHING
from tests.log_support import (
    MS,
    ThreadedClock,
    connect,
    fact,
    facts,
    read_all,
    session,
)
from tests.store_desk import Desk, new_desk


def retaining(path: Path, **limits: int) -> Desk:
    """A log that does not keep all, and whose clock goes with that of the reactor."""
    clock = ThreadedClock()
    log = SQLiteEventLog(
        clock,
        str(path),
        now_ms=lambda: MS + int(clock.seconds() * 1000),
        retention=Retention(**limits),
    )
    return Desk(clock, path, log)


def test_what_is_dropped_is_no_longer_there(tmp_path: Path) -> None:
    """The bounds follow what is dropped; ids of what is gone are not known, but for the last."""
    desk = retaining(tmp_path / "log.db", events=10, running_events=2)
    desk.start()
    running = Batch(session_id="quiet", at_ms=MS, facts=facts(2), session=session("quiet"))
    desk.clock.result(desk.log.append(running))
    for number in range(30):
        desk.append(fact(), session_id=f"s{number}")

    assert desk.log.bounds == Bounds(1, 32, complete_from=25, kept=2)
    assert len(desk.log.bounds) == 10
    numbers = [int(frame.split(b"_")[1]) for frame in read_all(desk.clock, desk.log)]
    assert numbers == [1, 2, *range(25, 33)]
    known = [n for n in range(34) if desk.clock.result(desk.log.time_of(n)) is not None]
    assert known == [1, 2, *range(24, 33)]
    assert desk.clock.result(desk.log.ends()) == Ends(f"evt_1_{MS}", f"evt_32_{MS}")
    assert desk.clock.result(desk.log.behind_last(33, EVERYTHING, 9)) == 1
    page = desk.clock.result(desk.log.read(2, EVERYTHING, 10**6))
    assert (page.reached, page.complete_from) == (32, 25)
    desk.stop()

    again = new_desk(tmp_path / "log.db")
    again.start()
    assert again.log.bounds == Bounds(1, 32, complete_from=25, kept=2)
    again.stop()


def test_what_is_too_old_goes_by_itself(tmp_path: Path) -> None:
    """Without a commit, as time passes."""
    desk = retaining(tmp_path / "log.db", age_ms=1_000_000)
    desk.start()
    for _ in range(3):
        desk.append(fact())
    assert desk.log.bounds.oldest == 1

    desk.clock.pump([10.0] * 101)
    while desk.log.bounds.oldest == 1:
        desk.clock.turn()

    assert desk.log.bounds == Bounds(3, 3)
    desk.stop()


def test_what_cannot_be_dropped_is_told(tmp_path: Path) -> None:
    """That the log keeps everything is in the operator's log, and in the notices."""
    desk = new_desk(tmp_path / "log.db")
    desk.start()
    for number in range(9):
        desk.append(fact(), session_id=f"s{number}")
    desk.stop()
    with closing(connect(desk.path)) as connection:
        connection.execute("UPDATE blocks SET session_id = CAST(x'ff' AS TEXT) WHERE first_seq = 2")

    desk = retaining(tmp_path / "log.db", events=5)
    with capturedLogs() as captured:
        desk.start()
        desk.append(fact())
        desk.append(fact())

    assert desk.log.failure is None
    assert len(desk.log.notices) == 1
    assert "keeps everything until the server is started again" in desk.log.notices[0]
    critical = [e["notice"] for e in captured if e["log_level"].name == "critical"]
    assert critical == desk.log.notices
    assert desk.log.bounds.newest == 11
    desk.stop()
