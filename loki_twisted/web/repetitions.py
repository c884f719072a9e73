"""
Requests that may come twice: the header ``Idempotency-Key``.

A client that got no answer sends its request again under the same key. What was carried out under
it is not carried out again; the answer tells where it stands by now. Where nothing was carried out,
because it was refused or failed, it is tried anew. The header is that of the IETF's draft
"The Idempotency-Key HTTP Header Field".
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from loki_twisted.model.errors import Conflict
from loki_twisted.model.idempotency import CompletedRequest, IdempotencyKey
from loki_twisted.model.wire import Request
from loki_twisted.sessions.interface import ISessions
from loki_twisted.web.parameters import text

T = TypeVar("T")

_HEADER: Final = "Idempotency-Key"

IDEMPOTENCY_KEY: Final = text(
    _HEADER,
    "A name for this request, of the client's choice. For 24 hours the same request under it "
    "is carried out once only, however often it comes.",
    pattern="[!-~]{1,255}",
    expected="1 to 255 visible characters of ASCII",
    place="header",
    argument="key",
)


class Repetitions:
    """
    Sees to it that requests with a key are carried out once.

    :param sessions: Knows what was done under a key.
    """

    def __init__(self, sessions: ISessions) -> None:
        self._sessions = sessions
        self._under_way: set[str] = set()

    async def once(
        self,
        key: str | None,
        operation: str,
        asked: tuple[str, Request],
        act: Callable[[IdempotencyKey | None], Awaitable[T]],
        again: Callable[[CompletedRequest], Awaitable[T]],
    ) -> T:
        """
        Carry a request out, or tell what became of it.

        :param key: None for a request without one.
        :param operation: Its name.
        :param asked: What makes it another request: what it is about, and its body.
        :param act: Carries it out, and stores that it did together with what it did.
        :param again: Answers for what was done before.
        :raises Conflict: if the key was used for another request, and while the same key is
            being dealt with.
        """
        if key is None:
            return await act(None)
        if key in self._under_way:
            msg = f"A request with this {_HEADER} is under way."
            raise Conflict(msg)
        self._under_way.add(key)
        try:
            fingerprint = _fingerprint(*asked)
            known = await self._sessions.done_once(key)
            if known is None:
                return await act(
                    IdempotencyKey(key=key, operation=operation, fingerprint=fingerprint)
                )
            if (known.operation, known.fingerprint) != (operation, fingerprint):
                msg = f"This {_HEADER} was used for another request."
                raise Conflict(msg)
            return await again(known)
        finally:
            self._under_way.discard(key)


def _fingerprint(about: str, body: Request) -> str:
    data = about.encode() + b"\0" + msgspec.json.encode(body)
    return hashlib.blake2b(data, digest_size=16).hexdigest()
