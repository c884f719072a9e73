"""What ``strace`` tells of a program's writes, as operations of ``tests/power_loss.py``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.power_loss import (
    Cut,
    Named,
    Operation,
    Removed,
    Renamed,
    Sync,
    SyncDirectory,
    Told,
    Write,
)

_CALLS = (
    *("openat", "pwrite64", "write", "sendto", "fsync", "fdatasync", "ftruncate"),
    *("rename", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
)
_REFUSED = ("creat", "pwritev", "pwritev2", "renameat", "renameat2", "link", "linkat", "truncate")
"""Calls that would change a file, and that nobody makes: whoever does is told of by the reader."""


def recorded(trace: Path) -> tuple[str, ...]:
    """The words before a command that has what it and its children do written to a file."""
    calls = ",".join((*_CALLS, *_REFUSED))
    # Strings whole and in hexadecimal, and the path of each descriptor.
    how = ("-f", "-q", "-xx", "-y", "-s", str(2**24), "--seccomp-bpf")
    return ("strace", *how, "-o", str(trace), "-e", f"trace={calls}")


_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PATH = re.compile(r"<((?:\\x[0-9a-f]{2})*)>")
_LINE = re.compile(r"(\d+) +(.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_UNFINISHED = " <unfinished ...>"
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_SOCKET = b"socket:"


@attrs.frozen
class _Call:
    """A call; ``began`` is how many operations there were when it began."""

    name: str
    arguments: str
    result: int
    began: int

    @property
    def descriptor(self) -> bytes:
        """What its first argument, a descriptor, leads to."""
        found = _PATH.search(self.arguments)
        return _bytes(found[1]) if found else b""

    @property
    def strings(self) -> list[bytes]:
        """Its arguments that are strings."""
        return [_bytes(found[1]) for found in _STRING.finditer(self.arguments)]

    @property
    def path(self) -> str:
        """The path that it names: from where the descriptor leads to, if it has one."""
        named = os.fsdecode(self.strings[-1])
        above = os.fsdecode(self.descriptor) if self.name in ("openat", "unlinkat") else "/"
        return os.path.join(above, named)

    @property
    def numbers(self) -> list[int]:
        """Its last arguments, as far as they are numbers."""
        found = re.search(r"((?:, \d+)+)$", self.arguments)
        return [int(each) for each in found[1].split(", ")[1:]] if found else []


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


class Recording:
    """
    Reads what is below a directory.

    :ivar operations: What was done, in the order in which it came to its end. A write without an
        offset goes to the end of its file.
    """

    def __init__(self, root: Path) -> None:
        self.operations: list[Operation] = []
        self._root = os.path.join(root, "")
        self._files: dict[str, int] = {}
        self._sizes: list[int] = []

    def read(self, trace: Path) -> None:
        """Read what was written to a file; may be called again for what came afterwards."""
        # Complete lines in their order; what a call does it has done when it returns.
        for call in self._calls(trace):
            self._add(call)

    def _calls(self, trace: Path) -> Iterator[_Call]:
        begun: dict[str, tuple[str, int]] = {}
        for line in trace.read_text("ascii", "replace").splitlines():
            found = _LINE.match(line)
            if found is None:
                continue
            thread, words = found.groups()
            began = len(self.operations)
            if words.endswith(_UNFINISHED):
                begun[thread] = (words.removesuffix(_UNFINISHED), began)
                continue
            resumed = _RESUMED.match(words)
            if resumed:
                start, began = begun.pop(thread)
                words = start + resumed[2]
            call = _CALL.match(words)
            if call and (int(call[3]) >= 0 or call[1] in ("fsync", "fdatasync")):
                yield _Call(call[1], call[2], int(call[3]), began)

    def _add(self, call: _Call) -> None:
        if call.name == "sendto":
            if call.descriptor.startswith(_SOCKET) and call.strings:
                self.operations.append(Told(call.strings[0][: call.result]))
            return
        handler = getattr(self, f"_{call.name}", None)
        path = call.path if call.strings else os.fsdecode(call.descriptor)
        if call.name in ("write", "pwrite64"):
            path = os.fsdecode(call.descriptor)
        if not os.path.join(path, "").startswith(self._root):
            return
        assert handler is not None, f"nobody knows what {call.name} does to {path}"
        handler(call, path)

    def _openat(self, call: _Call, path: str) -> None:
        if "O_CREAT" in call.arguments and path not in self._files:
            self._name(path)
        if "O_TRUNC" in call.arguments:
            self._cut(path, 0)

    def _name(self, path: str) -> None:
        self._files[path] = len(self._sizes)
        self.operations.append(Named(path, len(self._sizes)))
        self._sizes.append(0)

    def _cut(self, path: str, size: int) -> None:
        if self._sizes[self._files[path]] != size:
            self.operations.append(Cut(self._files[path], size))
            self._sizes[self._files[path]] = size

    def _ftruncate(self, call: _Call, path: str) -> None:
        if path in self._files:
            self._cut(path, call.numbers[-1])

    def _pwrite64(self, call: _Call, path: str) -> None:
        self._put(call, path, call.numbers[-1])

    def _write(self, call: _Call, path: str) -> None:
        if path in self._files:
            self._put(call, path, self._sizes[self._files[path]])

    def _put(self, call: _Call, path: str, offset: int) -> None:
        if path in self._files:
            file = self._files[path]
            data = call.strings[0][: call.result]
            self.operations.append(Write(file, offset, data))
            self._sizes[file] = max(self._sizes[file], offset + len(data))

    def _fdatasync(self, call: _Call, path: str) -> None:
        if path in self._files:
            self.operations.append(Sync(self._files[path], call.began, call.result == 0))
        elif os.path.isdir(path) and call.result == 0:
            self.operations.append(SyncDirectory(path, call.began))

    _fsync = _fdatasync

    def _rename(self, call: _Call, path: str) -> None:
        old, new = map(os.fsdecode, call.strings)
        self._files[new] = self._files.pop(old)
        self.operations.append(Renamed(old, new))

    def _unlink(self, call: _Call, path: str) -> None:
        self._files.pop(path, None)
        self.operations.append(Removed(path))

    _unlinkat = _rmdir = _unlink

    def _mkdir(self, call: _Call, path: str) -> None:
        self.operations.append(Named(path))
