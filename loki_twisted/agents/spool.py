"""
Reading what an agent writes, while it writes it.

A *spool* is the file that takes one output stream of an agent. It holds everything from the
beginning, so nothing is lost when nobody reads, and whoever reads may take its time: the tail reads
on when its listener has taken the lines before. It has at most one piece in memory, or one line.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.agents.interface import IAgentListener
from loki_twisted.agents.lines import LINE_LIMIT, Cursor, cut_lines
from loki_twisted.agents.long_line import LongLine
from loki_twisted.agents.pieces import Piece, portion_of, work_of
from loki_twisted.agents.richness import VALUE_LIMIT
from loki_twisted.agents.spool_file import open_spool
from loki_twisted.agents.spool_room import SpoolRoom
from loki_twisted.kernel.shares import Shares
from loki_twisted.model.errors import StorageFailed, Unavailable
from loki_twisted.model.refusals import Refusals

READ_SIZE: Final = 256 * 1024
"""Bytes of one read. A line that is longer is put together from several."""

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 5.0

_REMEMBERED = 32


class Spool:
    """
    A spool file, and the place up to which it was read.

    An agent can empty the file: a script's ``echo > /dev/stderr`` opens it anew and
    truncates it. The bytes before the place tell that; then reading begins again at the start.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        cursor: Cursor,
        *,
        is_growing: bool,
        line_limit: int = LINE_LIMIT,
        value_limit: int = VALUE_LIMIT,
    ) -> None:
        """
        Open it; make it if it is not there.

        :param is_growing: Whether the agent runs. If not, a file that is shorter than was
            read already has lost its end with the power, not been emptied.
        :param line_limit: Bytes of a line beyond which it is cut.
        :param value_limit: Values of JSON in a line beyond which it is cut.
        :raises OSError: if that fails.
        """
        self._path = path
        self._limit = line_limit
        self._file = open_spool(path)
        self._room = SpoolRoom(self._file)
        self._value_limit = value_limit
        if is_growing and os.fstat(self._file).st_size < cursor.offset:
            cursor = Cursor()
        self._cursor = cursor
        self._long = self._no_line()
        start = max(0, cursor.offset - _REMEMBERED)
        before = os.pread(self._file, cursor.offset - start, start)
        self._last_bytes = before if start + len(before) == cursor.offset else b""

    def read(self, *, is_last: bool) -> Piece | None:
        """
        Read what stands at the place. A piece is to be passed over before the next read.

        :param is_last: Whether nobody writes any more.
        :returns: None if there is nothing, or nothing whole.
        """
        before = self._last_bytes
        place = self._cursor.offset + self._long.size
        data = os.pread(self._file, len(before) + READ_SIZE, place - len(before))
        if not data.startswith(before):
            self._log.warn("{path} was emptied, and is read from its start", path=self._path)
            self._cursor, self._last_bytes = Cursor(), b""
            self._long = self._no_line()
            return self.read(is_last=is_last)
        is_at_end = len(data) < len(before) + READ_SIZE
        if is_at_end and not is_last:
            self._room.keep_behind(place - len(before) + len(data))
        is_last = is_last and is_at_end
        fresh = data[len(before) :]
        if self._long.size or (not is_last and self._is_long(fresh)):
            return self._read_on(before, fresh, is_last=is_last)
        few = portion_of(fresh)
        is_last = is_last and len(few) == len(fresh)
        lines, cursor = cut_lines(
            self._cursor, few, is_last=is_last, limit=self._limit, value_limit=self._value_limit
        )
        if cursor == self._cursor:
            return None
        end = len(before) + cursor.offset - self._cursor.offset
        return Piece(lines, cursor, data[max(0, end - _REMEMBERED) : end], work_of(few))

    def pass_over(self, piece: Piece) -> None:
        """Go on behind a piece, which was the last one read."""
        if piece.cursor != self._cursor:
            self._long = self._no_line()
        self._cursor, self._last_bytes = piece.cursor, piece.last_bytes

    def _no_line(self) -> LongLine:
        return LongLine(self._limit, self._value_limit)

    def _is_long(self, fresh: bytes) -> bool:
        """Whether this is the beginning of a line that had better not be read again."""
        return (
            LINE_LIMIT < len(fresh) <= self._limit
            and b"\n" not in fresh
            and not self._cursor.is_dropping
        )

    def _read_on(self, before: bytes, fresh: bytes, *, is_last: bool) -> Piece | None:
        """Read more of a long line. What was read of it is not read again."""
        newline = fresh.find(b"\n")
        has_newline = newline >= 0
        used = newline + 1 if has_newline else len(fresh)
        line = self._long
        line.add(fresh[:newline] if has_newline else fresh)
        last_bytes = (before + fresh[:used])[-_REMEMBERED:]
        if has_newline or is_last or line.is_too_long:
            is_dropping = line.is_too_long and not has_newline
            cursor = Cursor(self._cursor.offset + line.size + has_newline, is_dropping)
            work = work_of(fresh[:used])
            return Piece([line.text(has_newline=has_newline)], cursor, last_bytes, work)
        self._last_bytes = last_bytes
        if len(fresh) < READ_SIZE:
            return None
        return Piece((), self._cursor, last_bytes, work_of(fresh))

    def close(self, *, is_complete: bool = False) -> None:
        """
        Close the file.

        :param is_complete: Whether nobody writes any more.
        """
        if is_complete:
            self._room.give_back()
        os.close(self._file)


class _Stage(Enum):
    GROWING = "the agent may write more"
    COMPLETE = "nobody writes any more"
    STOPPED = "we do not read any more"


class Tail:
    """
    Gives the lines of one spool to a listener, in order, until there will be no more.

    What the listener fails to take it is offered again, after a pause that grows. That is
    told once, and how often it was when it is over.
    """

    _log = Logger()

    def __init__(
        self, shares: Shares, spool: Spool, stream: str, name: str, listener: IAgentListener
    ) -> None:
        """
        Make one that reads nothing yet.

        :param shares: Of all those that read on the same reactor.
        :param name: Of the cursor, for the listener.
        """
        self._shares = shares
        self._clock = shares.clock
        self._spool = spool
        self._stream = stream
        self._name = name
        self._listener = listener
        self._stage = _Stage.GROWING
        self._refusals = Refusals()
        self._ring: Deferred[None] | None = None
        self._waits_for: Deferred[None] | None = None

    def read(self) -> Deferred[bool]:
        """
        Begin.

        :returns: Fires when the listener is given nothing more and has answered to the last it
            was given: with True if it has taken everything up to the end of the spool.
        """
        done = ensureDeferred(self._read())
        return done.addCallbacks(lambda _: True, self._ended_early).addCallback(self._close)

    def look(self) -> None:
        """Be told that there may be more."""
        if self._ring is not None:
            ring, self._ring = self._ring, None
            ring.callback(None)

    def finish(self) -> None:
        """Be told that nobody writes any more."""
        if self._stage is _Stage.GROWING:
            self._stage = _Stage.COMPLETE
            self.look()

    def stop(self) -> None:
        """Give the listener nothing more."""
        self._stage = _Stage.STOPPED
        if self._waits_for is not None:
            self._waits_for.cancel()

    async def _read(self) -> None:
        while True:
            await self._wait(self._shares.mine())
            is_last = self._stage is _Stage.COMPLETE
            piece = self._spool.read(is_last=is_last)
            if piece is not None:
                self._shares.spend(piece.work)
                await self._give(piece)
                self._spool.pass_over(piece)
                # Others have their turn, however much there is to read.
                await self._wait(deferLater(self._clock, 0))
            elif is_last:
                return
            else:
                self._ring = Deferred()
                await self._wait(self._ring)

    async def _give(self, piece: Piece) -> None:
        pause = FIRST_PAUSE_SECONDS
        while piece.lines and not await self._offer(piece):
            await self._wait(deferLater(self._clock, pause))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _offer(self, piece: Piece) -> Deferred[bool]:
        cursors = {self._name: str(piece.cursor)}
        taken = maybeDeferred(self._listener.lines_received, self._stream, piece.lines, cursors)
        return taken.addCallbacks(self._taken, self._refused)

    def _taken(self, _: object) -> bool:
        count = self._refusals.over()
        if count:
            self._log.info("{name} was taken, after {count} refusals", name=self._name, count=count)
        return True

    def _refused(self, failure: Failure) -> bool:
        words = "{name} was not taken, and will be offered again"
        if not self._refusals.is_news(failure.getErrorMessage()):
            return False  # it may last for hours
        if failure.check(StorageFailed, Unavailable):
            # Where it failed is known.
            self._log.warn(f"{words}: {{error}}", name=self._name, error=failure.value)
        else:
            self._log.failure(words, failure, name=self._name)
        return False

    async def _wait(self, something: Deferred[None]) -> None:
        """Wait for something that may be given up; the listener's own answer may not."""
        if self._stage is _Stage.STOPPED:
            something.cancel()
        self._waits_for = something
        try:
            await something
        finally:
            self._waits_for = None

    def _ended_early(self, failure: Failure) -> bool:
        if failure.check(CancelledError):
            return False
        # Better an end without its last words than none.
        self._log.failure("{name} cannot be read", failure, name=self._name)
        return True

    def _close(self, result: bool) -> bool:
        self._spool.close(is_complete=self._stage is _Stage.COMPLETE)
        return result
