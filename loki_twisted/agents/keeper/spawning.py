"""Starting the agent: as a plain child that has nothing of ours but its three streams."""

from __future__ import annotations

import errno
import os
import signal

from .layout import STREAMS
from .processes import read_proc
from .room import take_room

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_RESOURCES = {
    "processes": "RLIMIT_NPROC",
    "file_bytes": "RLIMIT_FSIZE",
    "memory_bytes": "RLIMIT_AS",  # the last, because it holds for what we do after it
}
"""What the limits of the server are called by the system, in the order in which they are set."""


def spawn(
    directory: str, argv: Sequence[str], cwd: str, stdin: int, limits: Mapping[str, int]
) -> int:
    """
    Start the agent.

    :param directory: Where its output goes.
    :param stdin: A descriptor; stays open here.
    :param limits: Of what it may use, by the names of the server; they are not ours.
    :returns: Its process id.
    :raises OSError: with the name of the file, if it cannot be started.
    """
    streams = [stdin]
    group, key = make_group()
    try:
        for name in STREAMS:
            path = os.path.join(directory, name)
            streams.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            take_room(streams[-1], 0)
        os.chdir(cwd)
        return execute(argv, streams, group, limits)
    finally:
        os.chdir("/")
        os.close(key)
        os.waitpid(group, 0)
        for stream in streams[1:]:
            os.close(stream)


def execute(
    argv: Sequence[str], streams: Sequence[int], group: int, limits: Mapping[str, int]
) -> int:
    """
    Execute a program in a child.

    Not by ``posix_spawn``, which sets no limits. The child sets them itself: so they hold when the
    program begins, and for nobody else.

    :returns: Its process id, when it is the program.
    :raises OSError: with the name of the program, if that cannot be executed.
    """
    environment = own_environment()
    trouble, its_trouble = os.pipe()  # both are closed when the program is executed
    # Our handlers are not for the child, so it is to get no signal before it is without them.
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        child = os.fork()
        if child == 0:
            become(argv, environment, streams, group, limits, its_trouble)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(its_trouble)
    told = os.read(trouble, 1)
    os.close(trouble)
    if told:
        os.waitpid(child, 0)
        raise OSError(told[0], os.strerror(told[0]), argv[0])
    return child


def become(
    argv: Sequence[str],
    environment: Mapping[bytes, bytes],
    streams: Sequence[int],
    group: int,
    limits: Mapping[str, int],
    trouble: int,
) -> NoReturn:
    """
    Turn this process into a program.

    :param trouble: A descriptor for the number of the error, as a byte, if it cannot be done.
    """
    number = errno.EINVAL
    try:
        os.setpgid(0, group)
        for at, stream in enumerate(streams):
            os.dup2(stream, at)
        for each in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(each, signal.SIG_DFL)
        leave_no_core()
        set_limits(limits)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execve(argv[0], list(argv), environment)  # noqa: S606  # no shell is what we want
    except OSError as error:
        number = error.errno or number
    except MemoryError:
        number = errno.ENOMEM
    finally:
        os.write(trouble, bytes([number]))
        os._exit(127)


def leave_no_core() -> None:
    """
    Have this process write no core file when it crashes, unless it says otherwise by itself.

    That would have in it what an agent knows, its keys among them, and may be as large as its
    memory.

    :raises OSError: if the system refuses.
    """
    import resource  # the keeper itself does not need it

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def set_limits(limits: Mapping[str, int]) -> None:
    """
    Set limits of this process, for good. One that is lower already stays.

    :raises OSError: if the system refuses.
    """
    if not limits:
        return
    import resource  # the keeper itself does not need it

    for name, its_name in _RESOURCES.items():
        if name in limits:
            number = getattr(resource, its_name)
            most = resource.getrlimit(number)[1]
            limit = limits[name] if most == resource.RLIM_INFINITY else min(limits[name], most)
            resource.setrlimit(number, (limit, limit))


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
