"""
Agents that run although no session is on record for them: their log was damaged and put aside.

They are put on record as what is being started, so they are found as those are of which a server
ended too early to say that they run. What they have printed is told from its beginning.
"""

from __future__ import annotations

from twisted.logger import Logger

from loki_twisted.agents.interface import LOKI_MODE, IAgentRunner, Stray
from loki_twisted.model.errors import StorageFailed, Unavailable
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.asking import DEFAULT_PROVIDER, stored_request
from loki_twisted.sessions.book import SessionBook

_log = Logger()


async def put_strays_on_record(runner: IAgentRunner, book: SessionBook) -> None:
    """
    Make sessions of the agents that run and are on no record.

    What they were asked for is lost, and so are the limits that they were given with it.
    """
    for stray in runner.strays(lambda session_id: book.find(session_id) is not None):
        _log.warn("The agent of {id} runs, and was on no record.", id=stray.session_id)
        record = book.add(_session_of(stray, book.now()))
        cursors = stored_request(stray.session_id, StartSession(), stray.driven_by)
        try:
            await book.commit(record, record.state, [], cursors)
        except (StorageFailed, Unavailable) as error:
            book.remove(record)
            _log.error("{id} cannot be put on record: {error}", id=record.id, error=str(error))


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
