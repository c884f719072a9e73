"""Going on with the conversation of a session that has ended, in a new session."""

from __future__ import annotations

import msgspec

from loki_twisted.model.errors import Conflict
from loki_twisted.model.sessions import Session
from loki_twisted.model.wire import StartSession


def continuation_of(before: Session, wanted: StartSession, *, can_continue: bool) -> StartSession:
    """
    Say how the new session is to be started.

    :param before: The session whose conversation is continued.
    :param wanted: The prompt is what is said next. A model that it does not name stays.
    :param can_continue: Whether the provider can continue conversations.
    :raises Conflict: if the session has not ended, or its conversation cannot be continued.
    """
    obstacle = _obstacle(before, can_continue=can_continue)
    if obstacle is not None:
        raise Conflict(obstacle, {"status": str(before.status)})
    return msgspec.structs.replace(
        wanted,
        provider=before.provider,
        project_dir=before.project_dir,
        model=wanted.model or before.model,
    )


def _obstacle(before: Session, *, can_continue: bool) -> str | None:
    """Say why a conversation cannot be continued."""
    if not before.status.is_final:
        return f"A session that is {before.status} cannot be continued: send it a message."
    if not can_continue:
        return f"The provider {before.provider!r} cannot continue a conversation."
    if before.conversation is None:
        return "Its agent never named its conversation, so it cannot be continued."
    return None
