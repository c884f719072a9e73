"""
Long answers, without ever having all of one.

An answer is read as its client takes it, so one whose client takes nothing costs a piece of it, a
quarter of a megabyte. There may only be some at once; others wait a while for a place. Each is cut
when its client has taken nothing for too long, which is soon while others wait, and then there is a
least pace too. All end before the server does.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from loki_twisted.kernel.repeating import repeating
from loki_twisted.model.errors import Unavailable
from loki_twisted.stream.patience import GRACE_SECONDS, PATIENCE, SETTLE_SECONDS, Patience
from loki_twisted.stream.taking import Pace, Taking
from loki_twisted.web.answers import Headers, is_gone
from loki_twisted.web.outlets import bottom_of, on_the_way
from loki_twisted.web.places import Place, Places

_LAST_PATIENCE_SECONDS: Final = 1.0  # for a byte, when the server ends
_SWEEP_SECONDS: Final = 1.0
_STUCK_SECONDS: Final = 5.0  # without a byte, while others wait

_log = Logger()


class CutShort(Exception):
    """The rest of an answer cannot be given, which is nobody's fault. The message says why."""


class Body(Protocol):
    """
    What is to be sent, a piece at a time.

    :ivar headers: What the answer says of it.
    :ivar is_live: Whether it waits for what will only come: it does not end when the server does.
    :ivar is_over: Whether the piece before was the last one.
    """

    headers: Headers
    is_live: bool
    is_over: bool

    async def some(self) -> bytes:
        """
        Read on.

        :returns: The next piece; it may be empty although more will come.
        :raises CutShort: if the rest is gone.
        :raises LokiError: if it cannot be read.
        """

    def close(self) -> None:
        """Let go of what it holds; who waits for more waits no longer. May be repeated."""


@implementer(IPushProducer)
class _Sending:
    """
    An answer on its way.

    :ivar idle_seconds: For how long its client had taken nothing when it was last looked at.
    """

    idle_seconds = 0.0

    def __init__(self, request: Request, body: Body, now: float) -> None:
        self.body = body
        self._request = request
        self._bottom = bottom_of(request.channel)
        self._waiting: Deferred[None] | None = None
        self._is_full = False
        self._taking = Taking(now)
        self._pace = Pace(now)
        self._is_cut = self._is_stopped = False

    async def run(self) -> None:
        """
        Send it.

        :raises CutShort: if the rest is gone.
        :raises LokiError: if it cannot be read.
        """
        request = self._request
        request.registerProducer(self, True)
        if self.body.is_live:
            request.write(b"")  # The client is to know that it is answered.
        while not self._is_gone:
            piece = await self.body.some()
            if self._is_gone:
                return
            if piece:
                request.write(piece)
            # What was written is not kept here while the client takes it.
            del piece
            if self.body.is_over:
                request.unregisterProducer()
                request.finish()
                return
            await self._room()

    @property
    def _is_gone(self) -> bool:
        # A transport stops its producer before it tells the request that the client is gone.
        return self._is_stopped or is_gone(self._request)

    async def _room(self) -> None:
        if self._is_full:
            self._waiting = Deferred()
            await self._waiting

    def look(self, now: float, patience: float) -> None:
        """
        Cut it if its client has taken nothing for too long.

        :param patience: How long that is, in seconds.
        """
        taken = self._request.sentLength - on_the_way(self._bottom)
        self._taking = self._taking.look(now, taken, is_stuck=self._is_full)
        self._pace = self._pace.look(now, taken, is_stuck=self._is_full)
        self.idle_seconds = self._taking.idle_seconds(now)
        if self.idle_seconds >= patience:
            _log.info("A client took nothing of its answer for {seconds} s", seconds=patience)
            self.cut()

    @property
    def is_in_the_way(self) -> bool:
        """Whether it is to be cut if others wait."""
        is_slow = self.idle_seconds >= _STUCK_SECONDS or self._pace.is_slow
        return is_slow and not self._is_cut

    def cut(self) -> None:
        """Cut the connection, so that the client does not take half an answer for a whole one."""
        self._is_cut = True
        if not is_gone(self._request):
            self._request.transport.abortConnection()  # type: ignore[union-attr]  # every stream has it

    def pauseProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Write no more."""
        self._is_full = True

    def resumeProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Go on."""
        self._is_full = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Let it go on, to find that the client is gone."""
        self._is_stopped = True
        self.body.close()
        self.resumeProducing()


class LongAnswers:
    """
    All answers of a kind that are under way.

    :param clock: Measures how long clients take.
    :param most: How many there may be.
    :param what: They are, in words: the subject of a sentence.
    :param patience: How long one whose client takes nothing waits.
    """

    def __init__(
        self, clock: IReactorTime, most: int, what: str, patience: Patience = PATIENCE
    ) -> None:
        self._clock = clock
        self._patience = patience.stall_seconds
        self._places = Places(clock, most, what)
        self._sendings: set[_Sending] = set()
        self._is_ending = False
        self._sweeper = repeating(clock, self._sweep, "Long answers could not be looked at")

    def __len__(self) -> int:
        return self._places.taken

    def check(self) -> None:
        """
        See whether there is still time to begin one.

        :raises Unavailable: while the server shuts down.
        """
        if self._is_ending:
            raise Unavailable("The server is shutting down.")

    def place(self) -> Place | None:
        """Take a place for one, if there is one."""
        return self._places.take()

    async def wait(self) -> Place:
        """
        Take a place for one, as soon as it is its turn.

        :raises Unavailable: if that takes too long, or while the server shuts down.
        """
        self.check()
        try:
            return await self._places.wait()
        except Unavailable:
            self.check()  # which says why, if that is so
            raise

    def begin(self, request: Request, body: Body, place: Place | None) -> None:
        """
        Begin to send one.

        :param place: Is left when it is over; None for one that is short.
        :raises Unavailable: while the server shuts down; nothing was written then.
        """
        self.check()
        sending = _Sending(request, body, self._clock.seconds())
        self._sendings.add(sending)
        if not self._sweeper.running:
            self._sweeper.start(_SWEEP_SECONDS, now=False)
        for name, value in body.headers:
            request.setHeader(name, value)
        request.notifyFinish().addErrback(lambda _: sending.stopProducing())
        sent = Deferred.fromCoroutine(sending.run())
        sent.addErrback(self._broken, sending)
        sent.addBoth(self._over, sending, place)

    def close(self, grace_seconds: float = GRACE_SECONDS) -> Deferred[None]:
        """
        End all: those whose clients take them may come to their end, the others are cut.

        :param grace_seconds: Who has not taken all by then is cut.
        :returns: Fires when none is left. New ones are refused from now on. Cancelling it cuts all
            at once.
        """
        self._is_ending = True
        self._places.dismiss()
        return Deferred.fromCoroutine(self._close(self._clock.seconds() + grace_seconds))

    async def _close(self, deadline: float) -> None:
        try:
            for sending in tuple(self._sendings):
                if sending.body.is_live:
                    sending.cut()
            self._look_at_all(_LAST_PATIENCE_SECONDS)
            while self._sendings and self._clock.seconds() < deadline:
                await deferLater(self._clock, SETTLE_SECONDS)
                self._look_at_all(_LAST_PATIENCE_SECONDS)
        finally:
            for sending in tuple(self._sendings):
                sending.cut()

    def _sweep(self) -> None:
        self._look_at_all(self._patience)
        in_the_way = [each for each in self._sendings if each.is_in_the_way]
        in_the_way.sort(key=lambda each: -each.idle_seconds)
        for sending in in_the_way[: self._places.waiting]:
            _log.info("A long answer was cut for another: its client takes too little")
            sending.cut()

    def _look_at_all(self, patience: float) -> None:
        now = self._clock.seconds()
        for sending in tuple(self._sendings):
            with _log.failuresHandled("A long answer could not be looked at"):
                sending.look(now, patience)

    def _broken(self, reason: Failure, sending: _Sending) -> None:
        if reason.check(CutShort):
            _log.info("A long answer was cut: {reason}", reason=reason.getErrorMessage())
        else:
            _log.failure("A long answer broke off", reason)
        sending.cut()

    def _over(self, _: None, sending: _Sending, place: Place | None) -> None:
        sending.body.close()
        self._sendings.discard(sending)
        if not self._sendings and self._sweeper.running:
            self._sweeper.stop()
        if place is not None:
            place.leave()
