"""Functions of a program that are called when something happens, and how they are waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from loki_twisted.client.frames import StreamReset

_log: Final = Logger()
_T = TypeVar("_T")


async def call_back(function: Callable[[_T], object], told: _T, name: str) -> None:
    """
    Call a function, and wait for what it returns if that is an awaitable.

    What it raises is logged and goes no further.

    :param name: What it is told of, for the log.
    """
    try:
        result = function(told)
        if result is not None and isinstance(result, Awaitable):
            await result
    except Exception:  # noqa: BLE001  # logged; what comes next is not to suffer from it
        _log.failure("A callback failed on {name}", name=name)


def undisturbed(awaited: Deferred[None]) -> Deferred[None]:
    """Wait for something that goes on when who waits for it is cancelled. It must not fail."""
    waiting: Deferred[None] = Deferred()
    awaited.addCallback(waiting.callback)
    return waiting


def warn_of_reset(reset: StreamReset) -> None:
    """Log a reset of which nobody else is told."""
    _log.warn(
        "Events may be missing: the server cannot go on after {asked} ({reason})",
        asked=reset.asked,
        reason=reset.reason,
    )
