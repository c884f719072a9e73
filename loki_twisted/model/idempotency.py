"""Requests that may come twice: what a key of idempotency stands for."""

from __future__ import annotations

from typing import Final

import attrs

KEPT_MS: Final = 24 * 60 * 60 * 1000
"""How long a key is known."""


@attrs.frozen(slots=True, kw_only=True)
class CompletedRequest:
    """
    A request that was carried out under a key.

    It is stored with what it did, in one transaction: so what comes again finds either both or
    neither.

    :ivar key: Of the client's choice.
    :ivar operation: The name of the operation that it was for.
    :ivar fingerprint: A hash of the request; the same key with another one is an error.
    :ivar session_id: Whose it is.
    :ivar target: The id of what it made: a session, an input, a message.
    :ivar at_ms: When, since the Unix epoch.
    """

    key: str
    operation: str
    fingerprint: str
    session_id: str
    target: str
    at_ms: int


@attrs.frozen(slots=True, kw_only=True)
class IdempotencyKey:
    """
    The key under which a request is to be carried out once.

    See :class:`CompletedRequest` for its parts.
    """

    key: str
    operation: str
    fingerprint: str

    def done(self, session_id: str, target: str, at_ms: int) -> CompletedRequest:
        """Say what was done under it, and when."""
        return CompletedRequest(
            key=self.key,
            operation=self.operation,
            fingerprint=self.fingerprint,
            session_id=session_id,
            target=target,
            at_ms=at_ms,
        )
