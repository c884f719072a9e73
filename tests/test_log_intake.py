"""What goes into the log: numbers, bounds of the queue, failures and recoveries."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from loki_twisted.log import entries
from loki_twisted.log.entries import MAX_BLOCK_EVENTS
from loki_twisted.log.faults import READ_ONLY
from loki_twisted.log.intake import Intake
from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.log.ledger import Ledger
from loki_twisted.log.limits import Limits
from loki_twisted.log.opening import Opened, open_log
from loki_twisted.log.retention import KEEP_ALL
from loki_twisted.log.rows import MAX_BLOCK_BYTES
from loki_twisted.model.blocks import Block
from loki_twisted.model.errors import StorageFailed, StorageFull, Unavailable
from loki_twisted.model.events import Fact
from tests.log_support import (
    MS,
    TIMEOUT,
    ThreadedClock,
    fact,
    facts,
    no_threads,
    opened,
    remembered,
)

LARGE = 400_000


def lines(count: int = 1, size: int = 0, session_id: str = "session_1") -> Batch:
    return Batch(session_id=session_id, at_ms=MS, facts=facts(count, size))


class Desk:
    """An open intake, a clock, and the blocks that were told."""

    def __init__(self, path: Path, **limits: float) -> None:
        self.clock = ThreadedClock()
        self.path = str(path)
        self.log: Opened | None = None
        self.intake = Intake(
            self.clock,
            self.path,
            self._open,
            limits=Limits(**limits),
            retention=KEEP_ALL,
            now_ms=lambda: MS,
        )
        self.told: list[Block] = []
        self.intake.observers.add(self.told.extend)

    def _open(self) -> Opened:
        self.log = open_log(self.path, lambda: MS)
        return self.log

    def start(self) -> None:
        self.clock.result(self.intake.start())

    def stop(self) -> None:
        self.clock.result(self.intake.drain())
        self.clock.result(self.intake.close())

    def append(self, batch: Batch) -> Bounds:
        return self.clock.result(self.intake.append(batch))

    def wait(self, seconds: int) -> None:
        """Let time pass in which somebody looks each second, as a server does."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.intake.knock()

    def fill_up(self) -> None:
        """Leave SQLite no room for anything large."""
        assert self.log is not None
        [(pages,)] = self.log.connection.execute("PRAGMA page_count").fetchall()
        self.log.connection.pragma("max_page_count", pages + 10)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "log.db", queued_bytes=2_000_000, queued_batches=5)
    desk.start()
    yield desk
    desk.stop()


@pytest.mark.promise("R4")
def test_numbers_are_in_the_order_of_the_calls(desk: Desk) -> None:
    """Whatever waits together, the order of the calls is that of the numbers, without a hole."""
    waiting = [desk.intake.append(lines(n % 3, session_id=f"s{n}")) for n in range(5)]

    bounds = [desk.clock.result(each) for each in waiting]

    assert bounds[-1] == Bounds(1, 0 + 1 + 2 + 0 + 1) == desk.intake.bounds
    assert [event.seq for event in remembered(desk.told)] == [1, 2, 3, 4]
    assert [event.session_id for event in remembered(desk.told)] == ["s1", "s2", "s2", "s4"]


def test_observers_come_first(desk: Desk) -> None:
    """When an append fires all observers were told, and the bounds are those of that moment."""
    order: list[object] = []
    desk.intake.observers.add(lambda blocks: order.append(desk.intake.bounds.newest))
    waiting = [desk.intake.append(lines(2)), desk.intake.append(lines(1))]
    for each in waiting:
        each.addCallback(order.append)

    for each in waiting:
        desk.clock.result(each)

    told_before = [place for place in order if isinstance(place, int)]
    assert order[0] == told_before[0]
    assert [place for place in order if isinstance(place, Bounds)][-1] == Bounds(1, 3)
    assert told_before[-1] == 3


def test_a_failing_observer_holds_nobody_up(desk: Desk) -> None:
    """An observer that raises is logged, and the append fires all the same."""
    desk.intake.observers.add(lambda blocks: 1 / 0)

    with capturedLogs() as captured:
        assert desk.append(lines()) == Bounds(1, 1)

    assert [type(event["log_failure"].value) for event in captured] == [ZeroDivisionError]


def test_nothing_to_tell(desk: Desk) -> None:
    """A batch without events is committed, and no observer hears of it."""
    assert desk.append(Batch(session_id="s", at_ms=MS, cursors={"a": "1"})) == Bounds(1, 0)
    assert desk.append(Batch(session_id="s", at_ms=MS)) == Bounds(1, 0)

    assert desk.told == []


def test_events_of_no_session(desk: Desk) -> None:
    """Events may concern no known session."""
    desk.append(lines(1, session_id=""))

    assert desk.told[0].session_id == ""


def test_a_large_batch_is_several_blocks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of very many events is cut, so that a reader never has to take too much."""
    with monkeypatch.context() as patch:
        patch.setattr(entries, "MAX_BLOCK_BYTES", 10**6)
        desk.append(lines(2 * MAX_BLOCK_EVENTS + 1))

    assert [len(each) for each in desk.told] == [MAX_BLOCK_EVENTS, MAX_BLOCK_EVENTS, 1]
    assert [each.first_seq for each in desk.told] == [1, 1025, 2049]


def test_large_events_are_several_blocks(desk: Desk) -> None:
    """A batch of many bytes is cut too, down to single events."""
    desk.append(lines(5, MAX_BLOCK_BYTES // 3))
    desk.append(lines(2, MAX_BLOCK_BYTES))

    assert [len(each) for each in desk.told] == [2, 2, 1, 1, 1]
    assert [event.seq for event in remembered(desk.told)] == list(range(1, 8))


def test_what_cannot_be_encoded_fails_alone(desk: Desk) -> None:
    """A batch that is wrong takes no number, and those beside it are written."""
    first = desk.intake.append(lines())
    for wrong in (Fact("log:info", {"x": object()}), Fact("no:type", {})):
        with pytest.raises((TypeError, KeyError)):
            desk.intake.append(Batch(session_id="s", at_ms=MS, facts=[fact(), wrong]))
    second = desk.intake.append(lines())

    desk.clock.result(first)
    assert desk.clock.result(second) == Bounds(1, 2)


def test_the_queue_is_bounded_by_batches(desk: Desk) -> None:
    """Beyond so many batches that wait appending fails, and works again when they are written."""
    waiting = [desk.intake.append(lines()) for _ in range(5)]

    with pytest.raises(Unavailable, match="too slow"):
        desk.intake.append(lines())

    for each in waiting:
        desk.clock.result(each)
    assert desk.append(lines()) == Bounds(1, 6)


def test_the_queue_is_bounded_by_bytes(desk: Desk) -> None:
    """Beyond so many bytes that wait appending fails, and works again when they are written."""
    waiting = [desk.intake.append(lines(1, LARGE)) for _ in range(4)]

    with pytest.raises(Unavailable, match="too slow"):
        desk.intake.append(lines(1, LARGE))

    assert desk.clock.result(waiting[-1]) == Bounds(1, 4)
    desk.append(lines(1, LARGE))


def test_giving_up_the_notice(desk: Desk) -> None:
    """An append that is cancelled is in the log all the same."""
    waiting = desk.intake.append(lines())
    failures: list[type | None] = []
    waiting.addErrback(lambda failure: failures.append(failure.type))

    waiting.cancel()

    assert desk.append(lines()) == Bounds(1, 2)
    assert failures == [CancelledError]


def test_a_full_disk(desk: Desk) -> None:
    """All that waits fails, nobody is told anything, and numbers do not move."""
    desk.append(lines())
    desk.fill_up()
    waiting = [desk.intake.append(lines(1, LARGE)), desk.intake.append(lines())]

    with capturedLogs() as captured:
        for each in waiting:
            with pytest.raises(StorageFull):
                desk.clock.result(each)

    assert desk.intake.failure == (
        "The log could not be written: there is no room left on its disk."
    )
    assert [event["log_level"].name for event in captured] == ["error"]
    assert desk.intake.bounds == Bounds(1, 1)
    assert len(remembered(desk.told)) == 1
    with pytest.raises(StorageFull):
        desk.intake.append(lines())


@pytest.mark.promise("R3", "R15")
def test_it_comes_back_by_itself(desk: Desk) -> None:
    """A second after a failure the log is tried, and when that works numbers go on."""
    desk.append(lines())
    desk.fill_up()
    with pytest.raises(StorageFull):
        desk.append(lines(1, LARGE))

    desk.clock.advance(0.9)
    assert desk.intake.failure is not None
    desk.clock.advance(0.1)
    desk.clock.turn()

    assert desk.intake.failure is None
    assert desk.append(lines(1, LARGE)) == Bounds(1, 2)
    assert [event.seq for event in remembered(desk.told)] == [1, 2]
    assert desk.clock.getDelayedCalls() == []


def test_it_is_tried_once_a_second(desk: Desk, tmp_path: Path) -> None:
    """As long as the cause lasts there is one try a second, and one line in the operator's log."""
    desk.append(lines())
    desk.fill_up()
    with pytest.raises(StorageFull):
        desk.append(lines(1, LARGE))
    aside = tmp_path / "aside"
    (tmp_path / "log.db").rename(aside)
    with capturedLogs() as captured:
        for _ in range(3):
            [probe] = desk.clock.getDelayedCalls()
            assert probe.getTime() == desk.clock.seconds() + 1
            desk.clock.advance(1)
            desk.clock.turn()
    assert len(captured) == 1
    assert "unable to open" in str(desk.intake.failure)

    aside.rename(tmp_path / "log.db")
    desk.clock.advance(1)
    desk.clock.turn()

    assert desk.intake.failure is None
    assert desk.append(lines()) == Bounds(1, 2)


def test_the_end_while_it_fails(tmp_path: Path) -> None:
    """A log that fails can be closed, and then it is not tried again."""
    desk = Desk(tmp_path / "log.db")
    desk.start()
    desk.fill_up()
    with pytest.raises(StorageFull):
        desk.append(lines(1, LARGE))

    desk.stop()

    assert desk.clock.getDelayedCalls() == []


def test_what_waits_is_written_before_the_end(tmp_path: Path) -> None:
    """Whatever was appended before the end is in the log, and whoever waits for it is told."""
    desk = Desk(tmp_path / "log.db")
    desk.start()
    bounds: list[Bounds] = []
    for _ in range(3):
        desk.intake.append(lines(10)).addCallback(bounds.append)

    drained = desk.intake.drain()
    assert not drained.called
    desk.clock.result(drained)
    assert len(bounds) == 3
    desk.stop()

    assert bounds[-1] == Bounds(1, 30)
    with opened(tmp_path / "log.db") as log:
        assert log.bounds == Bounds(1, 30)


def test_an_end_that_fails_is_told_to_who_waits(tmp_path: Path) -> None:
    """What cannot be written at the end fails, and the end comes all the same."""
    desk = Desk(tmp_path / "log.db")
    desk.start()
    desk.fill_up()
    failures: list[type | None] = []
    desk.intake.append(lines(1, LARGE)).addErrback(lambda failure: failures.append(failure.type))

    desk.stop()

    assert failures == [StorageFull]


def test_only_an_open_log_takes_anything(tmp_path: Path) -> None:
    """Before the log is open and from the end on, appending fails."""
    desk = Desk(tmp_path / "log.db")
    append = partial(desk.intake.append, lines())
    with pytest.raises(Unavailable, match="not open yet"):
        append()
    starting = desk.intake.start()
    with pytest.raises(Unavailable, match="being opened"):
        append()
    desk.clock.result(starting)
    draining = desk.intake.drain()
    with pytest.raises(Unavailable, match="shuts down"):
        append()
    desk.clock.result(draining)
    closing = desk.intake.close()
    with pytest.raises(Unavailable, match="shuts down"):
        append()
    desk.clock.result(closing)
    with pytest.raises(Unavailable, match="is closed"):
        append()


def test_ends_at_any_time(tmp_path: Path) -> None:
    """The end may come before the start, while the log is being opened, and twice."""
    never = Desk(tmp_path / "never.db")
    never.stop()
    assert list(tmp_path.iterdir()) == []

    hasty = Desk(tmp_path / "hasty.db")
    starting = hasty.intake.start()
    ends: list[Deferred[None]] = [hasty.intake.drain(), hasty.intake.drain()]
    for each in (starting, *ends):
        hasty.clock.result(each)
    for each in [hasty.intake.close(), hasty.intake.close()]:
        hasty.clock.result(each)
    hasty.stop()


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    """Why it cannot be opened is told, and nothing is left to be ended."""
    desk = Desk(tmp_path / "missing" / "log.db")

    with pytest.raises(FileNotFoundError):
        desk.start()

    desk.stop()
    with pytest.raises(Unavailable):
        desk.intake.append(lines())


def test_a_thread_that_cannot_be_started(tmp_path: Path) -> None:
    """Who starts is told, and nothing is left to be ended."""
    usual = sys.getswitchinterval()
    desk = Desk(tmp_path / "log.db")
    with no_threads(), pytest.raises(OSError, match="can't start new thread"):
        desk.start()
    desk.stop()
    assert sys.getswitchinterval() == usual
    with pytest.raises(Unavailable, match="is closed"):
        desk.intake.append(lines())


class CrampedDesk(Desk):
    """An intake whose log cannot be made, because there is no room, while that is said."""

    has_room = False
    tries = 0

    def _open(self) -> Opened:
        self.tries += 1
        if not self.has_room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super()._open()


@pytest.mark.promise("R15")
def test_an_opening_waits_for_room(tmp_path: Path) -> None:
    """It is tried again each second, says meanwhile what is missing, and succeeds at last."""
    desk = CrampedDesk(tmp_path / "log.db")
    starting = desk.intake.start()
    for tries in (1, 2):
        desk.clock.turn()
        assert desk.tries == tries
        assert "no room left" in str(desk.intake.failure)
        with pytest.raises(Unavailable, match="waits for room"):
            desk.intake.append(lines())
        if tries == 1:
            desk.clock.advance(1)
    desk.has_room = True
    desk.clock.advance(1)
    desk.clock.result(starting)
    assert desk.intake.failure is None
    assert desk.append(lines()) == Bounds(1, 1)
    desk.stop()


def test_an_opening_that_took_long_is_not_tried_at_once(tmp_path: Path) -> None:
    """It has filled the disk by what it wrote in vain; for ten times as long others have it."""
    desk = CrampedDesk(tmp_path / "log.db")
    desk.intake.start()
    answer = desk.clock.take()
    desk.clock.advance(3)
    answer()
    desk.clock.advance(29)
    assert desk.tries == 1
    desk.clock.advance(1)
    answer = desk.clock.take()
    assert desk.tries == 2
    desk.clock.advance(1000)
    answer()
    desk.clock.advance(60)
    desk.clock.take()()
    assert desk.tries == 3
    desk.intake.drain().addErrback(lambda _: None)
    desk.stop()


def test_a_thread_that_cannot_be_started_any_more(tmp_path: Path) -> None:
    """One who waited for room is told too, and does not wait for ever."""
    desk = CrampedDesk(tmp_path / "log.db")
    starting = desk.intake.start()
    desk.clock.turn()
    with no_threads():
        desk.clock.advance(1)
    with pytest.raises(OSError, match="can't start new thread"):
        desk.clock.result(starting)
    assert desk.tries == 1
    desk.stop()


@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "trying"])
def test_an_end_does_not_wait_for_room(tmp_path: Path, waits: bool) -> None:
    """Who starts is told why it was not opened, and nothing is left to be ended."""
    desk = CrampedDesk(tmp_path / "log.db")
    starting = desk.intake.start()
    if waits:
        desk.clock.turn()
    desk.intake.give_up()
    with pytest.raises((StorageFull, OSError)):
        desk.clock.result(starting)
    ended = desk.intake.drain()
    desk.clock.result(ended)
    desk.stop()
    assert not desk.clock.getDelayedCalls()


@pytest.mark.promise("R3")
def test_a_disk_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told after a while, and nothing more is taken; what waits is written at last."""
    answers = Event()
    commit = Ledger.commit

    def wait_and_commit(*arguments: Any, **options: Any) -> None:
        answers.wait(TIMEOUT)
        commit(*arguments, **options)

    monkeypatch.setattr(Ledger, "commit", wait_and_commit)
    desk = Desk(tmp_path / "log.db", patience_seconds=10)
    desk.start()
    waiting = desk.intake.append(lines())
    desk.wait(9)
    waiting_too = desk.intake.append(lines())
    assert desk.intake.failure is None
    with capturedLogs() as captured:
        desk.wait(2)
        assert len(captured) == 1  # although nobody has asked
        for _ in range(2):
            with pytest.raises(StorageFailed, match="has not answered"):
                desk.intake.append(lines())
    assert [event["log_level"].name for event in captured] == ["error"]
    assert desk.intake.failure == "The disk of the log has not answered for more than 10 s."

    answers.set()
    assert desk.clock.result(waiting).newest >= 1
    assert desk.clock.result(waiting_too).newest == 2
    assert desk.intake.failure is None
    assert desk.append(lines()) == Bounds(1, 3)
    desk.clock.advance(100)
    assert desk.intake.failure is None
    desk.stop()


def test_who_is_told_goes_on_at_once(desk: Desk) -> None:
    """Who hears that the disk has answered finds a log that takes something, in the same turn."""
    waiting = desk.intake.append(lines())
    answer = desk.clock.take()
    desk.wait(11)
    assert "has not answered" in str(desk.intake.failure)
    waiting.addCallback(lambda _: desk.intake.append(lines()))
    answer()
    assert desk.clock.result(waiting) == Bounds(1, 2)


@pytest.mark.parametrize("jump", [3600.0, -3600.0], ids=["forward", "back"])
def test_time_in_which_nobody_looked(desk: Desk, jump: float) -> None:
    """A server that was stopped, and a clock that was put right, say nothing of the disk."""
    waiting = desk.intake.append(lines())
    answer = desk.clock.take()
    desk.wait(5)
    desk.clock.rightNow += jump
    assert desk.intake.failure is None
    waiting_too = desk.intake.append(lines())
    desk.wait(2)
    assert desk.intake.failure is None
    desk.wait(5)
    assert "has not answered" in str(desk.intake.failure)
    answer()
    assert desk.clock.result(waiting) == Bounds(1, 1)
    assert desk.clock.result(waiting_too) == Bounds(1, 2)


@pytest.mark.promise("R3")
def test_nobody_has_to_write_for_it_to_be_seen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes nothing any more, or does not answer, is told of although nothing waits."""
    write = os.write

    def refuse(file: int, data: bytes) -> int:
        if not data:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return write(file, data)

    desk.intake.knock()
    desk.clock.turn()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        desk.intake.knock()
        desk.clock.turn()
    assert desk.intake.failure == READ_ONLY
    with pytest.raises(StorageFailed):
        desk.intake.append(lines())
    desk.clock.advance(1)
    desk.clock.turn()
    assert desk.intake.failure is None
    assert desk.append(lines()) == Bounds(1, 1)

    desk.intake.knock()
    answer = desk.clock.take()
    desk.wait(11)
    assert "has not answered" in str(desk.intake.failure)
    answer()
    assert desk.intake.failure is None


def test_who_was_held_up_himself_blames_nobody(desk: Desk) -> None:
    """Where the whole server stood still, the disk has time to answer when it goes on."""
    desk.intake.knock()
    answer = desk.clock.take()
    desk.clock.advance(100)
    assert desk.intake.failure is None
    desk.intake.knock()
    assert desk.intake.failure is None
    ending = desk.intake.drain()
    desk.clock.advance(11)
    assert desk.intake.is_slow  # who ends does not wait for it either
    answer()
    desk.clock.result(ending)


def test_an_opening_that_takes_long(tmp_path: Path) -> None:
    """That is told, with both reasons that there may be: nobody knows which it is."""
    desk = Desk(tmp_path / "log.db", patience_seconds=10)
    starting = desk.intake.start()
    desk.wait(11)
    assert "not open after more than 10 s: its disk" in str(desk.intake.failure)
    desk.clock.result(starting)
    assert desk.intake.failure is None
    desk.stop()


def test_each_who_waits_has_an_error_of_its_own(desk: Desk) -> None:
    """Errors are not shared, because each comes to carry its own traceback."""
    desk.fill_up()
    errors: list[BaseException | None] = []
    for _ in range(2):
        waiting = desk.intake.append(lines(1, LARGE))
        waiting.addErrback(lambda failure: errors.append(failure.value))

    with pytest.raises(StorageFailed):
        desk.append(lines())

    assert errors[0] is not errors[1]
