"""A program that a bridge runs."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CHUNK = 64 * 1024


class Program:
    """
    A child: its input is empty, its output a pipe to us, its errors are our own.

    :ivar output: The reading end of the pipe.
    """

    def __init__(self, argv: Sequence[str], variables: Mapping[str, str]) -> None:
        """
        Start it.

        :param argv: The absolute path of the program, and its arguments.
        :param variables: Come into its environment, which is ours else.
        :raises OSError: if it cannot be started.
        """
        self.output, stdout = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        added = {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
        try:
            self.pid = os.posix_spawn(
                argv[0],
                list(argv),
                {**own_environment(), **added},
                file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)],
                setsigmask=[],
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        except OSError:
            os.close(self.output)
            raise
        finally:
            os.close(nothing)
            os.close(stdout)
        os.set_blocking(self.output, False)

    def read(self) -> bytes:
        """Read what it has printed; empty if that is nothing now."""
        try:
            return os.read(self.output, _CHUNK)
        except BlockingIOError:
            return b""

    def status(self) -> int | None:
        """Say how it ended, as a wait status; None while it runs. Not to be called after that."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return status if pid else None

    def tell(self, number: int) -> None:
        """Send it a signal. It was not reaped, so its number is its own."""
        os.kill(self.pid, number)


def own_environment() -> dict[bytes, bytes]:
    """
    Our environment as we were given it.

    Not ``os.environ``: where no locale is set Python puts one there, for its children too.
    """
    with open("/proc/self/environ", "rb") as file:
        entries = file.read().split(b"\0")
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)
