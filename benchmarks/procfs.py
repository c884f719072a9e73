"""What processes have cost so far, from ``/proc``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER_FIELD: Final = 11  # behind the name, which is in parentheses; see proc(5)
_SYSTEM_FIELD: Final = 12
_KB: Final = 1024


@attrs.frozen(slots=True)
class Cpu:
    """Seconds of processor time."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.user - earlier.user, self.system - earlier.system)


def cpu_in_stat(line: str) -> Cpu:
    """Read a line of ``/proc/PID/stat``."""
    fields = line.rpartition(")")[2].split()
    return Cpu(int(fields[_USER_FIELD]) / _TICKS, int(fields[_SYSTEM_FIELD]) / _TICKS)


def megabytes_in_status(status: str, name: str) -> float:
    """
    Read a field of ``/proc/PID/status`` that is a size.

    :returns: In 1,000,000 bytes.
    :raises ValueError: if there is no such field.
    """
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        msg = f"no {name} in {status[:200]!r}"
        raise ValueError(msg)
    return int(found[1]) * _KB / 1e6


def cpu_of(pids: Iterable[int]) -> Cpu:
    """What processes have used so far, with all their threads, but without their children."""
    each = [cpu_in_stat(_read(pid, "stat")) for pid in pids]
    return Cpu(sum(cpu.user for cpu in each), sum(cpu.system for cpu in each))


def resident_mb(pids: Iterable[int]) -> float:
    """The memory of processes now, summed."""
    return sum(megabytes_in_status(_read(pid, "status"), "VmRSS") for pid in pids)


def peak_mb(pids: Iterable[int]) -> float:
    """The most memory that processes ever had, summed."""
    return sum(megabytes_in_status(_read(pid, "status"), "VmHWM") for pid in pids)


def children_of(pid: int) -> list[int]:
    """The processes that one has started."""
    return [int(child) for child in _read(pid, f"task/{pid}/children").split()]


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
