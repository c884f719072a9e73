"""Threads that a process does not wait for when it ends."""

from __future__ import annotations

import errno
from threading import Thread
from typing import Any

from twisted.python.threadpool import ThreadPool


class _DaemonThread(Thread):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, daemon=True, **kwargs)


class DaemonPool(ThreadPool):
    """
    A pool of threads that keep no process alive.

    It may have to end at once, or be somebody else's that stops its reactor and not our service.

    All of them are there from the start on: later there may be none to be had, as where agents have
    used up what a user may have.
    """

    threadFactory = _DaemonThread  # noqa: N815 - Twisted's name

    def __init__(self, size: int, name: str) -> None:
        super().__init__(size, size, name)

    def start(self) -> None:
        """
        Start all of them.

        :raises OSError: if the system gives no threads.
        """
        try:
            super().start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no threads can be started") from error
