"""The agent's standard input."""

from __future__ import annotations

import os

_CHUNK = 64 * 1024
_CHUNKS_A_TURN = 64


class Feed:
    """
    Copies the input file to the agent, as fast as the agent takes it.

    :ivar sink: The writing end of the pipe.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.sink = sink
        self._source = source
        self._offset = 0
        os.set_blocking(sink, False)

    def pump(self) -> bool:
        """
        Copy what there is now.

        :returns: Whether there is more, for when the pipe has room.
        """
        for _ in range(_CHUNKS_A_TURN):
            data = os.pread(self._source, _CHUNK, self._offset)
            if not data:
                return False
            try:
                self._offset += os.write(self.sink, data)
            except BlockingIOError:
                return True
            except BrokenPipeError:  # The agent has closed it: nobody will read the rest.
                return False
        return True

    def close(self) -> None:
        """Let the agent see the end of its input."""
        os.close(self.sink)
        os.close(self._source)
