"""
What ``/proc`` says about processes, and nothing of what it means.

A process id alone names nobody for long: when a process has ended, its number goes to another.
Together with the moment of its start, and the boot in which that was, it is unique.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import attrs

_START_TICKS = 19
_MOST_BYTES = 16 * 1024 * 1024


@attrs.frozen(slots=True)
class ProcessStat:
    """
    A line of ``/proc/PID/stat``, as far as it is of use here; see proc(5).

    :ivar state: One letter: ``R`` runs, ``S`` and ``D`` sleep, ``T`` is stopped, ``Z`` is dead.
    :ivar start_ticks: When it started, in clock ticks since the machine did.
    """

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start_ticks: int


def stat_from(line: bytes) -> ProcessStat:
    """
    Read such a line. The name in it is in parentheses, and may hold anything, also those.

    :raises ValueError: if it is no such line.
    """
    head, _, tail = line.rpartition(b")")
    fields = tail.split()
    try:
        parent, group, session = (int(field) for field in fields[1:4])
        pid = int(head.partition(b" ")[0])
        return ProcessStat(
            pid, fields[0].decode(), parent, group, session, int(fields[_START_TICKS])
        )
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        msg = f"not a line of /proc/PID/stat: {line[:200]!r}"
        raise ValueError(msg) from error


def stat_of(pid: int) -> ProcessStat | None:
    """Look at a process; None if there is none of that number."""
    line = _read(f"/proc/{pid}/stat")
    return stat_from(line) if line else None


def boot_id() -> str:
    """Name the time since the machine was started: another after each start."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def boot_time() -> int | None:
    """When the machine was started, in seconds since the Unix epoch; None if nobody says."""
    for line in _read("/proc/stat").splitlines():
        if line.startswith(b"btime "):
            return int(line.split()[1])
    return None


def process_ids() -> Iterator[int]:
    """List the processes that we may see, in no order."""
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def has_variable(pid: int, name: str, value: str) -> bool:
    """
    Say whether a process was given a variable with exactly this value.

    What the process changed in its environment after its start does not count. No for a process
    that has ended, or that we may not look into.
    """
    entry = os.fsencode(f"{name}={value}")
    return entry in _read(f"/proc/{pid}/environ").split(b"\0")


def start_seconds(stat: ProcessStat) -> float:
    """
    Say when a process started, in seconds since the Unix epoch.

    True to a second or two: the kernel's own idea of its boot moves with the clock.
    """
    line = next(line for line in _read("/proc/stat").splitlines() if line.startswith(b"btime "))
    return int(line.split()[1]) + stat.start_ticks / os.sysconf("SC_CLK_TCK")


def working_directory(pid: int) -> str | None:
    """Say where a process works; None for one that has ended, or that we may not look into."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


def arguments(pid: int) -> list[str]:
    """List what a process was called with; nothing for one that has ended."""
    return [os.fsdecode(each) for each in _read(f"/proc/{pid}/cmdline").split(b"\0")[:-1]]


def variables(pid: int) -> dict[str, str]:
    """
    List the variables that a process was given.

    Nothing for one that has ended, or that we may not look into.
    """
    entries = _read(f"/proc/{pid}/environ").split(b"\0")
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
