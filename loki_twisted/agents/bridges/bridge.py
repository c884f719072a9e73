"""What all bridges do: run programs, pass on what they print, take orders, and end as they end."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time

from .program import Program
from .voice import Voice

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

LOOK_SECONDS = 0.1
"""How often a bridge looks at the files of a program that runs."""

HANG_SECONDS = 10.0
"""How long a program may take to end when it has done its work."""

_KILL_SECONDS = 5.0
_FAREWELL_SECONDS = 1.0
_CHUNK = 64 * 1024
_NO_PROGRAM = 127 << 8
"""The wait status of a program that could not be started, as a shell gives it."""


class Bridge:
    """
    Runs one program at a time.

    A bridge fills in the methods that do nothing here. They are called from one loop, and none of
    them may take long.

    :ivar voice: Its output.
    :ivar program: What runs now.
    :ivar has_input: Whether orders may still come.
    :ivar must_end: Whether it was told to end: a second later a program that still runs is told
        too, by :attr:`farewell`.
    """

    farewell = signal.SIGTERM

    def __init__(self) -> None:
        self.voice = Voice(sys.stdout.fileno())
        self.program: Program | None = None
        self.has_input = True
        self.must_end = False
        self._unread = b""
        self._status = 0
        self._due: list[tuple[float, int]] = []
        self._poll = select.poll()
        self._sources: dict[int, Callable[[], None]] = {}

    # What a bridge fills in

    def begin(self) -> None:
        """Start."""

    def order(self, order: Mapping[str, Any]) -> None:
        """Take an order."""

    def look(self) -> None:
        """Look at the files of the program; called each tenth of a second while it runs."""

    def ended(self, status: int) -> None:
        """
        The program has ended, and all that it printed was passed on.

        :param status: As ``os.waitpid`` gives it.
        """

    def is_over(self) -> bool:
        """Whether there is nothing more to be done."""
        return self.program is None

    def patience(self) -> float | None:
        """How many seconds :meth:`look` can wait while no program runs; None is without end."""
        return None

    def close(self) -> None:
        """Put things in order, at the end."""

    # What a bridge uses

    def start(self, argv: Sequence[str], variables: Mapping[str, str]) -> str | None:
        """
        Start the program.

        :returns: Why it could not be started; else None.
        """
        try:
            self.program = Program(argv, variables)
        except OSError as error:
            self._status = _NO_PROGRAM
            return f"{error.filename or argv[0]}: {error.strerror}"
        self._listen(self.program.output, self._pass_on)
        return None

    def end_program(self, after: float) -> None:
        """
        See to it that the program ends.

        :param after: How many seconds it has to end by itself. Then it is told to, and killed
            five seconds later.
        """
        if not self._due:
            when = time.monotonic() + after
            self._due = [(when, signal.SIGTERM), (when + _KILL_SECONDS, signal.SIGKILL)]

    def interrupt(self) -> None:
        """Interrupt the program; kill it if that does not end it within five seconds."""
        if self.program is not None:
            self.program.tell(signal.SIGINT)
            self._due = [(time.monotonic() + _KILL_SECONDS, signal.SIGKILL)]

    def run(self) -> int:
        """
        Do it all.

        :returns: The exit code; a signal that ended the program ends us before that.
        """
        self._attend()
        try:
            self.begin()
            while not self.is_over():
                for descriptor, _ in self._poll.poll(self._milliseconds()):
                    self._sources[descriptor]()
                self._tell_what_is_due()
                self.look()
                self._reap()
        finally:
            self.close()
        return leave(self._status)

    # The loop

    def _attend(self) -> None:
        """Take the signals and the orders. They are the process's, so only :meth:`run` may."""
        self._alarm, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._told_to_end())
        self._listen(self._alarm, self._wake)
        self._listen(sys.stdin.fileno(), self._read_orders)

    def _listen(self, descriptor: int, handle: Callable[[], None]) -> None:
        self._sources[descriptor] = handle
        self._poll.register(descriptor, select.POLLIN)

    def _forget(self, descriptor: int) -> None:
        del self._sources[descriptor]
        self._poll.unregister(descriptor)

    def _milliseconds(self) -> float | None:
        seconds = self.patience() if self.program is None else LOOK_SECONDS
        return None if seconds is None else seconds * 1000

    def _wake(self) -> None:
        os.read(self._alarm, _CHUNK)

    def _told_to_end(self) -> None:
        self.must_end = True
        when = time.monotonic() + _FAREWELL_SECONDS
        self._due = [*self._due, (when, self.farewell)]

    def _tell_what_is_due(self) -> None:
        now = time.monotonic()
        for when, number in [each for each in self._due if each[0] <= now]:
            self._due.remove((when, number))
            if self.program is not None:
                self.program.tell(number)

    def _read_orders(self) -> None:
        data = os.read(sys.stdin.fileno(), _CHUNK)
        if not data:
            self.has_input = False
            self._forget(sys.stdin.fileno())
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            try:
                order = json.loads(line)
            except ValueError:
                order = None
            if isinstance(order, dict):
                self.order(order)
            else:
                complain(f"not an order: {line[:80]!r}")

    def _pass_on(self) -> None:
        if self.program is not None:
            data = self.program.read()
            self.voice.pass_on(data)
            if not data:  # It has closed its output, and may run all the same.
                self._forget(self.program.output)

    def _reap(self) -> None:
        program = self.program
        status = None if program is None else program.status()
        if program is None or status is None:
            return
        # What it has left behind may hold the pipe, so nobody waits for its end.
        while data := program.read():
            self.voice.pass_on(data)
        if program.output in self._sources:
            self._forget(program.output)
        os.close(program.output)
        self.voice.end_line()
        self.program, self._status, self._due = None, status, []
        self.ended(status)


def leave(status: int) -> int:
    """
    End as a program ended.

    :param status: Its wait status.
    :returns: Its exit code; of one that a signal has ended nothing, for the same signal ends us.
    """
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # It is not we who have failed.
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code


def complain(reason: object) -> None:
    """Say what is wrong, among the errors."""
    sys.stderr.write(f"{reason}\n")
    sys.stderr.flush()
