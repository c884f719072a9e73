"""What a tree is made of, and how it changes."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from typing import NamedTuple

import attrs


class Entry(NamedTuple):
    """
    What is known of one name in a directory. Two that are equal stand for the same content.

    A directory is known by its inode alone; what is in it has entries of its own. The time
    of the last status change is there because a program may set the other one.
    """

    is_directory: bool
    inode: int
    size: int = 0
    modified_ns: int = 0
    changed_ns: int = 0


def entry_of(status: os.stat_result) -> Entry:
    """Keep of a status (of the thing itself, links not followed) what tells contents apart."""
    if stat.S_ISDIR(status.st_mode):
        return Entry(True, status.st_ino)
    return Entry(False, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class ChangeKind(StrEnum):
    """How a name changed."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@attrs.frozen(slots=True)
class Change:
    """
    One change of a tree.

    A name that now stands for another thing of another kind is removed and then added;
    what is in a directory is added after it and removed before it.

    :ivar path: Relative to the root, parts joined by ``/``; bytes that are not UTF-8 as
        ``os.fsdecode`` gives them.
    """

    kind: ChangeKind
    path: str
    is_directory: bool


def join(directory: str, name: str) -> str:
    """Name an entry of a directory; the root is the empty string."""
    return f"{directory}/{name}" if directory else name


def split(path: str) -> tuple[str, str]:
    """Take a relative path apart: the directory that it lies in, and its name there."""
    directory, _, name = path.rpartition("/")
    return directory, name


def text_of(path: str) -> str:
    """Make text that can be stored and sent of a path with bytes that are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
