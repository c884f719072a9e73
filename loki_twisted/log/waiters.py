"""Those who wait for the log."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from loki_twisted.log.interface import Bounds
from loki_twisted.log.messages import Entry
from loki_twisted.model.errors import StorageFailed


def fire_all(entries: Sequence[Entry], bounds: Bounds) -> None:
    """Tell all who wait for a commit."""
    for entry in entries:
        entry.waiter.callback(bounds)


def fire(waiters: list[Deferred[None]]) -> None:
    """Tell all who wait, and forget them."""
    while waiters:
        waiters.pop(0).callback(None)


def copy(error: StorageFailed) -> StorageFailed:
    """Make an error for one more who waits; each comes to carry a traceback of its own."""
    return type(error)(str(error))
