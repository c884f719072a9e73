"""
The audit log: files of JSON lines in the data directory, that only their owner may read.

An entry is handed to the kernel before the request that it is about is answered, so it outlives
this process. It is not synced: that would make each order wait for the disk, and what was done is
in the event log all the same. While the disk does not answer at all, entries are kept in memory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

import msgspec
from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted.access.interface import Entry, IAudit
from loki_twisted.model.timestamps import iso_from_ms

MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a file. When the next entry would make it longer, it is put aside."""

MOST_OLD: Final = 4
"""So many files that were put aside are kept."""

MOST_HELD: Final = 1_000
"""So many entries are kept in memory while the disk does not answer."""

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC

_log: Final = Logger()
_encode: Final = msgspec.json.Encoder().encode


@implementer(IAudit)
class AuditLog:
    """
    An audit log. It is made at the first entry, and made again if it was removed or moved away.

    :param path: The newest file; those before it have the suffixes ``.1`` (the last one) and up.
    :param now_ms: The wall clock.
    :param answers: Says whether the disk answers: who writes to one that does not would wait.
    """

    def __init__(
        self,
        path: str,
        now_ms: Callable[[], int],
        *,
        most_bytes: int = MOST_BYTES,
        answers: Callable[[], bool] = lambda: True,
    ) -> None:
        self._path = path
        self._now_ms = now_ms
        self._most_bytes = most_bytes
        self._answers = answers
        self._held: list[bytes] = []
        self._file: int | None = None
        self._lost = 0
        self._reason = ""

    def record(self, entry: Entry) -> None:
        """See :class:`IAudit`. Behind entries that were lost one says how many they were."""
        self.look()
        line = self._line(entry)
        if not self._held and self._answers():
            self._put(line)
        elif len(self._held) < MOST_HELD:
            self._held.append(line)
        else:
            self._lose(OSError(errno.ETIMEDOUT, "its disk does not answer"))

    def look(self) -> None:
        """Write what is kept, and how many entries were lost, if any; to be called now and then."""
        if not (self._held or self._reason) or not self._answers():
            return
        held, self._held = self._held, []
        for line in held:
            self._put(line)
        if not self._reason:
            return
        try:
            self._write(self._line({"lost": self._lost}))
        except OSError as error:
            self._fail(error)
            return
        _log.info("The audit log can be written again; {lost} entries are lost", lost=self._lost)
        self._reason = ""
        self._lost = 0

    def problem(self) -> str | None:
        """See :class:`IAudit`."""
        if self._held:
            return f"The audit log waits for its disk: {len(self._held)} entries are not there yet."
        if not self._reason:
            return None
        return f"The audit log cannot be written: {self._reason}; {self._lost} entries are lost."

    def close(self) -> None:
        """Let go of the file. May be repeated; it is opened again for the next entry."""
        self.look()
        if self._held:
            lost, self._held = len(self._held), []
            _log.error("The audit log was not answered by its disk; {n} entries are lost", n=lost)
        self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def _line(self, entry: Entry) -> bytes:
        said = {name: value for name, value in entry.items() if value is not None}
        return _encode({"time": iso_from_ms(self._now_ms()), **said}) + b"\n"

    def _put(self, line: bytes) -> None:
        try:
            self._write(line)
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._lost += 1
        self._fail(error)

    def _fail(self, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        if reason != self._reason:  # told once, not for each entry
            _log.error("The audit log cannot be written: {reason}", reason=reason)
        self._reason = reason
        self._let_go()

    def _write(self, line: bytes) -> None:
        file = self._open()
        size = os.fstat(file).st_size  # another program may have cut it off
        if size and size + len(line) > self._most_bytes:
            self._let_go()
            self._put_aside()
            file = self._open()
        if os.write(file, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open(self) -> int:
        if self._file is not None and not self._is_in_place(self._file):
            self._let_go()
        if self._file is None:
            self._file = os.open(self._path, _FLAGS, 0o600)
            os.fchmod(self._file, 0o600)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                os.write(self._file, b"\n")  # what was cut off is a line of its own
        return self._file

    def _is_in_place(self, file: int) -> bool:
        """Whether the file is still the newest one: who puts files aside compresses them, too."""
        try:
            return os.path.samestat(os.lstat(self._path), os.fstat(file))
        except OSError:
            return False

    def _put_aside(self) -> None:
        for number in range(MOST_OLD - 1, 0, -1):
            if os.path.lexists(f"{self._path}.{number}"):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")
