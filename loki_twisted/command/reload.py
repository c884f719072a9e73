"""
``loki serve --reload``: a small parent that starts the server anew when its code changes.

The parent is a process of its own, so that a server that a mistake in the new
code keeps from starting is started again after the next change. It runs no
reactor: it waits for signals, and looks at the files between them. Agents
outlive the server and are found again by the next one.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

import loki_twisted

SECONDS_BETWEEN_LOOKS: Final = 0.5

_TO_END: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_WAITED_FOR: Final = _TO_END | {signal.SIGCHLD}

Snapshot = Mapping[str, tuple[int, int]]
"""Time of change (in nanoseconds) and size of each source file, by its path."""


def snapshot(directory: Path) -> Snapshot:
    """Look at all source files under a directory."""
    found: dict[str, tuple[int, int]] = {}
    for path in directory.rglob("*.py"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # removed, or replaced, since it was listed: the next look will tell
        found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """Name the files that came, went or changed, in order."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


def supervise_server(arguments: Sequence[str]) -> int:
    """
    Run ``loki serve`` with these arguments, anew after each change of this package.

    :returns: The exit code.
    """
    command = [sys.executable, "-m", "loki_twisted", "serve", *arguments]
    return supervise(command, Path(loki_twisted.__file__).parent)


def supervise(command: Sequence[str], directory: Path) -> int:
    """
    Run a program, anew after each change of a source file under a directory.

    It is told to end by SIGTERM. A program that ends by itself is started again at
    the next change. SIGINT and SIGTERM end both; so does SIGHUP, which the program has as SIGTERM.

    :returns: The exit code of the program, which is told to end first.
    """
    # Blocked signals stay pending until they are asked for, so none is missed.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    try:
        return _Supervisor(list(command), directory).run()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@attrs.define
class _Supervisor:
    """
    :ivar child: Process id of the program, or None when it has ended.
    :ivar exit_code: How it ended the last time.
    """

    command: list[str]
    directory: Path
    child: int | None = None
    exit_code: int = 0

    def run(self) -> int:
        seen = snapshot(self.directory)
        self.start()
        while True:
            told = signal.sigtimedwait(_WAITED_FOR, SECONDS_BETWEEN_LOOKS)
            if told is not None and told.si_signo in _TO_END:
                return self.end(told.si_signo)
            self.reap(os.WNOHANG)
            now = snapshot(self.directory)
            differences = changed(seen, now)
            if differences:
                seen = now
                self.say(f"{differences[0]} changed, starting again")
                self.end(signal.SIGTERM)
                self.start()

    def start(self) -> None:
        # In a process group of its own, so that Ctrl-C reaches it once: through us.
        self.child = os.posix_spawn(
            self.command[0], self.command, os.environ, setpgroup=0, setsigmask=[]
        )

    def end(self, number: int) -> int:
        """Hand a signal on, and those that come until the program has ended."""
        while self.child is not None:
            if number in _TO_END:
                os.kill(self.child, signal.SIGTERM if number == signal.SIGHUP else number)
            number = signal.sigwait(_WAITED_FOR)
            self.reap(os.WNOHANG)
        return self.exit_code

    def reap(self, flags: int) -> None:
        if self.child is None:
            return
        process_id, status = os.waitpid(self.child, flags)
        if process_id:
            self.child = None
            code = os.waitstatus_to_exitcode(status)
            self.exit_code = code if code >= 0 else 128 - code  # as a shell tells a signal
            self.say(f"the server ended with code {self.exit_code}")

    def say(self, text: str) -> None:
        print(f"loki serve --reload: {text}", file=sys.stderr, flush=True)


def restart_after_change(reactor: Any) -> None:
    """
    Do the same within a server that somebody else (twistd) has started.

    After a change the reactor is stopped, and when all has ended in order, also what
    twistd does last, the process becomes its successor.
    """
    # Late, because the supervisor above needs no Twisted.
    from twisted.internet.task import LoopingCall

    directory = Path(loki_twisted.__file__).parent
    first = snapshot(directory)

    def look() -> None:
        if changed(first, snapshot(directory)):
            looking.stop()
            atexit.register(_begin_again, signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)
            reactor.stop()

    looking = LoopingCall(look)
    looking.clock = reactor
    looking.start(SECONDS_BETWEEN_LOOKS, now=False)


def _begin_again(ignores_hangup: bool) -> None:
    # What is ignored while we end would be ignored by our successor, too.
    if not ignores_hangup:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # no shell is the point
