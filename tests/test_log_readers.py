"""Threads that read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from twisted.logger import capturedLogs

from loki_twisted.log.faults import Damaged
from loki_twisted.log.lanes import Lane
from loki_twisted.log.opening import Opened
from loki_twisted.log.readers import Readers
from loki_twisted.model.errors import StorageFailed, Unavailable
from tests.log_support import TIMEOUT, ThreadedClock, opened


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "log.db") as log:
        yield log


@pytest.fixture
def clock() -> ThreadedClock:
    return ThreadedClock()


@pytest.fixture
def readers(clock: ThreadedClock, log: Opened, tmp_path: Path) -> Iterator[Readers]:
    readers = Readers(clock, str(tmp_path / "log.db"))
    readers.start(log.readers)
    yield readers
    clock.result(readers.stop())


def test_a_query_runs_in_another_thread(clock: ThreadedClock, readers: Readers) -> None:
    """The reactor's thread does not wait for the disk."""
    name = clock.result(readers.ask(lambda connection: threading.current_thread().name))

    assert name != threading.current_thread().name


def test_each_has_a_connection_of_its_own(clock: ThreadedClock, readers: Readers) -> None:
    """Queries that run at the same time do so with different connections."""
    both = threading.Barrier(2, timeout=TIMEOUT)

    def meet(connection: apsw.Connection) -> int:
        both.wait()
        return id(connection)

    asked = [readers.ask(meet), readers.ask(meet)]

    assert len({clock.result(each) for each in asked}) == 2


def test_a_short_question_does_not_wait_for_scans(clock: ThreadedClock, readers: Readers) -> None:
    """It goes before all those that were asked earlier but wait."""
    gate = threading.Event()
    order: list[str] = []

    def scan(_: apsw.Connection) -> None:
        gate.wait(TIMEOUT)
        order.append("scan")

    scans = [readers.ask(scan, Lane.SCANS) for _ in range(20)]
    short = readers.ask(lambda _: order.append("short"))
    gate.set()

    clock.result(short)
    assert order.index("short") <= 3
    for each in scans:
        clock.result(each)
    assert len(order) == 21


def test_answers_do_not_pile_up(clock: ThreadedClock, readers: Readers) -> None:
    """However many ask, no more is read than there are threads until the reactor has its turn."""
    begun: list[int] = []
    asked = [readers.ask(lambda _, n=n: begun.append(n), Lane.PAGES) for n in range(50)]  # type: ignore[misc]
    calls = [clock.take(), clock.take()]

    assert sorted(begun) == [0, 1]
    for call in calls:
        call()
    for each in asked:
        clock.result(each)
    assert sorted(begun) == list(range(50))


def test_stopping_twice(clock: ThreadedClock, readers: Readers) -> None:
    """Both wait for the last answer, and afterwards there is nothing to wait for."""
    gate = threading.Event()
    asked = readers.ask(lambda _: gate.wait(TIMEOUT))
    both = [readers.stop(), readers.stop()]
    assert not any(each.called for each in both)
    gate.set()
    clock.result(asked)
    for each in both:
        clock.result(each)
    assert readers.stop().called


def test_the_last_query_is_answered_before_the_end(clock: ThreadedClock, readers: Readers) -> None:
    """Whoever asked before the stop is answered; the stop waits for that."""
    gate = threading.Event()
    asked = readers.ask(lambda connection: gate.wait(TIMEOUT))
    stopped = readers.stop()
    assert not stopped.called

    gate.set()

    assert clock.result(asked) is True
    clock.result(stopped)
    with pytest.raises(Unavailable):
        clock.result(readers.ask(lambda connection: None))


def test_an_error_of_the_database_is_told_in_our_words(
    clock: ThreadedClock, readers: Readers
) -> None:
    """A query that the database refuses fails as storage does, and the next one works."""
    with pytest.raises(StorageFailed, match="could not be read: no such table: nowhere"):
        clock.result(readers.ask(lambda connection: connection.execute("SELECT * FROM nowhere")))

    assert clock.result(readers.ask(lambda connection: 1)) == 1


def test_damage_is_marked_and_logged(
    clock: ThreadedClock, readers: Readers, tmp_path: Path
) -> None:
    """Damage that a reader meets is logged, and the log is marked to be checked."""

    def meet(connection: apsw.Connection) -> None:
        raise Damaged("the events from number 5 on are not what was written")

    with capturedLogs() as captured, pytest.raises(StorageFailed, match="it is damaged"):
        clock.result(readers.ask(meet))

    assert [event["log_level"].name for event in captured] == ["critical"]
    assert (tmp_path / "log.db.suspect").exists()


def test_before_the_start(clock: ThreadedClock, tmp_path: Path) -> None:
    """A log that is not open cannot be read."""
    with pytest.raises(Unavailable):
        clock.result(Readers(clock, str(tmp_path / "log.db")).ask(lambda connection: None))
