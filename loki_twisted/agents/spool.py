"""
Reading what an agent writes, while it writes it.

A *spool* is the file that takes one output stream of an agent. It holds everything from the
beginning, so nothing is lost when nobody reads, and whoever reads may take its time: the tail reads
on when its listener has taken the lines before. It has at most one piece in memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.agents.interface import IAgentListener
from loki_twisted.agents.lines import Cursor, cut_lines, first_lines

READ_SIZE: Final = 256 * 1024
"""Bytes of one read: more than a line may have, so that each full read yields something."""

PIECE_LINES: Final = 2000
"""At most so many lines are given at a time: what becomes of them holds the reactor."""

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 10.0

_REMEMBERED = 32


@attrs.frozen(slots=True)
class Piece:
    """
    What one read has found.

    :ivar lines: May be empty, in the dropped rest of a line that was too long.
    :ivar cursor: The place behind it.
    :ivar last_bytes: A few bytes before that place.
    """

    lines: Sequence[str]
    cursor: Cursor
    last_bytes: bytes


class Spool:
    """
    A spool file, and the place up to which it was read.

    An agent can empty the file: a script's ``echo > /dev/stderr`` opens it anew and
    truncates it. The bytes before the place tell that; then reading begins again at the start.
    """

    _log = Logger()

    def __init__(self, path: str, cursor: Cursor, *, is_growing: bool) -> None:
        """
        Open it; make it if it is not there.

        :param is_growing: Whether the agent runs. If not, a file that is shorter than was
            read already has lost its end with the power, not been emptied.
        :raises OSError: if that fails.
        """
        self._path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if is_growing and os.fstat(self._file).st_size < cursor.offset:
            cursor = Cursor()
        self._cursor = cursor
        start = max(0, cursor.offset - _REMEMBERED)
        before = os.pread(self._file, cursor.offset - start, start)
        self._last_bytes = before if start + len(before) == cursor.offset else b""

    def read(self, *, is_last: bool) -> Piece | None:
        """
        Read what stands at the place.

        :param is_last: Whether nobody writes any more.
        :returns: None if there is nothing, or nothing whole.
        """
        before = self._last_bytes
        data = os.pread(self._file, len(before) + READ_SIZE, self._cursor.offset - len(before))
        if not data.startswith(before):
            self._log.warn("{path} was emptied, and is read from its start", path=self._path)
            self._cursor, self._last_bytes = Cursor(), b""
            return self.read(is_last=is_last)
        is_last = is_last and len(data) < len(before) + READ_SIZE
        fresh = data[len(before) :]
        few = first_lines(fresh, PIECE_LINES)
        is_last = is_last and len(few) == len(fresh)
        lines, cursor = cut_lines(self._cursor, few, is_last=is_last)
        if cursor == self._cursor:
            return None
        end = len(before) + cursor.offset - self._cursor.offset
        return Piece(lines, cursor, data[max(0, end - _REMEMBERED) : end])

    def pass_over(self, piece: Piece) -> None:
        """Go on behind a piece, which was the last one read."""
        self._cursor, self._last_bytes = piece.cursor, piece.last_bytes

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class _Stage(Enum):
    GROWING = "the agent may write more"
    COMPLETE = "nobody writes any more"
    STOPPED = "we do not read any more"


class Tail:
    """
    Gives the lines of one spool to a listener, in order, until there will be no more.

    What the listener fails to take it is offered again, after a pause that grows.
    """

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, spool: Spool, stream: str, name: str, listener: IAgentListener
    ) -> None:
        """
        Make one that reads nothing yet.

        :param name: Of the cursor, for the listener.
        """
        self._clock = clock
        self._spool = spool
        self._stream = stream
        self._name = name
        self._listener = listener
        self._stage = _Stage.GROWING
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
            is_last = self._stage is _Stage.COMPLETE
            piece = self._spool.read(is_last=is_last)
            if piece is not None:
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
        return taken.addCallbacks(lambda _: True, self._refused)

    def _refused(self, failure: Failure) -> bool:
        self._log.failure(
            "{name} was not taken, and will be offered again", failure, name=self._name
        )
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
        self._spool.close()
        return result
