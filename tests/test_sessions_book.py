"""The sessions that have not ended, among very many that have."""

from __future__ import annotations

import gc
from functools import partial

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail

from loki_twisted.model.errors import StorageFailed
from loki_twisted.model.sessions import Origin, Session, SessionStatus
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.state import SessionState, with_status
from loki_twisted.sessions.talk import Talk
from tests.fakes_sessions import MemoryLog
from tests.log_support import session

ENDED = 1_200


@pytest.fixture
def log() -> MemoryLog:
    """A log in memory."""
    return MemoryLog()


@pytest.fixture
def book(log: MemoryLog) -> SessionBook:
    """A book of nothing yet."""
    return SessionBook(log, log, lambda: 0)


def to(book: SessionBook, record: Record, status: SessionStatus) -> Deferred[Session]:
    """Have a session stand elsewhere."""
    return book.commit(record, with_status(record.state, status))


def test_who_has_not_ended(log: MemoryLog, book: SessionBook) -> None:
    """A session has ended when that is on disk, and not before; one may come to life again."""
    record = book.add(session("session_1"))
    assert book.unended() == [record]
    to(book, record, SessionStatus.RUNNING)

    log.automatic = False
    to(book, record, SessionStatus.COMPLETED)
    assert book.unended() == [record]
    log.commit()
    assert book.unended() == []

    to(book, record, SessionStatus.RUNNING)
    assert book.unended() == [record]
    log.broken = True
    done = to(book, record, SessionStatus.FAILED).addErrback(lambda _: None)
    log.commit()
    assert done.called
    assert book.unended() == []  # it fell back to what the disk says


def test_one_that_is_taken_out(log: MemoryLog, book: SessionBook) -> None:
    """What is in the book no more is not among them."""
    kept, gone, failed = (book.add(session(f"session_{number}")) for number in range(3))
    to(book, kept, SessionStatus.RUNNING)
    to(book, gone, SessionStatus.RUNNING)
    book.forget(gone)
    log.broken = True
    to(book, failed, SessionStatus.RUNNING).addErrback(lambda why: why.trap(StorageFailed))
    assert book.unended() == [kept]


def test_who_was_observed_in_a_project(log: MemoryLog, book: SessionBook) -> None:
    """Sessions of others are found by their directory until they are taken out, ours never are."""
    of_others = partial(replace, origin=Origin.OBSERVED)
    here, gone, ended = (
        book.add(of_others(session(name), project_dir="/here")) for name in ("h", "g", "e")
    )
    ours = book.add(replace(session("ours"), project_dir="/here"))
    there = book.add(of_others(session("there"), project_dir="/there"))
    for each in (here, gone, ended, ours, there):
        to(book, each, SessionStatus.RUNNING)
    to(book, ended, SessionStatus.COMPLETED)
    book.forget(gone)
    book.forget(there)
    assert book.observed_in("/here") == [here, ended]
    assert book.observed_in("/there") == []

    later = SessionBook(log, log, lambda: 0)
    loaded = Deferred.fromCoroutine(later.load())
    assert loaded.called
    assert {record.id for record in later.observed_in("/here")} == {"h", "e"}


def test_what_is_refused_at_once(log: MemoryLog, book: SessionBook) -> None:
    """A log that takes nothing more changes nothing of what is on its way to the disk already."""
    record = book.add(session("session_1"))
    to(book, record, SessionStatus.RUNNING)
    log.automatic = False
    to(book, record, SessionStatus.PAUSED)
    log.append, takes = lambda _: fail(StorageFailed("No answer.")), log.append  # type: ignore[method-assign]
    refused = to(book, record, SessionStatus.STOPPING)
    assert refused.addErrback(lambda why: why.trap(StorageFailed)).called
    assert record.status is SessionStatus.PAUSED
    record.stop_ordered = True
    to(book, record, SessionStatus.STOPPING).addErrback(lambda why: why.trap(StorageFailed))
    assert record.status is SessionStatus.STOPPING

    log.append = takes  # type: ignore[method-assign]
    log.commit()
    assert record.status is SessionStatus.STOPPING
    assert book.read("session_1").status is SessionStatus.PAUSED


@pytest.mark.promise("R27")
def test_all_of_a_long_history_is_read_bit_by_bit(log: MemoryLog, book: SessionBook) -> None:
    """However many sessions there were, a start reads some at a time, and knows who is left."""
    for number in range(ENDED):
        name = f"session_{number:04}"
        log.rows[name] = session(name, status=SessionStatus.COMPLETED)
    log.rows["session_9999"] = session("session_9999", status=SessionStatus.RUNNING)
    asked: list[int] = []
    really = log.sessions

    def sessions(limit: int, offset: int) -> Deferred[list[Session]]:
        asked.append(limit)
        return really(limit, offset)

    log.sessions = sessions  # type: ignore[method-assign]
    done = Deferred.fromCoroutine(book.load())
    assert done.called
    assert len(book) == ENDED + 1
    assert [record.id for record in book.unended()] == ["session_9999"]
    assert max(asked) <= 500
    assert len(asked) > ENDED // 500


def test_little_work_for_the_garbage_collector(log: MemoryLog, book: SessionBook) -> None:
    """
    Of a session that is known the collector has two objects to look at, or it would hold everything
    up for as long as tens of thousands of them take.
    """
    record = book.add(session("session_1"))
    book.commit(record, with_status(record.state, SessionStatus.COMPLETED))
    log.commit()
    found = [record, *gc.get_referents(record), *gc.get_referents(record.state)]
    tracked = {type(each) for each in found if gc.is_tracked(each)}
    assert tracked - {type, SessionStatus} == {Record, SessionState}
    assert not gc.is_tracked(Talk(memory="much", keys={"i1": "a"}))
