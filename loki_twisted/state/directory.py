"""
One state directory: its changes become sightings, told one batch after the other.

The tree watcher says which paths are worth a look; they wait in a backlog. A portion of
it is read in a thread and told; it counts as told when the listener has taken it, else it
is read and told again. So nothing is out of order, and a slow listener slows us down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from loki_twisted.state.backlog import Backlog, Portion
from loki_twisted.state.entries import Change, ChangeKind, split
from loki_twisted.state.held import HeldLogs
from loki_twisted.state.interface import ISightingListener
from loki_twisted.state.layout import ILayout
from loki_twisted.state.logs import SUFFIX
from loki_twisted.state.memory import Memory, Message
from loki_twisted.state.reading import Errand, Harvest
from loki_twisted.state.trails import CursorNames, Trails
from loki_twisted.state.tree import TreeWatcher
from loki_twisted.state.watches import Watches

STATE_DIRECTORY: Final = ".loki"
"""Name of the directory in a project that is watched."""

_SESSIONS: Final = 100
"""Of how many sessions the files are told at once, at most."""

_LOGS: Final = 100
"""How many logs are read at once, at most."""

_FIRST_PAUSE: Final = 1.0
"""Seconds before what the listener did not take is told again; doubled each time."""

_LONGEST_PAUSE: Final = 30.0


@attrs.define(eq=False)
class _Wait:
    """
    Somebody who waits until certain things are told.

    :ivar logs: How far each log must be read, unless its end is reached before.
    :ivar is_new: Whether the project is still to be put on record.
    """

    done: Deferred[None]
    gone: set[str]
    files: set[str]
    logs: dict[str, int]
    is_new: bool

    def note(self, portion: Portion, message: Message, *, is_new: bool) -> None:
        """Note what was taken."""
        self.is_new = is_new
        self.gone.difference_update(portion.gone)
        self.files.difference_update(set(portion.files) - set(message.left.files))
        for log in message.logs:
            target = self.logs.get(log.path)
            reached = log.position is None or target is None or log.position.offset >= target
            if reached or not log.has_more:
                self.logs.pop(log.path, None)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to wait for."""
        return not (self.gone or self.files or self.logs or self.is_new)


class StateDirectory:
    """
    Watches and tells one state directory.

    :ivar project_dir: Absolute path of the directory that holds it.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        project_dir: str,
        listener: ISightingListener,
        read: Callable[[Errand], Deferred[Harvest]],
        *,
        watches: Watches,
        layout: ILayout,
        excluded: Callable[[str], bool],
        held: HeldLogs,
    ) -> None:
        """
        Do nothing before :meth:`start`.

        :param read: Reads in a thread.
        :param excluded: Of a path relative to the state directory, whether nothing of it is
            to be touched.
        """
        self.project_dir = project_dir
        self._reactor = reactor
        self._listener = listener
        self._read = read
        self._held = held
        root = f"{project_dir.rstrip('/')}/{STATE_DIRECTORY}"
        self._tree = TreeWatcher(reactor, root, watches, self._changed, excluded=excluded)
        self._trails = Trails(CursorNames(project_dir), layout.session_of)
        self._memory = Memory(self._tree, layout, self._trails, held)
        self._layout = layout
        self._backlog = Backlog(layout)
        self._in_flight = Portion()
        self._waits: list[_Wait] = []
        self._has_looked = False
        self._has_told = False
        self._first: list[Deferred[None]] = []
        self._is_telling = False
        self._is_stopped = False
        self._stopped: list[Deferred[None]] = []
        self._retry: IDelayedCall | None = None
        self._pause: tuple[IDelayedCall, Deferred[None]] | None = None
        self._next_pause = _FIRST_PAUSE

    def start(self, cursors: Mapping[str, str]) -> None:
        """
        Begin.

        :param cursors: As stored.
        """

        def looked(_: None) -> None:
            self._has_looked = True
            self._backlog.add_logs(self._trails.paths())
            if self._trails.is_new:
                self._memory.begin_logs_at_end(self._backlog.everything().logs)

        def told(_: None) -> None:
            self._has_told = True
            waiting, self._first = self._first, []
            for done in waiting:
                done.callback(None)

        if not self._is_stopped:
            self._trails.load(cursors)
            self._tree.look().addCallback(looked).addCallback(self._wait).addCallback(told)

    def told_first(self) -> Deferred[None]:
        """Fires when what was there at first has been told and taken, or it is stopped."""
        done: Deferred[None] = Deferred()
        if self._has_told or self._is_stopped:
            done.callback(None)
        else:
            self._first.append(done)
        return done

    def settle(self) -> Deferred[None]:
        """
        Look now.

        :returns: Fires when what it says now has been told and taken, or it is stopped.
        """
        return self._tree.look().addCallback(self._wait)

    def problems(self) -> Sequence[str]:
        """What keeps it from watching as well as it should, in sentences."""
        return self._tree.problems()

    def cursors(self) -> Mapping[str, str]:
        """How far its logs were told, as cursors."""
        return self._trails.stored()

    def stop(self) -> Deferred[None]:
        """
        End it.

        :returns: Fires when what was being told has been taken or refused. Nothing is told
            after that.
        """
        self._is_stopped = True
        self._tree.stop()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._go_on()
        done: Deferred[None] = Deferred()
        self._stopped.append(done)
        if not self._is_telling:
            self._end()
        return done

    def _end(self) -> None:
        self._held.drop(self._tree.root)
        stopped, self._stopped = self._stopped, []
        waits, self._waits = self._waits, []
        first, self._first = self._first, []
        for done in [*stopped, *first, *(wait.done for wait in waits)]:
            done.callback(None)

    # What has changed

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._note(change.path, change.kind, is_directory=change.is_directory)
        if self._has_looked:
            self._release()
            self._tell()

    def _note(self, path: str, kind: ChangeKind, *, is_directory: bool) -> None:
        is_removed = kind is ChangeKind.REMOVED
        if is_directory:
            session_id = self._layout.session_of(path) if is_removed else None
            if session_id is not None and self._layout.session_of(split(path)[0]) is None:
                self._backlog.add_gone([session_id])
        elif path.endswith(SUFFIX):
            self._backlog.add_logs([path])
        elif self._layout.rank(path) is None:
            return
        elif is_removed:
            self._backlog.drop_file(path)
            self._memory.removed(path)
            for wait in self._waits:
                wait.files.discard(path)
        else:
            self._backlog.add_files([path])
            self._memory.changed(path)

    # Telling

    def _tell(self) -> None:
        if not self._is_telling and not self._is_stopped:
            self._is_telling = True
            ensureDeferred(self._tell_all())

    async def _tell_all(self) -> None:
        while not self._is_stopped and (self._backlog or self._memory.must_introduce):
            portion = self._in_flight = self._backlog.take(_SESSIONS, _LOGS)
            with self._log.failuresHandled(
                "telling what {dir} says failed; it will be told again", dir=self._tree.root
            ) as telling:
                await self._tell_portion(portion)
                self._next_pause = _FIRST_PAUSE
            self._in_flight = Portion()
            if telling.failed:
                self._backlog.put_back(portion)
                await self._wait_a_while()
        self._is_telling = False
        if self._is_stopped:
            self._end()

    async def _tell_portion(self, portion: Portion) -> None:
        harvest = await self._read(self._memory.errand(portion))
        if self._is_stopped:
            return
        message = self._memory.message(portion, harvest, self._reactor.seconds())
        if message.sightings:
            await self._listener.seen(self.project_dir, message.sightings)
        self._memory.confirm(message)
        self._backlog.put_back(message.left)
        for wait in self._waits:
            wait.note(portion, message, is_new=self._trails.is_new)
        self._release()
        self._plan_retry()

    async def _wait_a_while(self) -> None:
        if self._is_stopped:
            return
        done: Deferred[None] = Deferred()
        self._pause = self._reactor.callLater(self._next_pause, done.callback, None), done
        self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE)
        await done
        self._pause = None

    def _go_on(self) -> None:
        if self._pause is not None:
            call, done = self._pause
            call.cancel()
            done.callback(None)

    # Files that are being written

    def _plan_retry(self) -> None:
        delay = self._memory.flaws.delay()
        if delay is None or self._is_stopped:
            return
        if self._retry is None:
            self._retry = self._reactor.callLater(delay, self._read_again)
        elif self._retry.getTime() > self._reactor.seconds() + delay:
            self._retry.reset(delay)

    def _read_again(self) -> None:
        self._retry = None
        for path in self._memory.flaws.paths():
            self._note(path, ChangeKind.CHANGED, is_directory=False)
        self._tell()

    # Waiting

    def _wait(self, _: None) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        if self._is_stopped:
            done.callback(None)
            return done
        portions = (self._in_flight, self._backlog.everything())
        logs = [path for portion in portions for path in portion.logs]
        self._waits.append(
            _Wait(
                done,
                {session_id for portion in portions for session_id in portion.gone},
                {path for portion in portions for path in portion.files},
                {path: self._size_of(path) for path in logs},
                self._trails.is_new,
            )
        )
        self._release()
        self._tell()
        return done

    def _size_of(self, path: str) -> int:
        directory, name = split(path)
        entry = self._tree.entries(directory).get(name)
        return 0 if entry is None else entry.size

    def _release(self) -> None:
        over = [wait for wait in self._waits if wait.is_over]
        self._waits = [wait for wait in self._waits if not wait.is_over]
        for wait in over:
            wait.done.callback(None)
