"""Threads that a process does not wait for when it ends."""

from __future__ import annotations

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
    """

    threadFactory = _DaemonThread  # noqa: N815 - Twisted's name

    def start(self) -> None:
        """
        Start the threads that it has at least.

        :raises RuntimeError: if the system has none for them; then none of it is left.
        """
        try:
            super().start()
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        """End the threads, and wait for them; those for which there was none never were."""
        self.threads = [thread for thread in self.threads if thread.ident is not None]
        super().stop()
