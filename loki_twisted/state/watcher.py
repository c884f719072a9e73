"""Watching the state directories of many projects."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from loki_twisted.kernel.inotify import Inotify, Notice
from loki_twisted.kernel.threads import DaemonPool
from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.directory import STATE_DIRECTORY, StateDirectory
from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.held import HeldLogs
from loki_twisted.state.interface import ISightingListener, IStateWatcher
from loki_twisted.state.layout import ILayout, JoinedLayout
from loki_twisted.state.loki_mode import LokiModeLayout
from loki_twisted.state.reading import Errand, Harvest, run_errand
from loki_twisted.state.watches import InotifyFactory, Watches

_SERVER_DIRECTORY: Final = "server"
"""The server's own directory in a state directory, where it lies by default."""

LAYOUTS: Final[Sequence[ILayout]] = (DocumentedLayout(), LokiModeLayout())
"""What files of state directories mean, by those who write them."""

_THREADS: Final = 2


@implementer(IStateWatcher)
class StateWatcher:
    """
    Watches state directories, reads their files in threads, and tells what they say.

    How log files are followed is said in ``logs.py``, what files mean in ``documented.py`` and
    ``loki_mode.py``.
    Cursors have the names that :class:`~loki_twisted.state.cursors.CursorNames` gives them.

    When a project is watched for the very first time (it has no cursors), logs that are
    there are begun at their end, and logs that come later at their beginning.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        listener: ISightingListener,
        *,
        excluded: Sequence[str] = (),
        layouts: Sequence[ILayout] = LAYOUTS,
        pool: ThreadPool | None = None,
        open_inotify: InotifyFactory | None = None,
    ) -> None:
        """
        Watch nothing yet.

        :param reactor: Must run threads; where it cannot read descriptors, polling does.
        :param excluded: Absolute paths of directories that are never looked into, where they
            lie in a state directory. Its own ``server/`` is always excluded.
        :param layouts: What the files mean.
        :param pool: Where files are read; one of its own by default. Somebody else's must run
            and is not stopped.
        :param open_inotify: Makes the instance that all watches share.
        """
        self._reactor = reactor
        self._listener = listener
        self._excluded = tuple(excluded)
        self._layout = JoinedLayout(layouts)
        self._pool = pool
        self._owned_pool: ThreadPool | None = None
        self._watches = Watches(open_inotify or self._open_inotify)
        self._held = HeldLogs()
        self._directories: dict[str, StateDirectory] = {}
        self._ending: dict[str, Deferred[None]] = {}
        self._left: dict[str, Mapping[str, str]] = {}  # cursors of what was watched before
        self._is_stopped = False

    def part_of_cursors(self, project_dir: str) -> str:
        """See :class:`IStateWatcher`."""
        return CursorNames(project_dir).part()

    def watch(self, project_dir: str, cursors: Mapping[str, str]) -> Deferred[None]:
        """See :class:`IStateWatcher`. Fires too when it is watched no longer."""
        if self._is_stopped:
            return succeed(None)
        watched = self._directories.get(project_dir)
        if watched is not None:
            return watched.told_first()
        directory = self._directories[project_dir] = StateDirectory(
            self._reactor,
            project_dir,
            self._listener,
            self._read,
            watches=self._watches,
            layout=self._layout,
            excluded=self._excluded_from(project_dir),
            held=self._held,
        )

        def start(_: None) -> None:
            # What an earlier watch has told may not have been stored when these were read.
            directory.start({**cursors, **self._left.get(project_dir, {})})

        def failed(failure: Failure) -> Failure:
            if self._directories.get(project_dir) is directory:
                self.unwatch(project_dir)
            return failure

        told = directory.told_first().addErrback(failed)
        self._ending.get(project_dir, succeed(None)).addCallback(start)
        return told

    def settle(self, project_dir: str) -> Deferred[None]:
        """See :class:`IStateWatcher`."""
        directory = self._directories.get(project_dir)
        return succeed(None) if directory is None else directory.settle()

    def unwatch(self, project_dir: str) -> None:
        """See :class:`IStateWatcher`. Does nothing if it is not watched."""
        directory = self._directories.pop(project_dir, None)
        if directory is None:
            return

        def ended(_: None) -> None:
            self._left[project_dir] = directory.cursors()
            if self._ending.get(project_dir) is ending:
                del self._ending[project_dir]

        ending = self._ending[project_dir] = directory.stop()
        ending.addCallback(ended)

    def stop(self) -> Deferred[None]:
        """See :class:`IStateWatcher`. Fires when nothing is being told or read any more."""
        self._is_stopped = True
        for project_dir in list(self._directories):
            self.unwatch(project_dir)
        return gatherResults(self._ending.values()).addCallback(self._close)

    def problems(self) -> Sequence[str]:
        """See :class:`IStateWatcher`."""
        return [said for found in self._directories.values() for said in found.problems()]

    def _close(self, _: object) -> None:
        self._watches.close()
        if self._owned_pool is not None:
            self._owned_pool.stop()
            self._owned_pool = None

    def _excluded_from(self, project_dir: str) -> Callable[[str], bool]:
        root = os.path.realpath(os.path.join(project_dir, STATE_DIRECTORY))
        found = (os.path.relpath(os.path.realpath(path), root) for path in self._excluded)
        inside = {path for path in found if path != "." and path.split("/")[0] != ".."}
        return frozenset(inside | {_SERVER_DIRECTORY}).__contains__

    def _open_inotify(self, received: Callable[[Sequence[Notice]], None]) -> Inotify:
        readers = IReactorFDSet(self._reactor, None)
        if readers is None:
            raise OSError(errno.ENOSYS, "this reactor reads no descriptors")
        return Inotify(readers, received)

    def _read(self, errand: Errand) -> Deferred[Harvest]:
        pool = self._pool or self._own_pool()
        threads = IReactorFromThreads(self._reactor)
        return deferToThreadPool(threads, pool, run_errand, errand, self._layout, self._held)

    def _own_pool(self) -> ThreadPool:
        if self._owned_pool is None:
            pool = DaemonPool(_THREADS, _THREADS, "state")
            pool.start()
            self._owned_pool = pool
        return self._owned_pool
