"""
Events as one long list of JSON, without ever having all of it.

A page may be tens of megabytes: it is read from the log and sent a piece at a time, as the client
takes it. A piece costs the reactor a millisecond or two, however much there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from loki_twisted.log.interface import IEventLog, Page
from loki_twisted.model.blocks import Block
from loki_twisted.model.events import json_of_frame
from loki_twisted.model.filters import EventFilter
from loki_twisted.web.answers import JSON, is_gone

BYTES_PER_READ: Final = 262_144

PATIENCE_SECONDS: Final = 60.0
"""A client that has not taken one piece after so long is cut."""

_TYPICAL_BYTES: Final = 512
_FIRST_BYTES: Final = 32_768
_GROWTH: Final = 4
_SPARE_SHARE: Final = 16

_log = Logger()


class EventPages:
    """
    A stretch of the log, read a piece at a time, and hardly more of it than is given.

    How much is fetched for an event is learned on the way: the log holds blocks, and there may
    be much else in one beside what is wanted.

    :param after: Begin behind this number.
    :param before: End before this one.
    :param limit: How many events at most.
    :ivar count: How many events were given so far.
    """

    def __init__(
        self, log: IEventLog, wanted: EventFilter, *, after: int, before: int, limit: int
    ) -> None:
        self.count = 0
        self._log = log
        self._wanted = wanted
        self._reached = after
        self._before = before
        self._limit = limit
        self._bytes = min(_FIRST_BYTES, limit * _TYPICAL_BYTES)
        self._fetched = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.count >= self._limit or self._reached >= self._before - 1

    async def some(self) -> Sequence[bytes]:
        """
        Read on.

        :returns: The next events, each as JSON; there may be none although more will come.
        """
        missing = self._limit - self.count
        page = await self._log.read(self._reached, self._wanted, self._bytes, self._before)
        events = self._events_of(page)[:missing]
        self.count += len(events)
        self._fetched += sum(_size_behind(block, self._reached) for block in page.blocks)
        if self.count:
            missing -= len(events)
            needed = (missing + missing // _SPARE_SHARE + 1) * self._fetched // self.count
            self._bytes = min(BYTES_PER_READ, self._bytes * _GROWTH, needed)
        # A log that has nothing more than this is not asked again.
        self._reached = page.reached if page.reached > self._reached else self._before
        return events

    def _events_of(self, page: Page) -> list[bytes]:
        return [
            json_of_frame(block.frame(index))
            for block in page.blocks
            for index in block.wanted(self._wanted, self._reached)
            if block.first_seq + index < self._before
        ]


def _size_behind(block: Block, after: int) -> int:
    """How many bytes the events of a block have whose number is above ``after``."""
    passed = after + 1 - block.first_seq
    return len(block.body) - (block.ends[passed - 1] if passed > 0 else 0)


@implementer(IPushProducer)
class _Valve:
    """Lets a coroutine wait until a transport takes bytes."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._is_open = True
        self._waiting: Deferred[None] | None = None

    async def opened(self) -> None:
        """
        Wait.

        :raises TimedOut: if that takes too long.
        """
        if not self._is_open:
            self._waiting = Deferred()
            await self._waiting.addTimeout(PATIENCE_SECONDS, self._clock)

    def pauseProducing(self) -> None:  # noqa: N802  # Twisted's name
        self._is_open = False

    def resumeProducing(self) -> None:  # noqa: N802  # Twisted's name
        self._is_open = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Let it go on, to find that the client is gone."""
        self.resumeProducing()


class EventList(Resource):
    """
    The response that carries many events, for one request: ``{"events": [...], "count": n}``.

    :param pages: Where they come from.
    :param begun: Those that were read already.
    :param clock: Measures how long the client takes.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, pages: EventPages, begun: Sequence[bytes], clock: IReactorTime) -> None:
        super().__init__()
        self._pages = pages
        self._begun = begun
        self._clock = clock

    def render_HEAD(self, request: Request) -> bytes:  # noqa: N802  # Twisted's name
        """Answer the headers alone."""
        request.setHeader(b"Content-Type", JSON)
        return b""

    def render_GET(self, request: Request) -> int:  # noqa: N802  # Twisted's name
        """Begin to send."""
        if is_gone(request):
            return NOT_DONE_YET
        valve = _Valve(self._clock)
        request.setHeader(b"Content-Type", JSON)
        request.notifyFinish().addErrback(lambda _: valve.stopProducing())
        request.registerProducer(valve, True)
        sent = Deferred.fromCoroutine(self._send(request, valve))
        sent.addErrback(_broken, request)
        return NOT_DONE_YET

    async def _send(self, request: Request, valve: _Valve) -> None:
        events, before = self._begun, b'{"events":['
        while not is_gone(request):
            if events:
                request.write(before + b",".join(events))
                before = b","
            if self._pages.is_over:
                request.unregisterProducer()
                request.write(b'],"count":%d}' % self._pages.count)
                request.finish()
                return
            await valve.opened()
            if not is_gone(request):
                events = await self._pages.some()


def _broken(reason: Failure, request: Request) -> None:
    """Cut the connection, so that the client does not take half a list for a whole one."""
    if reason.check(TimedOut):
        _log.info("A client did not take its events for {seconds} s", seconds=PATIENCE_SECONDS)
    else:
        _log.failure("A list of events broke off", reason)
    if not is_gone(request):
        request.transport.abortConnection()  # type: ignore[union-attr]  # every stream has it
