"""One inotify instance shared by many trees: users have 128 instances and 100,000s of watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from loki_twisted.kernel.inotify import IN_IGNORED, IN_MASK_ADD, IN_Q_OVERFLOW, Inotify, Notice

InotifyFactory = Callable[[Callable[[Sequence[Notice]], None]], Inotify]
"""Makes an instance that gives its notices to a callable, or raises OSError."""


class Holder(Protocol):
    """Who holds watches."""

    def noticed(self, notice: Notice) -> None:
        """Take a notice of a watch that it holds, or (``IN_Q_OVERFLOW``) that some were lost."""


class Watches:
    """
    Watches of several holders.

    An inode has one watch for all who hold it; it asks for what any of them wants. The
    instance is made when it is first needed.
    """

    def __init__(self, open_inotify: InotifyFactory) -> None:
        self._open_inotify = open_inotify
        self._inotify: Inotify | None = None
        self._holders: dict[int, list[Holder]] = {}

    def add(self, path: str, mask: int, holder: Holder) -> int:
        """
        Hold a watch.

        :returns: The watch descriptor; the same one for the same inode.
        :raises OSError: as :class:`~loki_twisted.kernel.inotify.Inotify` and its ``add`` do.
        """
        if self._inotify is None:
            self._inotify = self._open_inotify(self._received)
        wd = self._inotify.add(path, mask | IN_MASK_ADD)
        holders = self._holders.setdefault(wd, [])
        if holder not in holders:
            holders.append(holder)
        return wd

    def remove(self, wd: int, holder: Holder) -> None:
        """Hold a watch no longer; do nothing if it is not held, or the kernel has dropped it."""
        holders = self._holders.get(wd, [])
        if holder in holders:
            holders.remove(holder)
            if not holders:
                del self._holders[wd]
                if self._inotify is not None:
                    self._inotify.remove(wd)

    def close(self) -> None:
        """Drop all watches. May be repeated, and :meth:`add` may follow."""
        self._holders.clear()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _received(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            if notice.mask & IN_Q_OVERFLOW:
                holders = list({id(h): h for hs in self._holders.values() for h in hs}.values())
            elif notice.mask & IN_IGNORED:
                holders = self._holders.pop(notice.wd, [])
            else:
                holders = list(self._holders.get(notice.wd, ()))
            for holder in holders:
                holder.noticed(notice)
