"""Our descendants, as ``/proc`` shows them, and how to signal them and nobody else."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from contextlib import suppress

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_MOST_WALKS = 4


class Process:
    """A process at the moment when it was looked at."""

    __slots__ = ("image", "parent", "pid", "start_ticks", "state")

    def __init__(self, pid: int, stat: bytes) -> None:
        """
        Read what ``/proc/PID/stat`` says.

        :param stat: See proc(5). The name in it is in parentheses, and may hold some itself.
        """
        fields = stat.rpartition(b")")[2].split()
        self.pid = pid
        self.state = fields[0]
        self.parent = int(fields[1])
        self.start_ticks = int(fields[19])
        # Where its stack begins: by chance for each program, and the same in a copy of it.
        self.image = fields[25]

    @property
    def identity(self) -> tuple[int, int]:
        """What no other process has before the machine starts again."""
        return self.pid, self.start_ticks

    @property
    def is_halted(self) -> bool:
        """Whether it does nothing, because it is stopped, traced or dead."""
        return self.state in b"TtZX"

    @property
    def is_uninterruptible(self) -> bool:
        """Whether it waits in the kernel, where it takes no signal before it comes out."""
        return self.state == b"D"

    def tell(self, *numbers: signal.Signals) -> None:
        """
        Send it signals, in this order.

        Nothing happens if it has ended, or has become another user's: then it ends when it likes.
        """
        with suppress(ProcessLookupError, PermissionError):
            if self.parent == os.getpid():
                # The number of a child is its own until we have reaped it.
                for number in numbers:
                    os.kill(self.pid, number)
            else:
                self._tell_by_descriptor(numbers)

    def _tell_by_descriptor(self, numbers: tuple[signal.Signals, ...]) -> None:
        descriptor = open_descriptor(self.pid)
        try:
            now = process(self.pid)
            if now is None or now.identity != self.identity:
                return
            for number in numbers:
                if descriptor is None:
                    os.kill(self.pid, number)
                else:
                    signal.pidfd_send_signal(descriptor, number)
        finally:
            if descriptor is not None:
                os.close(descriptor)


def open_descriptor(pid: int) -> int | None:
    """
    Open a descriptor that stands for a process, whatever becomes of its number.

    :returns: None if the system has none (before Linux 5.3).
    :raises ProcessLookupError: if there is no such process.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return None
        raise


def process(pid: int) -> Process | None:
    """Look at a process; None if it is not there."""
    stat = read_proc(f"/proc/{pid}/stat")
    return Process(pid, stat) if stat else None


def children(pid: int) -> list[int]:
    """List the children of a process by the kernel's own lists, one for each of its threads."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, read_proc(f"/proc/{pid}/task/{thread}/children").split())
    return found


def children_of_all() -> Callable[[int], list[int]]:
    """
    Find out who is whose child by looking at every process of the machine.

    :returns: The same as :func:`children`, as of now.
    """
    families: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        found = process(int(name)) if name.isdecimal() else None
        if found is not None:
            families.setdefault(found.parent, []).append(found.pid)
    return lambda pid: families.get(pid, [])


def descendants() -> Iterator[Process]:
    """
    Walk our descendants, each before its own children are looked up.

    Who is born or loses its parent meanwhile may be missed: walk again.
    """
    me = os.getpid()
    # A kernel may have been built without the lists (CONFIG_PROC_CHILDREN).
    has_lists = os.path.exists(f"/proc/{me}/task/{me}/children")
    children_of = children if has_lists else children_of_all()
    waiting = [me]
    while waiting:
        parent = waiting.pop()
        for pid in children_of(parent):
            found = process(pid)
            # Another parent: the number is already another's, or the next walk will find it.
            if found is not None and found.parent in (parent, me):
                waiting.append(pid)
                yield found


def everybody() -> list[Process]:
    """List our descendants, as far as possible with those that were born meanwhile."""
    found = list(descendants())
    for _ in range(_MOST_WALKS):
        again = list(descendants())
        if {one.identity for one in again} == {one.identity for one in found}:
            break
        found = again
    return found


def become_subreaper() -> None:
    """
    Let every orphan among our descendants become our child.

    :raises OSError: if the system refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def read_proc(path: str) -> bytes:
    """Read a file of ``/proc``; empty if the process ended before or while we looked."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""
