"""The event log on SQLite, from outside: how it begins and ends, and where it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from twisted.logger import capturedLogs, formatEvent

from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.model.errors import StorageDamaged, StorageFailed, StorageRefused, Unavailable
from loki_twisted.model.filters import EVERYTHING
from tests.log_support import (
    MS,
    connect,
    fact,
    no_threads,
)
from tests.mutants import PAGE
from tests.store_desk import new_desk


def test_the_id_of_a_log(tmp_path: Path) -> None:
    """A log keeps its id over restarts; another log has another one."""
    ids = []
    for name in ("one.db", "one.db", "two.db"):
        desk = new_desk(tmp_path / name)
        assert desk.log.log_id == ""
        desk.start()
        ids.append(desk.log.log_id)
        desk.stop()

    assert ids[0] == ids[1] != ids[2]


def test_nothing_works_outside_its_life(tmp_path: Path) -> None:
    """Before the start and after the stop whatever is asked for fails in a sentence."""
    desk = new_desk(tmp_path / "log.db")
    log = desk.log
    asked: list[Callable] = [
        lambda: log.append(Batch(session_id="s", at_ms=MS, facts=[fact()])),
        lambda: log.behind_last(1, EVERYTHING, 1),
        lambda: log.sessions(10, 0),
        lambda: log.cursors(""),
    ]
    for ask in asked:
        with pytest.raises(Unavailable):
            desk.clock.result(ask())
    desk.start()
    desk.append(fact())
    desk.stop()
    desk.stop()
    for ask in (*asked, lambda: log.read(0, EVERYTHING, 1), lambda: log.time_of(1)):
        with pytest.raises(Unavailable):
            desk.clock.result(ask())


def test_a_stop_during_the_start(tmp_path: Path) -> None:
    """A server that is ended while it starts ends."""
    desk = new_desk(tmp_path / "log.db")
    starting = desk.log.start()

    desk.stop()

    desk.clock.result(starting)
    assert [path.name for path in tmp_path.iterdir()] == ["log.db"]
    assert desk.clock.getDelayedCalls() == []


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    """What belongs to another program is left alone, and the log does not start."""
    with closing(apsw.Connection(str(tmp_path / "log.db"))) as connection:
        connection.execute("CREATE TABLE theirs(x)")
    before = (tmp_path / "log.db").read_bytes()
    desk = new_desk(tmp_path / "log.db")

    with pytest.raises(StorageRefused, match="another program"):
        desk.start()

    desk.stop()
    assert (tmp_path / "log.db").read_bytes() == before


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    """A log that cannot be made says so as storage does."""
    desk = new_desk(tmp_path / "missing" / "log.db")

    with pytest.raises(StorageFailed, match=r"could not be opened: .*No such file"):
        desk.start()

    desk.stop()


def test_who_gives_up_an_end_leaves_no_timer(tmp_path: Path) -> None:
    """An end that waits for its disk looks at nothing any more, whether it is waited for or not."""
    desk = new_desk(tmp_path / "log.db")
    desk.start()
    waiting = desk.log.append(Batch(session_id="s", at_ms=MS, facts=[fact()]))
    assert desk.clock.getDelayedCalls() != []
    stopped = desk.log.stop()
    assert (waiting.called, stopped.called) == (False, False)
    assert desk.clock.getDelayedCalls() == []
    desk.clock.result(stopped)


def test_threads_that_read_are_there_from_the_start(tmp_path: Path) -> None:
    """Where later no thread can be started questions are answered all the same."""
    desk = new_desk(tmp_path / "log.db")
    desk.start()
    with no_threads():
        waiting = [desk.log.cursors("") for _ in range(9)]
        assert [desk.clock.result(each) for each in waiting] == [{}] * 9
    desk.stop()


@pytest.mark.parametrize("are_left", [1, 2])
def test_too_few_threads_for_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, are_left: int
) -> None:
    """One for whose readers there are no threads is not opened, which is said, and ends."""
    desk = new_desk(tmp_path / "log.db")
    before = threading.active_count()
    really, begun = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if len(begun) == are_left:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        really(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(StorageFailed, match="could not be opened: can't start new thread"):
            desk.start()
    desk.stop()
    assert threading.active_count() == before


def test_a_damaged_log_is_told_loudly(tmp_path: Path) -> None:
    """That a log was put aside is in the notices, and in the operator's log."""
    (tmp_path / "log.db").write_text("Dear diary")
    desk = new_desk(tmp_path / "log.db")

    with capturedLogs() as captured:
        desk.start()

    assert f"log.db.corrupt-{MS}; a new log was begun." in desk.log.notices[0]
    assert [e["notice"] for e in captured if e["log_level"].name == "critical"] == desk.log.notices
    assert desk.append(fact()) == Bounds(1, 1)
    desk.stop()


def test_sums_that_were_made_anew_are_told_as_a_warning(tmp_path: Path) -> None:
    """Nothing is lost where another program wrote to a log, so nobody is woken for it."""
    path = tmp_path / "log.db"
    desk = new_desk(path)
    desk.start()
    desk.append(fact())
    desk.stop()
    with closing(connect(path)) as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    data = bytearray(path.read_bytes())
    for end in range(PAGE, len(data) + 1, PAGE):
        data[end - 1] ^= 1  # each ends with its sum
    path.write_bytes(data)
    later = new_desk(path)

    with capturedLogs() as captured:
        later.start()

    assert "all of it is read and written anew" in formatEvent(captured[0])
    [notice] = later.log.notices
    assert "All of it was read, and is right." in notice
    assert [e["notice"] for e in captured if e["log_level"].name == "warn"] == [notice]
    assert [e for e in captured if e["log_level"].name in ("error", "critical")] == []
    assert later.append(fact()) == Bounds(1, 2)
    later.stop()


@pytest.mark.promise("R16")
def test_damage_that_is_met_later(tmp_path: Path) -> None:
    """A read that meets damage fails; others go on; the next start puts the log aside."""
    desk = new_desk(tmp_path / "log.db")
    desk.start()
    for number in range(9):
        desk.append(fact("x" * 500), session_id=f"s{number}")
    desk.stop()
    with closing(connect(desk.path)) as connection:
        connection.execute("UPDATE blocks SET sum = 1 WHERE first_seq = 2")

    damaged = new_desk(tmp_path / "log.db")
    damaged.start()
    damaged.log.refuse_damaged()
    with pytest.raises(StorageDamaged, match="it is damaged"):
        damaged.clock.result(damaged.log.read(0, EVERYTHING, 10**6))
    with pytest.raises(StorageDamaged, match="it is damaged"):
        damaged.log.refuse_damaged()
    assert any("it is damaged" in notice for notice in damaged.log.notices)
    assert damaged.clock.result(damaged.log.read(2, EVERYTHING, 10**6)).reached == 9
    assert damaged.append(fact()) == Bounds(1, 10)
    damaged.stop()

    fresh = new_desk(tmp_path / "log.db")
    fresh.start()
    assert fresh.log.bounds == Bounds(1, 0)
    fresh.stop()
