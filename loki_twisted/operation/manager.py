"""
The service manager that has started this process, as far as one has.

It is told by datagrams to the socket that ``NOTIFY_SOCKET`` names (``man sd_notify``). That needs
no library, and nobody waits for it: what it has no room for now may be told once more, later.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final, Self

import attrs
from twisted.logger import Logger

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"
_WATCHED: Final = "WATCHDOG_PID"
_MICROSECONDS: Final = 1_000_000

_log: Final = Logger()


@attrs.frozen
class ServiceManager:
    """
    A service manager, or none.

    :ivar address: Path of its socket, or its name in the abstract namespace, behind an ``@``.
        None if nobody wants to be told.
    :ivar watchdog_seconds: It ends a server that has not told it to be well for so long; None if
        it does not watch.
    """

    address: str | None = None
    watchdog_seconds: float | None = None

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Self:
        """
        Find it by the environment, from which its variables are removed.

        They are meant for this process alone: a child could speak for it.
        """
        address = environ.pop(_SOCKET, "")
        microseconds = environ.pop(_WATCHDOG, "")
        watched = environ.pop(_WATCHED, "")
        if not address.startswith(("/", "@")):
            return cls()
        is_watched = microseconds.isdecimal() and watched in ("", str(os.getpid()))
        seconds = int(microseconds) / _MICROSECONDS if is_watched else 0.0
        return cls(address, seconds or None)

    def tell(self, *assignments: str) -> bool:
        """
        Tell it something.

        :param assignments: Such as ``READY=1``, each one line.
        :returns: False if it takes nothing more just now, because it has not read what it was told
            before; True if it was told, or cannot be, for a reason that is logged.
        """
        if self.address is None:
            return True
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            try:
                line.setblocking(False)
                line.sendto("\n".join(assignments).encode(), name)
            except BlockingIOError:
                return False
            except OSError as error:
                _log.warn(
                    "The service manager was not told: {error}", error=error.strerror or error
                )
        return True


def monotonic_microseconds() -> str:
    """Say what time it is for the service manager, as ``RELOADING=1`` needs it."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    return f"MONOTONIC_USEC={now}"
