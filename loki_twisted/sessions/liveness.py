"""
Whether the process of a run is there.

A number from a file names nobody: it may be of another machine, of a container, or given to
somebody else since. So a process counts as the run's only if it started when the run did, and as
missing only if the file was written since this machine was started.
"""

from __future__ import annotations

from typing import Final

from loki_twisted.kernel import procfs
from loki_twisted.model.timestamps import ms_from_iso
from loki_twisted.sessions.run_files import Run
from loki_twisted.sessions.run_status import Liveness

_SLACK: Final = 2
"""Seconds by which two clocks of one machine may differ."""

_STARTING: Final = 15
"""Seconds that a run may take from its start to the moment at which it says that it began."""


_NAME: Final = "LOKI_SESSION_ID"


def session_given_to(directory: str, run: Run) -> str | None:
    """
    Say for which session the process of a run was started: the kernel knows what it was given.

    :param directory: Of the project, without symbolic links. Who works elsewhere is not the run.
    :returns: Empty if it was given none, None if nobody can tell.
    """
    if run.pid is None or procfs.working_directory(run.pid) != directory:
        return None
    given = procfs.variables(run.pid)
    return given.get(_NAME, "") if given else None


def liveness_of(run: Run) -> Liveness:
    """Look at the process of a run; nobody asks for one that has left no ``loki.pid``."""
    if run.pid is None or not run.has_pid_file:
        return Liveness.UNKNOWN
    process = procfs.stat_of(run.pid)
    began = None
    if process is not None and process.state != "Z":
        began = procfs.start_seconds(process)
    stamp = run.stamp
    boot = procfs.boot_time()
    if stamp is not None and stamp.pid == run.pid and stamp.started is not None:
        if stamp.boot is None or boot is None or abs(stamp.boot - boot) > _SLACK:
            return Liveness.UNKNOWN
        is_it = began is not None and abs(began - stamp.started) <= _SLACK
        return Liveness.ALIVE if is_it else Liveness.DEAD
    if began is None or run.began_at is None:
        return Liveness.UNKNOWN
    said = ms_from_iso(run.began_at) / 1000
    return Liveness.ALIVE if said - _STARTING <= began <= said + _SLACK else Liveness.UNKNOWN
