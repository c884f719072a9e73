"""The overview of all sessions is what the sessions are, whatever happens to them."""

from __future__ import annotations

import attrs
import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from loki_twisted.model.errors import StorageFailed
from loki_twisted.model.sessions import FINAL, Session, SessionStatus
from loki_twisted.sessions.book import SessionBook
from tests.fakes_sessions import MemoryLog
from tests.log_support import MS, session

NAMES = ("a", "b", "c")
steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "fail", "forget", "commit"]),
        st.sampled_from(NAMES),
        st.sampled_from(SessionStatus),
        st.sampled_from(["1", "2"]),
    ),
    max_size=12,
)


def plain_overview(sessions: list[Session]) -> tuple[object, ...]:
    """The same, the plain way."""
    newest = sorted(sorted(sessions, key=lambda s: s.id), key=lambda s: s.started_at)[::-1]
    at_work = [s.id for s in newest if s.status not in FINAL | {SessionStatus.QUEUED}]
    counts = {
        status: len(some)
        for status in SessionStatus
        if (some := [s for s in newest if s.status is status])
    }
    return tuple(newest), counts, len(at_work), (at_work or [None])[0]


@given(steps)
def test_it_is_never_of_yesterday(steps: list[tuple[str, str, SessionStatus, str]]) -> None:
    """After each step it shows what is on disk: not what waits, nor what could not be stored."""
    log = MemoryLog()
    log.automatic = False
    book = SessionBook(log, log, lambda: MS)

    def ignored(done: Deferred[object]) -> None:
        done.addErrback(lambda failure: failure.trap(StorageFailed))

    for what, name, status, at in steps:
        record = book.find(name)
        log.broken = what == "fail"
        if what in ("put", "fail"):
            made = session(name, status, at)
            record = record or book.add(made)
            state = attrs.evolve(
                record.state, session=msgspec.structs.replace(record.state.session, status=status)
            )
            ignored(book.commit(record, state))
        elif what == "forget" and record is not None and not record.in_flight:
            ignored(book.forget(record))
            log.commit()
        if what != "put":
            log.commit()
        found = attrs.astuple(book.overview(), recurse=False)
        assert found == plain_overview(list(log.rows.values()))
