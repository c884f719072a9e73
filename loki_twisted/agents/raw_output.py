"""What an agent has written to one of its streams, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from zope.interface import implementer

from loki_twisted.agents.bell import Bell, Heard
from loki_twisted.agents.files import AgentFiles, open_at_once
from loki_twisted.agents.interface import IAgentOutput
from loki_twisted.model.errors import StorageFailed

MOST_AT_ONCE: Final = 256 * 1024
"""A read gives no more bytes: it holds the reactor."""


@implementer(IAgentOutput)
class RawOutput:
    """The spool of one stream, open for reading, beside whoever follows the agent."""

    def __init__(self, files: AgentFiles, stream: str, bell: Callable[[], Bell]) -> None:
        """
        Open it.

        :param bell: Called if somebody wants to listen.
        :raises FileNotFoundError: if it is not there.
        :raises OSError: if it cannot be opened.
        """
        self._directory = files.directory
        self._bell = bell
        self._file = open_at_once(files.path(stream), os.O_RDONLY)

    def size(self) -> int:
        """See :class:`IAgentOutput`."""
        return os.fstat(self._file).st_size

    def read(self, offset: int, count: int) -> bytes:
        """See :class:`IAgentOutput`."""
        try:
            return os.pread(self._file, min(count, MOST_AT_ONCE), offset)
        except OSError as error:
            msg = f"The output cannot be read: {error.strerror}."
            raise StorageFailed(msg) from error

    def listen(self, heard: Heard) -> Callable[[], None]:
        """See :class:`IAgentOutput`."""
        return self._bell().listen(self._directory, heard)

    def close(self) -> None:
        """See :class:`IAgentOutput`."""
        os.close(self._file)
