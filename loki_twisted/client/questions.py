"""The questions of a client that were not answered yet."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent

from loki_twisted.client.connecting import Connections
from loki_twisted.client.exchange import Exchange, Query

_T = TypeVar("_T")


class Questions:
    """
    Asks, and knows what is still open.

    :param connections: To ask on.
    """

    def __init__(self, exchange: Exchange, connections: Connections) -> None:
        self._exchange = exchange
        self._connections = connections
        self._open: set[Deferred[Any]] = set()

    def ask(self, method: str, path: Iterable[str], kind: type[_T], **more: Any) -> Deferred[_T]:
        """
        Ask as :meth:`~loki_twisted.client.exchange.Exchange.ask` does.

        :returns: May be cancelled.
        """
        return self.open(self._exchange.ask(self.agent, method, path, kind, **more))

    @property
    def agent(self) -> IAgent:
        """What they are asked by."""
        return self._connections.agent

    def open(self, asking: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
        """
        Begin a question.

        :returns: May be cancelled.
        """
        answer = Deferred.fromCoroutine(asking)
        self._open.add(answer)

        def came(result: _T) -> _T:
            self._open.discard(answer)
            return result

        return answer.addBoth(came)

    def get(
        self, path: Iterable[str], kind: type[_T], query: Query = (), **more: Any
    ) -> Deferred[_T]:
        """Ask for a page."""
        return self.ask("GET", path, kind, query=query, **more)

    def cancel(self) -> None:
        """Cancel all that are open."""
        for answer in list(self._open):
            answer.cancel()

    def close(self) -> Deferred[None]:
        """Close all connections; fires when that is done."""
        return self._connections.close()
