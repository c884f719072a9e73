"""
What a power loss may leave of files: pure functions on the list of what was done to them.

What is promised by the system is what was synced before. Of all else each piece of 512 bytes may be
there or not, whatever came after it; of the names in a directory those of its first changes are
there. (A system that keeps one journal leaves less to chance than that.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from random import Random
from typing import TypeAlias

import attrs

SECTOR = 512
"""A disk writes so many bytes, at a place that this divides, wholly or not at all."""

_DIRECTORY = -1


@attrs.frozen
class Write:
    """Bytes that were written to a file."""

    file: int
    offset: int
    data: bytes


@attrs.frozen
class Cut:
    """A file that was given a length."""

    file: int
    size: int


@attrs.frozen
class Sync:
    """
    A file that was synced, or could not be.

    :ivar covers: How many of the operations had come to an end when this began.
    :ivar is_done: If not, what it was about is believed to be on the disk, and no later one is
        about it: whether it is there nobody knows.
    """

    file: int
    covers: int
    is_done: bool = True


@attrs.frozen
class Named:
    """A name that came into a directory: that of a file, or of a directory itself."""

    path: str
    file: int = _DIRECTORY


@attrs.frozen
class Renamed:
    """A name that took the place of another of the same directory."""

    old: str
    new: str


@attrs.frozen
class Removed:
    """A name that went."""

    path: str


@attrs.frozen
class SyncDirectory:
    """A directory whose names were synced; ``covers`` is that of :class:`Sync`."""

    path: str
    covers: int


@attrs.frozen
class Told:
    """Bytes that went out to somebody else, who believes them."""

    data: bytes


Operation: TypeAlias = Write | Cut | Sync | Named | Renamed | Removed | SyncDirectory | Told


@attrs.frozen
class Image:
    """
    What is there when the power is.

    :ivar files: Their bytes by their paths.
    """

    files: Mapping[str, bytes]
    directories: Sequence[str]

    def restore(self, root: str, place: Path) -> None:
        """Make it, with another directory for the one that all of it is below."""
        for path in (*self.directories, *map(os.path.dirname, self.files)):
            Path(place, os.path.relpath(path, root)).mkdir(0o700, parents=True, exist_ok=True)
        for path, data in self.files.items():
            there = Path(place, os.path.relpath(path, root))
            there.write_bytes(data)
            there.chmod(0o600)


def told(operations: Sequence[Operation]) -> bytes:
    """All that was said, in one piece."""
    return b"".join(each.data for each in operations if isinstance(each, Told))


def without_syncs(operations: Sequence[Operation]) -> list[Operation]:
    """The same, done by somebody who never syncs."""
    syncs = (Sync, SyncDirectory)
    return [
        attrs.evolve(each, covers=0) if isinstance(each, syncs) else each for each in operations
    ]


def crash(operations: Sequence[Operation], chance: Random) -> Image:
    """
    Lose the power behind the last of some operations.

    :param chance: Decides what is left of that which was not synced.
    """
    kept = chance.choice((0.0, 0.5, 0.9, 1.0, chance.random()))
    names = _names_left(operations, chance, kept)
    synced = _synced(operations)
    contents: dict[int, bytearray] = {}
    for index, each in enumerate(operations):
        if not isinstance(each, Write | Cut):
            continue
        content = contents.setdefault(each.file, bytearray())
        is_synced = index in synced
        if isinstance(each, Write):
            for offset, data in _sectors(each):
                if is_synced or chance.random() < kept:
                    _put(content, offset, data)
        elif is_synced or chance.random() < kept:
            _resize(content, each.size)
    directories = [path for path, file in names.items() if file == _DIRECTORY]
    files = {
        path: bytes(contents.get(file, b"")) for path, file in names.items() if file != _DIRECTORY
    }
    return Image(files, directories)


def _synced(operations: Sequence[Operation]) -> AbstractSet[int]:
    """Say which changes of files are on the disk, by their indexes."""
    synced: set[int] = set()
    pending: dict[int, list[int]] = {}
    for index, each in enumerate(operations):
        if isinstance(each, Write | Cut):
            pending.setdefault(each.file, []).append(index)
        elif isinstance(each, Sync):
            waiting = pending.pop(each.file, [])
            if each.is_done:
                synced.update(change for change in waiting if change < each.covers)
            pending[each.file] = [change for change in waiting if change >= each.covers]
    return synced


def _sectors(write: Write) -> Iterator[tuple[int, bytes]]:
    """Cut at the borders of sectors."""
    start = 0
    while start < len(write.data):
        offset = write.offset + start
        end = start + SECTOR - offset % SECTOR
        yield offset, write.data[start:end]
        start = end


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        _resize(content, offset)
    content[offset : offset + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _names_left(operations: Sequence[Operation], chance: Random, kept: float) -> Mapping[str, int]:
    """Say which names there are, each with the file that it means."""
    changes = [
        (index, each)
        for index, each in enumerate(operations)
        if isinstance(each, Named | Renamed | Removed)
    ]
    synced: dict[str, int] = {}
    for each in operations:
        if isinstance(each, SyncDirectory):
            synced[each.path] = max(each.covers, synced.get(each.path, 0))
    names: dict[str, int] = {}
    over: set[str] = set()
    for index, change in changes:
        directory = os.path.dirname(change.new if isinstance(change, Renamed) else change.path)
        if index >= synced.get(directory, 0) and chance.random() >= kept:
            over.add(directory)
        if directory not in over:
            _change(names, change)
    made = {change.path for _, change in changes if isinstance(change, Named)}
    return {path: file for path, file in names.items() if _is_reachable(path, names, made)}


def _change(names: dict[str, int], change: Named | Renamed | Removed) -> None:
    match change:
        case Named(path, file):
            names[path] = file
        case Renamed(old, new):
            names[new] = names.pop(old)
        case Removed(path):
            names.pop(path, None)


def _is_reachable(path: str, names: Mapping[str, int], made: AbstractSet[str]) -> bool:
    """Whether no directory above it is lost: each is there, or was there before."""
    above = os.path.dirname(path)
    if above not in made:
        return True
    return above in names and _is_reachable(above, names, made)
