"""Our standard output: the lines of a program, and between them our own."""

from __future__ import annotations

import errno
import json
import math
import os
import time

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from typing import Any

MARK = "loki.bridge"
"""The field that our own lines have and no agent's: the kind of line."""

MOST_LINE = 60 * 1024
"""Bytes of a line of ours, so that every reader takes it whole."""

_SIZES = ((8 * 1024, 8), (1024, 6), (128, 4), (32, 3))
"""Characters of a text and levels of a value: of each attempt to make it fit into a line."""

_MOST_ENTRIES = 50
_MOST_NUMBER = 2**63
_MOST_HELD = 64 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_SECONDS = 0.5


class Voice:
    """
    Passes on what a program prints, and says things of our own.

    The end of what came is held until the rest of its line is there, and no more than 64 KiB of
    it: of a longer line the parts are passed on as they come. While one is under way, what we
    have to say waits for its end.
    """

    def __init__(self, descriptor: int) -> None:
        """
        Begin with nothing said.

        :param descriptor: Where to write to.
        """
        self._descriptor = descriptor
        self._key = os.urandom(8).hex()
        self._held = bytearray()
        self._is_within_line = False
        self._waiting: list[bytes] = []

    @property
    def is_waiting(self) -> bool:
        """Whether something of ours waits for the end of a line."""
        return bool(self._waiting)

    def pass_on(self, data: bytes) -> None:
        """Pass on what the program printed."""
        self._held += data
        end = self._held.rfind(b"\n") + 1
        if end:
            self._write(self._held[:end])
            del self._held[:end]
            self._is_within_line = False
            self._say_waiting()
        if len(self._held) > _MOST_HELD:
            self._write(self._held)
            self._held.clear()
            self._is_within_line = True

    def end_line(self) -> None:
        """The program prints no more: end its last line, if it did not."""
        if self._held or self._is_within_line:
            self.pass_on(b"\n")

    def say(self, kind: str, **fields: Any) -> None:
        """
        Say something of our own, on a line.

        :param fields: What can be JSON; shortened until it fits.
        """
        line = b""
        for most, depth in _SIZES:
            said = {MARK: kind, "key": self._key, **bounded(fields, most, depth)}
            line = json.dumps(said).encode("ascii")
            if len(line) <= MOST_LINE:
                break
        self._waiting.append(line + b"\n")
        self._say_waiting()

    def _say_waiting(self) -> None:
        if not self._is_within_line:
            while self._waiting:
                self._write(self._waiting.pop(0))

    def _write(self, data: bytes | bytearray) -> None:
        write_all(self._descriptor, bytes(data))


def write_all(descriptor: int, data: bytes) -> None:
    """
    Write all of it. Where the disk is full, wait: the program waits with us.

    :raises OSError: if it cannot be written for another reason.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            if error.errno not in _FULL:
                raise
            time.sleep(_FULL_SECONDS)


def bounded(value: Any, most: int, depth: int) -> Any:
    """
    Shorten a JSON value.

    :param most: Characters that each text in it may have.
    :param depth: Levels of objects and lists that it may have.
    :returns: The same with at most 50 entries in each object and list, and a word for what is left
        out; never a number or half a character that JSON can say and others cannot read.
    """
    if isinstance(value, str):
        said = value.encode("utf-8", "replace").decode()
        return said if len(said) <= most else f"{said[:most]}… [cut, {len(said)} characters in all]"
    if isinstance(value, (dict, list)):
        return _bounded_entries(value, most, depth) if depth else "…"
    if isinstance(value, int) and not -_MOST_NUMBER <= value < _MOST_NUMBER:
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _bounded_entries(value: dict[str, Any] | list[Any], most: int, depth: int) -> Any:
    more = len(value) - _MOST_ENTRIES
    word = f"… [{more} more]"
    if isinstance(value, list):
        items = [bounded(each, most, depth - 1) for each in value[:_MOST_ENTRIES]]
        return [*items, word] if more > 0 else items
    entries = list(value.items())[:_MOST_ENTRIES]
    named = {
        bounded(name, min(most, 256), 1): bounded(each, most, depth - 1) for name, each in entries
    }
    return {**named, "…": word} if more > 0 else named
