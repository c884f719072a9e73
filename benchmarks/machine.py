"""On which machine a run is."""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

from benchmarks.report import Machine

_SYNCS: Final = 50
_SYNCED_BYTES: Final = 4096
_PACKAGES: Final = ("twisted", "apsw", "msgspec", "uvicorn", "uvloop", "httptools", "sse-starlette")


def machine(directory: Path, versions: Mapping[str, str]) -> Machine:
    """
    Describe this machine.

    :param directory: Where the logs will be.
    :param versions: Of the contestants, by name; those of Python and its packages are added.
    """
    return Machine(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        disk=file_system_of(directory, Path("/proc/self/mounts").read_text(encoding="utf-8")),
        sync_ms=round(_sync_ms(directory), 3),
        versions={"Python": platform.python_version(), **_packages(), **versions},
    )


def file_system_of(directory: Path, mounts: str) -> str:
    """
    Name the kind of file system of a directory, for example ``ext4``.

    :param mounts: What ``/proc/self/mounts`` says.
    """
    best, kind = -1, "unknown"
    for line in mounts.splitlines():
        _, place, name, *_ = line.split(" ")
        if directory.resolve().is_relative_to(place) and len(place) >= best:
            best, kind = len(place), name
    return kind


def _packages() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    found = re.search(
        r"^model name\s*:\s*(.+)$",
        Path("/proc/cpuinfo").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return found[1] if found else platform.machine()


def _sync_ms(directory: Path) -> float:
    """How long a small write takes to be on disk, as the log writes: the median of some."""
    path = directory / "sync"
    took = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(_SYNCS):
            os.write(file, b"x" * _SYNCED_BYTES)
            begin = time.perf_counter()
            os.fdatasync(file)
            took.append(time.perf_counter() - begin)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(took) * 1000
