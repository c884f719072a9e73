"""
The files that the server and a keeper share, seen from the server.

``keeper/__init__.py`` says what each is for.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
from contextlib import suppress
from typing import TypeVar

import attrs
import msgspec

from loki_twisted.agents.interface import AgentEnd, LaunchPlan
from loki_twisted.agents.keeper.layout import (
    CONTROL,
    ENDED,
    INPUT,
    INTENT,
    LOCK,
    LOG,
    SPEC,
    STARTED,
    STREAMS,
    Note,
)
from loki_twisted.kernel.procfs import stat_of
from loki_twisted.model.sessions import Steering

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LOG_BYTES = 4096
_MOST_NOTE_BYTES = 1024 * 1024  # an agent may have put in its place what has no end
_MOST_INTENT_BYTES = 8 * 1024 * 1024  # more than any request makes of it
_NO_FILE = frozenset({errno.ENOENT, errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.ENXIO})
_BLOCK_BYTES = 512  # of those that stat() counts

T = TypeVar("T")


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """
    How an agent was to be started.

    :ivar cookie: The value of the variable by which its processes are known.
    :ivar boot_id: In which boot of the machine that was.
    :ivar limits: Of what it may use, by the names of :class:`Limits`.
    :ivar driven_by: That of its :class:`LaunchPlan`; so is ``steered_by``.
    """

    cookie: str
    boot_id: str
    cwd: str
    accepts_input: bool
    grace_seconds: float
    limits: dict[str, int] = msgspec.field(default_factory=dict)  # an earlier version had none
    driven_by: str = ""  # nor these
    steered_by: Steering | None = None


class ProcessIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What no two processes of one boot have in common."""

    pid: int
    start_ticks: int

    @property
    def is_there(self) -> bool:
        """Whether this very process is there, as far as this boot is concerned."""
        stat = stat_of(self.pid)
        return stat is not None and stat.start_ticks == self.start_ticks


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """That the program of an agent has been executed."""

    keeper: ProcessIdentity
    agent: ProcessIdentity
    boot_id: str


@attrs.frozen(slots=True)
class AgentFiles:
    """
    The directory of one agent.

    :ivar directory: Absolute path.
    """

    directory: str

    @classmethod
    def of(cls, root: str, session_id: str) -> AgentFiles:
        """
        Say where the files of a session's agent are.

        :raises ValueError: if the id is no plain name.
        """
        if _NAME.fullmatch(session_id) is None:
            msg = f"not the name of a directory: {session_id!r}"
            raise ValueError(msg)
        return cls(os.path.join(root, session_id))

    @property
    def exist(self) -> bool:
        """Whether the directory is there."""
        return os.path.isdir(self.directory)

    def path(self, name: str) -> str:
        """Where a file is."""
        return os.path.join(self.directory, name)

    def spool_bytes(self) -> int:
        """How many bytes the output of the agent has; 0 for what is not there."""
        total = 0
        for name in STREAMS:
            with suppress(OSError):
                total += os.stat(self.path(name)).st_size
        return total

    def is_cramped(self) -> bool:
        """
        Whether an agent that printed more would find no room, if the disk is full.

        What it prints has some in reserve, which is used up then.
        """
        for name in STREAMS:
            with suppress(OSError):
                found = os.stat(self.path(name))
                if 0 < found.st_size >= found.st_blocks * _BLOCK_BYTES:
                    return True
        return False

    def make(self, plan: LaunchPlan, cookie: str, boot_id: str, grace_seconds: float) -> None:
        """
        Make all that the keeper wants to find, and the directory of all agents, but not above it.

        A data directory that is gone is not made anew: it may be put back.

        :raises FileExistsError: if the directory is there already.
        :raises OSError: if something cannot be made; nothing is left then.
        """
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(self.directory), 0o700)
        os.mkdir(self.directory, 0o700)
        try:
            os.close(self.open_control())
            for name in (*STREAMS, INPUT, LOG):
                os.close(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            spec = Spec(
                cookie=cookie,
                boot_id=boot_id,
                cwd=plan.cwd,
                accepts_input=plan.accepts_input,
                grace_seconds=grace_seconds,
                limits=plan.limits.given,
                driven_by=plan.driven_by,
                steered_by=plan.steered_by,
            )
            # Not msgspec's encoder: a path may hold bytes that are no UTF-8.
            with open(self.path(SPEC), "x", encoding="ascii", opener=_open_private) as file:
                json.dump(msgspec.structs.asdict(spec), file)
            with open(self.path(INTENT), "x", encoding="utf-8", opener=_open_private) as file:
                file.write(plan.intent)
        except OSError:
            self.remove()
            raise

    def remove(self) -> None:
        """
        Remove the directory and all in it. Does nothing if it is not there.

        :raises OSError: if something cannot be removed.
        """
        if self.exist:
            shutil.rmtree(self.directory)

    def spec(self) -> Spec | None:
        """
        How the agent was to be started; None if that is not, or not wholly, on disk.

        :raises OSError: if it cannot be read now; so do ``started`` and ``end``.
        """
        return self._read(SPEC, Spec)

    def intent(self) -> str:
        """What it was started for; empty if that cannot be read, or is no text."""
        try:
            with open(self.path(INTENT), "rb", opener=open_at_once) as file:
                data = file.read(_MOST_INTENT_BYTES) or b""  # None of a pipe that is empty
            return data.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def started(self) -> Started | None:
        """That the program runs, or ran; None if not."""
        return self._read(STARTED, Started)

    def end(self) -> AgentEnd | None:
        """How the agent ended; None if it did not, or nobody knows."""
        end = self._read(ENDED, AgentEnd)
        if end is None or end.problem is None:
            return end
        # It is told to people, and an agent may have written it.
        told = end.problem[:_LOG_BYTES].encode("utf-8", "replace").decode()
        return attrs.evolve(end, problem=told)

    def write_end(self, end: AgentEnd) -> None:
        """
        Say how the agent ended, in the keeper's place. The lock must be ours.

        :raises OSError: if that fails.
        """
        Note(self.directory, ENDED).write(attrs.asdict(end), durable=True)

    def lock(self) -> int | None:
        """
        Take the lock, so that no keeper can.

        :returns: A descriptor that holds it until it is closed; None while a keeper has it.
        :raises OSError: if there is no such directory any more.
        """
        descriptor = os.open(self.path(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def open_control(self) -> int:
        """
        Open the way for orders, for writing that never blocks.

        It is opened for reading as well: so an order waits that is given before the keeper listens.

        :raises OSError: if that fails.
        """
        with suppress(FileExistsError):
            os.mkfifo(self.path(CONTROL), 0o600)
        return os.open(self.path(CONTROL), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def complaint(self) -> str:
        """The last line of the keeper's log; empty if it has said nothing."""
        try:
            with open(self.path(LOG), "rb", opener=open_at_once) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
                lines = file.read(_LOG_BYTES).decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            with open(self.path(name), "rb", opener=open_at_once) as file:
                data = file.read(_MOST_NOTE_BYTES) or b""  # None of a pipe that is empty
            return msgspec.convert(json.loads(data), kind)
        except (ValueError, RecursionError):
            return None
        except OSError as error:
            if error.errno in _NO_FILE:
                return None
            raise


def open_at_once(path: str, flags: int) -> int:
    """
    Open a file that is there, and wait for nobody: agents may put a pipe in its place.

    :raises OSError: if that fails.
    """
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
