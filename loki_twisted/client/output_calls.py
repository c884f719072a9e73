"""The methods of the client that are about what agents print."""

from __future__ import annotations

from functools import partial
from typing import Final

from twisted.internet.defer import Deferred

from loki_twisted.client.bodies import collect
from loki_twisted.client.connecting import Connecting
from loki_twisted.client.exchange import Exchange, Query
from loki_twisted.client.output import OutputPart, OutputTail
from loki_twisted.client.questions import Questions
from loki_twisted.client.stream import EventStream

PART_BYTES: Final = 1024 * 1024
"""How much is read at once, unless it is said otherwise."""

_OCTETS: Final = "application/octet-stream"
_NAME: Final = "output of an agent"


class OutputCalls:
    """Those methods; a part of :class:`~loki_twisted.client.api.LokiClient`."""

    _exchange: Exchange
    _connecting: Connecting
    _questions: Questions
    _streams: set[EventStream | OutputTail]

    def read_output(
        self,
        session_id: str,
        stream: str = "stdout",
        *,
        after: int = 0,
        limit: int = PART_BYTES,
    ) -> Deferred[OutputPart]:
        """
        Read what the agent of a session has printed, byte for byte. Nothing in it is masked.

        :param stream: ``stdout`` or ``stderr``.
        :param after: Begin behind so many bytes: the ``next_offset`` of the part before.
        :param limit: How many bytes at most.
        """
        query = (("stream", stream), ("after", after), ("limit", limit))
        return self._questions.open(self._read_output(_path(session_id), query))

    def follow_output(
        self, session_id: str, stream: str = "stdout", *, after: int = 0
    ) -> OutputTail:
        """
        Read what there is and what comes, until the session has ended.

        :param stream: ``stdout`` or ``stderr``.
        :param after: Begin behind so many bytes.
        :returns: An asynchronous iterator over bytes, to be closed by its ``aclose`` if it is not
            taken to its end.
        """
        connections = self._connecting.for_stream()
        query = (("stream", stream), ("after", after), ("follow", "true"))
        opening = partial(
            self._exchange.open, connections.agent, _path(session_id), query, _OCTETS, _NAME
        )
        tail = OutputTail(opening, connections, after)
        self._streams = {each for each in self._streams if not each.has_ended} | {tail}
        return tail

    async def _read_output(self, path: tuple[str, ...], query: Query) -> OutputPart:
        exchange = self._exchange
        response = await exchange.open(self._questions.agent, path, query, _OCTETS, _NAME)
        data = await collect(response, exchange.reactor, exchange.seconds)
        return OutputPart(
            data,
            next_offset=exchange.number(response, "x-next-offset"),
            size=exchange.number(response, "x-output-size"),
        )


def _path(session_id: str) -> tuple[str, ...]:
    return ("api", "sessions", session_id, "output")
