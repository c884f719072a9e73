"""
One subscriber: a cursor in the log.

There is one mechanism for replay, resume, lag and live. The cursor is the
number of the last event that the subscriber was given (or did not want). While it is
behind, it reads on from the log, one page at a time and only while its
transport takes bytes. When it has reached what was published, it joins the round of
those who are handed what is published next. When its transport is full it
leaves the round, and nothing is kept for it: it reads on from its cursor later.

Joining is exact: the position and the cursor are compared, and the round is
joined, in one turn of the reactor, and each piece that is published is compared with the cursor
again. Whatever does not fit exactly is read from the log.

All that may happen in a state stands in :mod:`~loki_twisted.stream.states`; what is not there
has no effect.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from loki_twisted.log.interface import Page
from loki_twisted.model.blocks import Block
from loki_twisted.model.identifiers import event_id
from loki_twisted.stream import sse
from loki_twisted.stream.beginning import Beginning, beginning_of
from loki_twisted.stream.group import Group
from loki_twisted.stream.host import Host
from loki_twisted.stream.interface import ISink
from loki_twisted.stream.position import ResetReason, Start
from loki_twisted.stream.states import TRANSITIONS, Cue, State
from loki_twisted.stream.tail import PAGE_BYTES, pieces
from loki_twisted.stream.taking import Taking

_log = Logger()


@implementer(IPushProducer)
class Subscriber:
    """
    One subscriber. Made by :meth:`~loki_twisted.stream.hub.Hub.subscribe`.

    Register it as a push producer with what carries its bytes, then :meth:`start` it; call
    :meth:`lost` when the connection is gone.

    :ivar cursor: Number of the last event that it was given or did not want. What is
        published when it is made, until it is known where it begins.
    """

    __slots__ = (
        "_gapless",
        "_group",
        "_history_end",
        "_host",
        "_quiet_since",
        "_sink",
        "_start",
        "_taking",
        "_written",
        "cursor",
        "state",
    )

    def __init__(self, host: Host, group: Group, sink: ISink, start: Start, now: float) -> None:
        self._host = host
        self._group = group
        self._sink = sink
        self._start: Start | None = start
        self._history_end: int | None = None
        # Whether nothing may be missing behind the cursor, or else it is told so. Where it
        # begins before ``complete_from`` of the log, it is given what there is.
        self._gapless = True
        self._written = 0
        self._taking = Taking(now)
        self._quiet_since = now
        self.cursor = host.position
        self.state = State.REPLAYING

    @property
    def group(self) -> Group:
        """The group that it belongs to."""
        return self._group

    def start(self) -> None:
        """Begin to send. What fails after this ends the connection, and is logged."""
        self._sink.write(sse.GREETING)
        self._replay()

    # From the hub

    def give(self, first: int, last: int, data: bytes) -> None:
        """
        Take a piece of what is published.

        :param first: Number of the first event of the piece.
        :param last: Number of the last.
        :param data: What the filter wants of them; may be empty.
        """
        if self.state is not State.LIVE:
            return
        if self.cursor + 1 == first:
            self.cursor = last
            if data:
                self._sink.write(data)
        elif self._move(Cue.MISSED):
            self._replay()

    def announce(self, frame: bytes) -> None:
        """Take a frame that is not in the log. It is as if it was told nothing."""
        if self.state is State.LIVE:
            self._sink.write(frame)
            # Heartbeats come more often than the place would, and tell none.
            self._written += len(frame)

    def part(self) -> None:
        """Say that the stream ends, if it has been given all. Otherwise it will when it has."""
        if self.state is State.LIVE:
            self._end()

    def settle(self) -> None:
        """Be gone, if all has been taken after the end was said."""
        if self.state is State.ENDING and not self._sink.progress().held:
            self.lost()

    def look(self, now: float) -> None:
        """
        Cut it if it has taken nothing for too long; keep it awake if it was told nothing for long.

        :param now: Seconds of the clock that goes on between calls by ``sweep_seconds``.
        """
        patience = self._host.patience
        sweep = patience.sweep_seconds
        progress = self._sink.progress()
        stuck = bool(progress.held) or self.state in (State.FULL, State.STUFFED)
        self._taking = self._taking.look(now, progress.taken, is_stuck=stuck)
        if progress.written != self._written:
            self._written = progress.written
            self._quiet_since = now - sweep
        if self._taking.idle_seconds(now) > patience.stall_seconds + sweep / 2:
            _log.info("A subscriber took nothing for {seconds} s", seconds=patience.stall_seconds)
            self.cut()
        elif now - self._quiet_since > patience.keep_alive_seconds - sweep / 2:
            self._keep_awake(now)

    def _keep_awake(self, now: float) -> None:
        if self.state in (State.LIVE, State.REPLAYING):
            self._sink.write(sse.KEEP_ALIVE + self._known_place())
            self._written = self._sink.progress().written
            self._quiet_since = now

    # From the transport

    def pauseProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Leave the round: the transport is full."""
        self._move(Cue.FILLED)

    def resumeProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Read on: the transport has room."""
        idle = self.state is State.FULL
        if self._move(Cue.DRAINED) and idle:
            self._replay()

    def stopProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Be gone, with the connection."""
        self.lost()

    def lost(self, _reason: object = None) -> None:
        """Be gone: the connection is."""
        if self._move(Cue.LOST):
            self._host.forget(self)

    def cut(self) -> None:
        """Cut the connection, and be gone."""
        if self.state is not State.CLOSED:
            self.lost()
            self._sink.abort()

    # Reading on

    def _move(self, cue: Cue) -> bool:
        following = TRANSITIONS[self.state].get(cue)
        if following is None:
            return False
        if self.state is State.LIVE:
            self._group.live.pop(self, None)
        self.state = following
        if following is State.LIVE:
            self._group.live[self] = None
        return True

    def _replay(self) -> None:
        Deferred.fromCoroutine(self._catch_up()).addErrback(self._broken)

    def _broken(self, reason: Failure) -> None:
        if self.state is State.CLOSED:
            _log.debug("A read for a subscriber that is gone failed: {reason}", reason=reason.value)
        else:
            _log.failure("The stream of a subscriber broke off", reason)
            self.cut()

    async def _catch_up(self) -> None:
        """Read until the position is reached or the transport is full. Only one runs at a time."""
        host = self._host
        if self._start is not None:
            begun = await beginning_of(self._start, self._group.wanted, host)
            self._start = None
            await self._begin(begun)
        while self.state is State.REPLAYING:
            if self.cursor >= host.position:
                self._caught_up()
                continue
            page = host.recent(self.cursor)
            if page is None:
                page = await host.log.read(self.cursor, self._group.wanted, PAGE_BYTES)
                if self._gapless and page.complete_from > self.cursor + 1:
                    # It was overtaken. What there is behind its cursor still comes.
                    await self._reset(None, ResetReason.EXPIRED)
            if self.state is State.REPLAYING:
                self._give_page(page)
        self._move(Cue.ANSWERED)

    async def _begin(self, begun: Beginning) -> None:
        self.cursor = begun.cursor
        self._history_end = begun.history_end
        if begun.reset is not None:
            await self._reset(begun.asked, begun.reset)
        self._gapless = begun.is_gapless
        if self.state is not State.CLOSED:
            self._sink.write(sse.place(begun.place))

    def _known_place(self) -> bytes:
        """
        What tells a client that has all where it is, if that is known without a read.

        Who wants nothing of what goes by would else come back to an event of long ago.
        """
        milliseconds = self._host.times.known(self.cursor) if self.state is State.LIVE else None
        return b"" if milliseconds is None else sse.place(event_id(self.cursor, milliseconds))

    async def _reset(self, asked: str | None, reason: ResetReason) -> None:
        """Say that it does not go on where the client is."""
        self._gapless = False
        ends = await self._host.log.ends()
        if self.state is not State.CLOSED:
            shown = None if asked is None else sse.harmless(asked)
            self._sink.write(sse.reset(shown, ends.oldest, ends.newest, reason))

    def _give_page(self, page: Page) -> None:
        if page.reached <= self.cursor:
            raise RuntimeError(f"the log has nothing behind {self.cursor}, but published more")
        for piece in pieces(page.blocks, self._host.piece_bytes):
            self._give_piece(piece, max(self.cursor, piece[-1].last_seq))
            if self.state is not State.REPLAYING:
                break  # the rest is read again when there is room
        else:
            self._give_piece((), page.reached)
        # Nothing is missing behind the cursor, as of when the page was read.
        self._gapless = self._gapless or page.complete_from <= self.cursor + 1

    def _give_piece(self, blocks: Sequence[Block], reached: int) -> None:
        after, wanted, end = self.cursor, self._group.wanted, self._history_end
        self.cursor = reached
        if end is None or reached < end:
            selected = [block.select(wanted, after) for block in blocks]
        else:
            # A block may lie on both sides: neighbours are joined when they are read.
            past = [block.until(end + 1) for block in blocks if block.first_seq <= end]
            selected = [block.select(wanted, after) for block in past]
            selected.append(sse.HISTORY_END)
            selected += [block.select(wanted, max(after, end)) for block in blocks]
            self._history_end = None
        data = b"".join(selected)
        if data:
            self._sink.write(data)

    def _caught_up(self) -> None:
        self._gapless = True
        if self._history_end is not None:
            self._history_end = None
            self._sink.write(sse.HISTORY_END)
        if self._host.closing:
            self._end()
        else:
            self._move(Cue.CAUGHT_UP)

    def _end(self) -> None:
        if self._move(Cue.ENDED):
            self._sink.write(self._host.farewell())
            self._sink.finish()
