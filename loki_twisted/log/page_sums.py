"""
How SQLite reaches the file of the log: with a sum in each page, and with nothing beside the file.

Both are ways of SQLite to reach files (*VFS*). `The checksum VFS
<https://www.sqlite.org/cksumvfs.html>`_, which ``apsw`` brings, writes the sum of each page of
the database into its last eight bytes, and checks it when the page is read. Pages that wait in the
write-ahead log have sums of SQLite's own.

Under it is ``unix-excl``, for files of which a single process may have connections. The index of
the write-ahead log, which they share, is no file then, and needs no room on the disk. Nobody else
can write around the sums meanwhile either.
"""

from __future__ import annotations

import contextlib
import ctypes
import struct
from contextlib import closing
from threading import Lock
from typing import Final

import apsw
import apsw.sqlite_extra

from loki_twisted.log.faults import Damaged

EXCLUSIVE: Final = "unix-excl"
"""The way to a log whose pages have no sums, where there is nothing that checks them."""

_EXTENSION: Final = "cksumvfs"
_WITH_SUMS: Final = "cksmvfs"
_SUM_BYTES: Final = 8
_RESERVED_AT: Final = 20
"""Where the header of a database says how many bytes of each page are not SQLite's."""

_SIZE_AT: Final = slice(16, 18)
"""Where it says how long a page is; 1 for the longest."""

_LARGEST_PAGE_BYTES: Final = 65_536
_WORD: Final = 2**32 - 1

_loading: Final = Lock()


def way_to_logs() -> str:
    """
    Name the VFS by which logs are opened.

    The first call loads it into the process, where it does nothing to databases of others. Where
    a program has loaded it before, what is under it is what that wanted.

    :returns: :data:`EXCLUSIVE` where ``apsw`` was built without the extension.
    """
    with _loading:
        usual = apsw.vfs_names()
        if _WITH_SUMS in usual:
            return _WITH_SUMS
        # It takes what is usual in the process for what is under it, and its place.
        apsw.set_default_vfs(EXCLUSIVE)
        try:
            with closing(apsw.Connection(":memory:")) as connection:
                apsw.sqlite_extra.load(connection, _EXTENSION)
        except (apsw.sqlite_extra.NotAvailable, LookupError):
            return EXCLUSIVE
        finally:
            apsw.set_default_vfs(usual[0])
        return _WITH_SUMS


def reserve_sums(connection: apsw.Connection) -> None:
    """
    Have each page of a new database end with its sum, where that can be kept.

    To be called before there is a table.
    """
    if way_to_logs() == EXCLUSIVE:
        return
    size = ctypes.c_int(_SUM_BYTES)
    connection.file_control("main", apsw.SQLITE_FCNTL_RESERVE_BYTES, ctypes.addressof(size))


def overlook_sums(connection: apsw.Connection) -> None:
    """Let a connection read pages whose sums are wrong; what it writes has right ones."""
    # Whether there are sums is known once the first page was read, whatever stands in it.
    with contextlib.suppress(apsw.IOError):
        connection.pragma("user_version")
    connection.pragma("checksum_verification", 0)


def refuse_lost_sums(path: str) -> None:
    """
    See that the header of a log of ours says the truth of the sums of its pages.

    That is the one byte which no sum tells of: where it says that there are none, none is checked.

    :raises Damaged: if it does not.
    """
    with open(path, "rb") as file:
        page = file.read(_LARGEST_PAGE_BYTES)
    size = int.from_bytes(page[_SIZE_AT], "big")
    page = page[: _LARGEST_PAGE_BYTES if size == 1 else size]
    if len(page) <= _RESERVED_AT:
        return  # what is no database at all SQLite tells
    reserved = page[_RESERVED_AT]
    wanted = page[:_RESERVED_AT] + bytes([_SUM_BYTES]) + page[_RESERVED_AT + 1 : -_SUM_BYTES]
    if reserved not in (0, _SUM_BYTES) or (not reserved and _sum_of(wanted) == page[-_SUM_BYTES:]):
        raise Damaged("its header is not what was written")


def _sum_of(data: bytes) -> bytes:
    """Give the sum of that extension."""
    first = second = 0
    words = struct.unpack(f"={len(data) // 4}I", data[: len(data) // 4 * 4])
    for one, other in zip(words[::2], words[1::2], strict=False):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return struct.pack("=2I", first, second)


def has_sums(header: bytes) -> bool:
    """
    Say whether the pages of a database end with their sums.

    :param header: As of :func:`loki_twisted.log.schema.identity_of`.
    """
    return header[_RESERVED_AT : _RESERVED_AT + 1] == bytes([_SUM_BYTES])
