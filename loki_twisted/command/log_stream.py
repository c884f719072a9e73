"""
A stream that lines are written to, and that holds up nobody.

Who reads a log may have stopped: a pipe that nobody empties, a terminal that is halted, a journal
that is stuck. A line that finds no room is lost then, and counted: a server that waited would wait
for ever.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable
from typing import Final, TextIO

WAIT_MS: Final = 10
"""For so long it is waited for room, once: a reader may only be slow."""

_AT_ONCE: Final = 4096
"""Bytes (``PIPE_BUF``) of which one write is whole and does not wait, if there is room at all."""


class LineStream:
    """
    Writes whole lines to the descriptor of a stream. Any thread may call it.

    The descriptor stays as it is: others may share it, who do not expect it to be non-blocking. A
    terminal is opened anew, because it says that it has room when it has some for a byte.

    :param stream: Where to. One without a descriptor is written to as it is.
    :param told: Makes a line of how many were lost, for when there is room again.
    """

    def __init__(self, stream: TextIO, told: Callable[[int], str]) -> None:
        self._lost = 0
        self._told = told
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"
        self._descriptor = _descriptor_of(stream)
        self._room = select.poll()
        self._lock = threading.Lock()
        self._is_stuck = False
        self._is_torn = False
        if self._descriptor is not None:
            self._room.register(self._descriptor, select.POLLOUT)

    def write(self, line: str) -> None:
        """Write a line, with its end, or lose it."""
        if self._descriptor is None:
            self._stream.write(line)
            self._stream.flush()
            return
        with self._lock:
            if self._lost and self._write(self._descriptor, self._told(self._lost)):
                self._lost = 0
            if self._lost or not self._write(self._descriptor, line):
                self._lost += 1

    def _write(self, descriptor: int, line: str) -> bool:
        """Write a line, or some of it, which the next one ends; says whether it was all of it."""
        begin, data = 0, line.encode(self._encoding, "backslashreplace")
        if self._is_torn:
            data = b"\n" + data
        while begin < len(data):
            if not self._has_room():
                self._is_torn |= begin > 0
                return False
            try:
                begin += os.write(descriptor, data[begin : begin + _AT_ONCE])
            except OSError:  # Nobody is there any more, or the disk is full.
                self._is_torn |= begin > 0
                return False
        self._is_torn = False
        return True

    def _has_room(self) -> bool:
        found = self._room.poll(0 if self._is_stuck else WAIT_MS)
        self._is_stuck = not found
        return not self._is_stuck


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        descriptor = stream.fileno()
    except (OSError, AttributeError):
        return None
    if os.isatty(descriptor):
        with contextlib.suppress(OSError):  # It may be somebody else's: then it is what there is.
            return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    return descriptor
