"""Who holds a TCP port: for the message that says that it is in use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_LISTENING = "0A"


def listening_inodes(table: str, port: int) -> frozenset[str]:
    """
    Find the sockets that listen on a port.

    :param table: The text of ``/proc/net/tcp`` or ``/proc/net/tcp6`` (see proc_net_tcp in the
        documentation of the kernel): local address and port, state and inode are its
        2nd, 4th and 10th column.
    :returns: Their inodes, as decimal text.
    """
    rows = (line.split() for line in table.splitlines()[1:])
    return frozenset(
        row[9]
        for row in rows
        if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port
    )


def maybe_port_owner(port: int, proc: Path = Path("/proc")) -> int | None:
    """
    Find the process that listens on a port.

    :returns: Its id; None if there is none, or it belongs to another user.
    """
    inodes = frozenset[str]().union(
        *(listening_inodes(_text(proc / "net" / name), port) for name in ("tcp", "tcp6"))
    )
    wanted = {f"socket:[{inode}]" for inode in inodes}
    processes = (int(entry) for entry in os.listdir(proc) if entry.isdecimal())
    return next((pid for pid in processes if not wanted.isdisjoint(_open_files(proc, pid))), None)


def _open_files(proc: Path, process_id: int) -> Iterator[str]:
    directory = proc / str(process_id) / "fd"
    try:
        for name in os.listdir(directory):
            yield os.readlink(directory / name)
    except OSError:
        # It has ended meanwhile, or belongs to another user.
        return


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
