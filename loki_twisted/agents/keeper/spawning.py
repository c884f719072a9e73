"""Starting the agent: as a plain child that has nothing of ours but its three streams."""

from __future__ import annotations

import os
import signal

from .layout import STREAMS
from .processes import read_proc

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Sequence


def spawn(directory: str, argv: Sequence[str], cwd: str, stdin: int) -> int:
    """
    Start the agent.

    :param directory: Where its output goes.
    :param stdin: A descriptor; stays open here.
    :returns: Its process id.
    :raises OSError: with the name of the file, if it cannot be started.
    """
    streams = [stdin]
    group, key = make_group()
    try:
        for name in STREAMS:
            path = os.path.join(directory, name)
            streams.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        os.chdir(cwd)
        return os.posix_spawn(
            argv[0],
            list(argv),
            own_environment(),
            file_actions=[(os.POSIX_SPAWN_DUP2, stream, at) for at, stream in enumerate(streams)],
            setpgroup=group,
            setsigmask=[],
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    finally:
        os.chdir("/")
        os.close(key)
        os.waitpid(group, 0)
        for stream in streams[1:]:
            os.close(stream)


def make_group() -> tuple[int, int]:
    """
    Make a process group that a child can join without leading it.

    Its leader only waits. The group lives on without it.

    :returns: Its number, and a descriptor: the leader ends when that is closed.
    """
    gate, key = os.pipe()
    leader = os.fork()
    if leader == 0:
        os.close(key)
        os.read(gate, 1)
        os._exit(0)
    os.close(gate)
    os.setpgid(leader, leader)
    return leader, key


def own_environment() -> dict[bytes, bytes]:
    """
    Our environment as we were given it.

    Not ``os.environ``: where no locale is set Python puts one there, for its children too.
    """
    entries = read_proc("/proc/self/environ").split(b"\0")
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)
