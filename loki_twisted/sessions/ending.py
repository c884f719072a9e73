"""Putting the end of a session on record, whatever it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from loki_twisted.model.errors import StorageFailed, Unavailable
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.changes import Change
from loki_twisted.sessions.lifecycle import facts_between
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.state import SessionState
from loki_twisted.state.interface import RunEnding

_log = Logger()

_RETRY_SECONDS = 1.0

MOST_LOOKS: Final = 60
"""So often, a second apart, the files of an agent are looked for that are not where they were."""

_NEVER: Final = "The server ended before its agent was started."
_REMOVED: Final = "The files of the agent were removed while no server ran."

Decide = Callable[[SessionState], Change]


def ended_as(before: SessionState, change: Change) -> Change:
    """Add the event of an end to the change that is the end."""
    session = change.state.session
    facts = facts_between(before.session.status, session.status, session.reason, session.exit_code)
    return Change(change.state, [*change.facts, *facts], change.rows)


def end_without_files(record: Record) -> str:
    """
    Say why a session has failed whose agent has no files.

    An agent that runs is in nobody's charge without them: who has only moved them has some time.

    :raises FileNotFoundError: as long as they may come back.
    """
    if record.state.session.pid is None:  # also one that was told to stop before it was started
        return _NEVER
    record.looks += 1
    if record.looks <= MOST_LOOKS:
        raise FileNotFoundError("The files of the agent are not there.")
    return _REMOVED


async def last_words(
    session_id: str,
    settle: Callable[[], Awaitable[None]],
    ending: Callable[[], RunEnding | None],
) -> RunEnding | None:
    """
    Have all told that an agent left, and read what it said of its end, as far as that can be done.

    :param settle: Tells what is in its files.
    :param ending: Reads what it said.
    """
    with _log.failuresHandled("What {id} has left is not all told", id=session_id):
        await settle()
    with _log.failuresHandled("What {id} said of its end is lost", id=session_id):
        return ending()
    return None


async def commit_end(
    reactor: IReactorTime,
    book: SessionBook,
    record: Record,
    decide: Decide,
    after: Callable[[Record], None],
) -> None:
    """
    Put a session into a final state.

    While the log cannot be written this is tried again every second. If the
    server ends before that, nothing is lost: the agent's exit stays on disk
    beside its output, and the next server does the same from there.

    :param decide: Makes the change to the final state from the newest one.
    :param after: Called once when it is on disk.
    """
    before = record.state
    change = ended_as(before, decide(before))
    try:
        await book.commit(record, change.state, change.facts, {}, change.rows)
    except (StorageFailed, Unavailable) as error:
        _log.warn("The end of {id} is not on record yet: {error}", id=record.id, error=str(error))
        reactor.callLater(_RETRY_SECONDS, _again, reactor, book, record, decide, after)
    else:
        after(record)


def _again(
    reactor: IReactorTime,
    book: SessionBook,
    record: Record,
    decide: Decide,
    after: Callable[[Record], None],
) -> None:
    if book.is_closed:
        return
    done = ensureDeferred(commit_end(reactor, book, record, decide, after))
    done.addErrback(
        lambda failure: _log.failure("The end of {id} was not told.", failure, id=record.id)
    )
