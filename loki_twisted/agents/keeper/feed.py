"""The agent's standard input."""

from __future__ import annotations

import os

from .layout import INPUT, INPUT_END

_CHUNK = 64 * 1024
_CHUNKS_A_TURN = 64


class Feed:
    """
    Copies the input file to the agent, as fast as the agent takes it.

    :ivar sink: The writing end of the pipe.
    :ivar is_over: Whether the input has ended, and the agent was given all of it.
    """

    def __init__(self, directory: str, sink: int) -> None:
        """
        Begin at the beginning.

        :param directory: Where the input file is, and the mark of its end will be.
        :raises OSError: if it is not there.
        """
        self.sink = sink
        self.is_over = False
        self._source = os.open(os.path.join(directory, INPUT), os.O_RDONLY)
        self._mark = os.path.join(directory, INPUT_END)
        self._offset = 0
        os.set_blocking(sink, False)

    def pump(self) -> bool:
        """
        Copy what there is now.

        :returns: Whether there is more, for when the pipe has room.
        """
        # Before the last look at the file: what is written between the two would be lost.
        has_ended = os.path.exists(self._mark)
        for _ in range(_CHUNKS_A_TURN):
            data = os.pread(self._source, _CHUNK, self._offset)
            if not data:
                self.is_over = has_ended
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
