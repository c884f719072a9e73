"""How the server is, as the health routes need to know it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from zope.interface import Attribute, Interface

from loki_twisted.model.wire import ProviderDetail, System
from twisted import __version__ as twisted_version

_RESIDENT_PAGES = 1  # column of /proc/self/statm
_LOG_FILES = ("log.db", "log.db-wal", "log.db-shm")


class IVitals(Interface):
    """What a server knows about itself. Nothing of it starts a process or blocks."""

    version: str = Attribute("The version of loki_twisted.")

    def uptime_ms() -> int:
        """Milliseconds since the server was started, by a clock that never goes back."""

    def providers() -> Mapping[str, bool]:
        """For every provider, whether its program is installed."""

    def provider_details() -> Sequence[ProviderDetail]:
        """The same with what each can do."""

    def problems() -> Sequence[str]:
        """
        What does not work as it should, in sentences; empty if all is well.

        Only those who may use the API read them.
        """

    def not_serving() -> str | None:
        """
        Why nothing but the state of health can be told yet, or any more, or None.

        Anybody may read it, like the next.
        """

    def not_ready() -> str | None:
        """
        Why no work can be taken now (the log cannot be written, the watcher does not
        run, the server shuts down), in one sentence, or None.

        Anybody may read it: it names no path.
        """

    def metrics() -> bytes:
        """The figures of this moment, in the format of Prometheus."""

    def system() -> System:
        """The machine, and what the server takes of it."""


def read_system(sqlite_version: str, data_dir: str) -> System:
    """
    Read the figures of this machine and process.

    :param sqlite_version: Of the library that the log is kept with.
    :param data_dir: Where the log is.
    """
    total, free = _disk_bytes(data_dir)
    return System(
        platform=sys.platform,
        arch=platform.machine(),
        python_version=platform.python_version(),
        twisted_version=twisted_version,
        sqlite_version=sqlite_version,
        cpus=os.cpu_count() or 1,
        memory_used=_resident_bytes(),
        load_average=os.getloadavg()[0],
        disk_free=free,
        disk_total=total,
        log_bytes=sum(_bytes_of(os.path.join(data_dir, name)) for name in _LOG_FILES),
    )


def _disk_bytes(directory: str) -> tuple[int | None, int | None]:
    try:
        disk = shutil.disk_usage(directory)
    except OSError:
        return None, None
    return disk.total, disk.free


def _bytes_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # it comes and goes


def _resident_bytes() -> int:
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[_RESIDENT_PAGES]
    except OSError:
        return 0  # not Linux
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
