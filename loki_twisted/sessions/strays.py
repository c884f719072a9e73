"""
Agents of which the log knows nothing: it was damaged and put aside, or is a copy of an earlier day.

They are put on record as what is being started, as it stood then (``intent.py``), so they are found
as those are of which a server ended too early to say that they run. What they have printed is told
from its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from loki_twisted.agents.interface import LOKI_MODE, IAgentRunner, Stray
from loki_twisted.model.errors import StorageFailed, Unavailable
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.asking import DEFAULT_PROVIDER, stored_request
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.intent import Intent, intent_from_text, is_place, is_text
from loki_twisted.sessions.record import Record

_log = Logger()


async def put_strays_on_record(runner: IAgentRunner, book: SessionBook) -> None:
    """
    Make sessions of the agents that are on no record.

    What they were asked for is lost where it does not lie with their files, and so are the limits
    that they were given with it.
    """

    def is_known(session_id: str) -> bool:
        return book.find(session_id) is not None or book.is_deleted(session_id)

    for stray in runner.strays(is_known):
        intent = _intent_of(stray, book.now())
        if intent is None:
            _log.error("The agent of {id} may run, and is on no record.", id=stray.session_id)
            continue
        _log.warn("The agent of {id} was on no record.", id=stray.session_id)
        record = book.add(intent.session, intent.counters)
        try:
            await book.commit(record, record.state, [], intent.cursors)
        except (StorageFailed, Unavailable) as error:
            book.remove(record)
            _log.error("{id} cannot be put on record: {error}", id=record.id, error=str(error))


async def let_have_had_turns(
    runner: IAgentRunner,
    waiting: Iterable[Record],
    take_turn: Callable[[Record], Deferred[Session]],
) -> None:
    """
    Have it on record of sessions that wait that they had their turn, where there are agents.

    :param take_turn: Puts that on record.
    """
    for record in waiting:
        try:
            if runner.adopt(record.id) is not None:
                _log.warn("{id} waits by the log, and has had its turn.", id=record.id)
                await take_turn(record)
        except (OSError, StorageFailed, Unavailable) as error:
            _log.error("{id} waits, and may be at work: {error}", id=record.id, error=str(error))


def _intent_of(stray: Stray, now: str) -> Intent | None:
    """Say what an agent was started for, as far as that is known; None if nothing is."""
    if stray.intent:
        try:
            return intent_from_text(stray.session_id, stray.intent)
        except ValueError as error:
            _log.warn(
                "What {id} was started for is lost: {error}", id=stray.session_id, error=str(error)
            )
    if not (is_place(stray.cwd) and is_text(stray.driven_by)):
        return None
    cursors = stored_request(stray.session_id, StartSession(), stray.driven_by)
    return Intent(session=_session_of(stray, now), cursors=cursors)


def _session_of(stray: Stray, now: str) -> Session:
    is_plain = stray.driven_by in ("", LOKI_MODE)
    return Session(
        id=stray.session_id,
        status=SessionStatus.STARTING,
        provider=DEFAULT_PROVIDER if is_plain else stray.driven_by,
        project_dir=stray.cwd,
        started_at=now,
        updated_at=now,
        accepts_input=stray.accepts_input,
        driven_by=stray.driven_by or None,
        steered_by=stray.steered_by,
    )
