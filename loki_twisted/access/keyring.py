"""The tokens that are good now."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

from zope.interface import implementer

from loki_twisted.access.interface import Caller, IKeyring
from loki_twisted.access.tokens import Token, digest_of


@implementer(IKeyring)
class Keyring:
    """
    Tokens, each as long as it is good.

    :param tokens: All that there are.
    :param now_ms: The wall clock, by which tokens expire.
    """

    def __init__(self, tokens: Iterable[Token] = (), now_ms: Callable[[], int] = int) -> None:
        self.asks = False
        self._now_ms = now_ms
        self._tokens: dict[bytes, Token] = {}
        self.replace(tokens)

    def replace(self, tokens: Iterable[Token]) -> None:
        """Have these and no others. Once there was a token, one that is shown has to be right."""
        self._tokens = {each.digest: each for each in tokens}
        self.asks = self.asks or bool(self._tokens)

    def find(self, presented: bytes) -> Caller | None:
        """See :class:`IKeyring`."""
        # Of the digests, and of all of them, so that the time tells nothing of a token.
        digest = digest_of(presented)
        found = [each for each in self._tokens if hmac.compare_digest(digest, each)]
        if not found:
            return None
        token = self._tokens[found[0]]
        return None if token.is_over(self._now_ms()) else token.caller

    def stands(self, caller: Caller) -> bool:
        """See :class:`IKeyring`. The name may have changed: that of a plain token is its line's."""
        if caller.digest is None:
            return True
        token = self._tokens.get(caller.digest)
        if token is None or token.is_over(self._now_ms()):
            return False
        return token.scopes == caller.scopes
