"""All sessions at a glance, worked out once for each time that one has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from loki_twisted.model.sessions import Session, SessionStatus


@attrs.frozen(slots=True)
class Overview:
    """
    What there is.

    :ivar sessions: All, newest first.
    :ivar counts: How many there are by status; statuses that none has are missing.
    :ivar running: How many have not ended and are not queued.
    :ivar active: The id of the one that was started last of these, or None.
    """

    sessions: tuple[Session, ...]
    counts: Mapping[SessionStatus, int]
    running: int
    active: str | None


def is_at_work(session: Session) -> bool:
    """Whether a session has not ended and is not queued."""
    return not session.status.is_final and session.status is not SessionStatus.QUEUED


def overview_of(sessions: Iterable[Session]) -> Overview:
    """Look at all sessions, in any order."""
    newest_first = sorted(sessions, key=lambda each: (each.started_at, each.id), reverse=True)
    at_work = [each.id for each in newest_first if is_at_work(each)]
    return Overview(
        sessions=tuple(newest_first),
        counts=Counter(each.status for each in newest_first),
        running=len(at_work),
        active=at_work[0] if at_work else None,
    )
