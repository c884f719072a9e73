"""Answers that go on for long, each as long as the token that it was asked for with."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger
from twisted.web.server import Request

from loki_twisted.access.interface import Caller, IKeyring

_log: Final = Logger()


class Leases:
    """
    The answers under way to readers with a token.

    :param keyring: Tells who may still be here.
    """

    def __init__(self, keyring: IKeyring) -> None:
        self._keyring = keyring
        self._held: dict[Request, Caller] = {}

    def hold(self, request: Request, caller: Caller) -> None:
        """Remember an answer that has not ended, until it has."""
        self._held[request] = caller
        request.notifyFinish().addBoth(lambda _: self._held.pop(request, None))

    def settle(self) -> None:
        """Cut off those whose token is not there any more, or has expired."""
        for request, caller in list(self._held.items()):
            if self._keyring.stands(caller):
                continue
            del self._held[request]
            _log.info("An answer to {name} is cut off with its token", name=caller.name)
            with _log.failuresHandled("An answer could not be cut off"):
                request.transport.abortConnection()  # type: ignore[union-attr]  # every stream has it
