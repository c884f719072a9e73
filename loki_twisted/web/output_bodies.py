"""What agents print, as the bodies of answers: a stretch of it, or all as it comes."""

from __future__ import annotations

from typing import Final

from loki_twisted.sessions.interface import IOutput
from loki_twisted.web.answers import Headers
from loki_twisted.web.long_answers import CutShort

OCTETS: Final = b"application/octet-stream"
"""No browser makes anything of it."""

NEXT_OFFSET: Final = "X-Next-Offset"
SIZE: Final = "X-Output-Size"

_PIECE_BYTES: Final = 65_536


class OutputPart:
    """
    A stretch of what there is already.

    :param begin: Its offset.
    :param end: That behind it: no more than the size.
    :param size: How much there is in all.
    """

    is_live = False

    def __init__(self, output: IOutput, begin: int, end: int, size: int) -> None:
        self.is_over = begin == end
        self.headers: Headers = (
            (b"Content-Type", OCTETS),
            (b"Content-Length", b"%d" % (end - begin)),
            (NEXT_OFFSET.encode(), b"%d" % end),
            (SIZE.encode(), b"%d" % size),
        )
        self._output = output
        self._at = begin
        self._end = end

    async def some(self) -> bytes:
        """
        Read on.

        :raises CutShort: if the agent has emptied it.
        :raises StorageFailed: if it cannot be read.
        """
        if self.is_over:
            return b""
        data = self._output.read(self._at, min(_PIECE_BYTES, self._end - self._at))
        if not data:
            msg = "the agent has emptied what it had printed"
            raise CutShort(msg)
        self._at += len(data)
        self.is_over = self._at == self._end
        return data

    def close(self) -> None:
        """Let go of it."""
        self._output.close()


class LiveOutput:
    """
    What there is and what comes, until the session has ended.

    :param begin: The offset of the beginning.
    :param limit: How many bytes at most; None is any number.
    :param size: How much there is in all for now.
    """

    is_live = True

    def __init__(self, output: IOutput, begin: int, limit: int | None, size: int) -> None:
        self.is_over = False
        self.headers: Headers = (
            (b"Content-Type", OCTETS),
            (SIZE.encode(), b"%d" % size),
        )
        self._output = output
        self._at = begin
        self._end = None if limit is None else begin + limit
        self._is_closed = False

    async def some(self) -> bytes:
        """
        Read on, or wait until there is more.

        :returns: Nothing, if it is over or was closed.
        :raises CutShort: if the agent has emptied it.
        :raises StorageFailed: if it cannot be read.
        """
        while not self._is_closed:
            # Asked before: what is written between the two would be lost.
            is_all = self._output.is_over
            data = self._output.read(self._at, self._wanted)
            if data:
                self._at += len(data)
                self.is_over = self._at == self._end
                return data
            if self._output.size() < self._at:
                msg = "the agent has emptied what it had printed"
                raise CutShort(msg)
            if is_all:
                self.is_over = True
                break
            await self._output.more()
        return b""

    def close(self) -> None:
        """Let go of it; who waits for more waits no longer."""
        self._is_closed = True
        self._output.close()

    @property
    def _wanted(self) -> int:
        return _PIECE_BYTES if self._end is None else min(_PIECE_BYTES, self._end - self._at)
