"""
One state directory: its changes become sightings, told one batch after the other.

The tree watcher says which paths are worth a look; they wait in a backlog. A portion of
it is read in a thread and told; it counts as told when the listener has taken it, else it
is read and told again. So nothing is out of order, and a slow listener slows us down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.model.errors import StorageFailed, Unavailable
from loki_twisted.model.refusals import Refusals
from loki_twisted.state.backlog import Backlog, Portion
from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.entries import Change, ChangeKind, split
from loki_twisted.state.held import HeldLogs
from loki_twisted.state.interface import ISightingListener
from loki_twisted.state.layout import ILayout
from loki_twisted.state.logs import SUFFIX
from loki_twisted.state.memory import Memory
from loki_twisted.state.messages import Message
from loki_twisted.state.reading import Errand, Harvest
from loki_twisted.state.trails import Trails
from loki_twisted.state.tree import TreeWatcher
from loki_twisted.state.waits import Waits
from loki_twisted.state.watches import Watches

STATE_DIRECTORY: Final = ".loki"
"""Name of the directory in a project that is watched."""

_SESSIONS: Final = 100
"""Of how many sessions the files are told at once, at most."""

_LOGS: Final = 100
"""How many logs are read at once, at most."""

_FILES: Final = 500
"""How many state files are read and told at once, at most: those of a run may be thousands."""

_FIRST_PAUSE: Final = 1.0
"""Seconds before what the listener did not take is told again; doubled each time."""

_LONGEST_PAUSE: Final = 30.0


class _Phase(Enum):
    """How far the watching has come; each comes after the one before, or the last at once."""

    NEW = auto()
    LOOKING = auto()
    """What is there at first is being found."""
    TELLING = auto()
    """What was there at first is being told, and what has changed since."""
    WATCHING = auto()
    STOPPED = auto()


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
        self._waits = Waits()
        self._phase = _Phase.NEW
        self._first: list[Deferred[None]] = []
        self._stopped: list[Deferred[None]] = []
        self._is_telling = False
        self._retry: IDelayedCall | None = None
        self._pause: tuple[IDelayedCall, Deferred[None]] | None = None
        self._next_pause = _FIRST_PAUSE
        self._refusals = Refusals()

    def start(self, cursors: Mapping[str, str]) -> None:
        """
        Begin.

        :param cursors: As stored.
        """

        def looked(_: None) -> Deferred[None]:
            if self._phase is _Phase.LOOKING:
                self._phase = _Phase.TELLING
                self._backlog.add_logs(self._trails.paths())
                self._backlog.add_gone(self._memory.sessions_without_directory())
                if self._trails.is_new:
                    self._memory.begin_logs_at_end(self._backlog.everything().logs)
            return self._wait()

        def told(_: None) -> None:
            if self._phase is _Phase.TELLING:
                self._phase = _Phase.WATCHING
            self._answer_first()

        def failed(failure: Failure) -> None:
            first, self._first = self._first, []
            for done in first:
                done.errback(failure)

        if self._phase is _Phase.NEW:
            self._phase = _Phase.LOOKING
            begun = maybeDeferred(self._trails.load, cursors).addCallback(
                lambda _: self._tree.look()
            )
            begun.addCallback(looked).addCallback(told).addErrback(failed)

    def told_first(self) -> Deferred[None]:
        """
        Fires when what was there at first has been told and taken, or it is stopped.

        Fails if it could not be begun; then it is of no use but to be stopped. It is to be
        asked for before the start by somebody who does that.
        """
        done: Deferred[None] = Deferred()
        self._first.append(done)
        if self._phase in {_Phase.WATCHING, _Phase.STOPPED}:
            self._answer_first()
        return done

    def settle(self) -> Deferred[None]:
        """
        Look now.

        :returns: Fires when what it says now has been told and taken, or it is stopped.
        """
        if self._phase in {_Phase.NEW, _Phase.LOOKING}:
            return self.told_first()
        return self._tree.look().addCallback(lambda _: self._wait())

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
        self._phase = _Phase.STOPPED
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
        self._waits.end()
        self._answer_first()
        stopped, self._stopped = self._stopped, []
        for done in stopped:
            done.callback(None)

    def _answer_first(self) -> None:
        first, self._first = self._first, []
        for done in first:
            done.callback(None)

    # What has changed

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._note(change.path, change.kind, is_directory=change.is_directory)
        if self._phase is not _Phase.LOOKING:
            self._tell()

    def _note(self, path: str, kind: ChangeKind, *, is_directory: bool) -> None:
        is_removed = kind is ChangeKind.REMOVED
        if is_directory:
            session_id = self._layout.session_of(path) if is_removed else None
            if session_id is not None and self._layout.session_of(split(path)[0]) is None:
                self._backlog.add_gone([session_id])
        elif path.endswith(SUFFIX) or self._layout.is_log(path):
            self._backlog.add_logs([path])
        elif self._layout.rank(path) is None:
            return
        elif is_removed:
            self._backlog.drop_file(path)
            self._memory.removed(path)
            if self._layout.gone(path):
                self._backlog.add_files([path])
            else:
                self._waits.removed(path)
        else:
            self._backlog.add_files([path])
            self._memory.changed(path)

    # Telling

    def _tell(self) -> None:
        if not self._is_telling and self._phase is not _Phase.STOPPED:
            self._is_telling = True
            ensureDeferred(self._tell_all())

    async def _tell_all(self) -> None:
        while self._has_news():
            portion = self._in_flight = self._backlog.take(_SESSIONS, _LOGS, _FILES)
            is_told = await self._try_to_tell(portion)
            self._in_flight = Portion()
            self._waits.next()
            if not is_told:
                await self._wait_a_while()
        self._is_telling = False
        if self._phase is _Phase.STOPPED:
            self._end()

    async def _try_to_tell(self, portion: Portion) -> bool:
        try:
            await self._tell_portion(portion)
        except Exception:  # noqa: BLE001  # whatever it is, it is told again
            self._refused(Failure())
            return False
        self._next_pause = _FIRST_PAUSE
        count = self._refusals.over()
        if count:
            self._log.info(
                "{dir} was told, after {count} failures", dir=self._tree.root, count=count
            )
        return True

    def _refused(self, failure: Failure) -> None:
        words = "telling what {dir} says failed; it will be told again"
        if not self._refusals.is_news(failure.getErrorMessage()):
            return  # it may last for hours
        if failure.check(StorageFailed, Unavailable):
            # Where it failed is known.
            self._log.warn(f"{words}: {{error}}", dir=self._tree.root, error=failure.value)
        else:
            self._log.failure(words, failure, dir=self._tree.root)

    def _has_news(self) -> bool:
        if self._phase is _Phase.STOPPED:
            return False
        return bool(self._backlog) or self._memory.must_introduce

    async def _tell_portion(self, portion: Portion) -> None:
        untold = [portion]
        try:
            harvest = await self._read(self._memory.errand(portion))
            for path in self._memory.not_found(harvest):
                self._tree.doubt(path)
            harvest = self._memory.without_premature(harvest)
            has_more = self._backlog.has_files
            now = self._reactor.seconds()
            messages = self._memory.messages(portion, harvest, now, has_more=has_more)
            untold = [self._memory.unread(portion, harvest)]
            untold += [message.portion for message in messages]
            for message in messages:
                if self._phase is _Phase.STOPPED:
                    return
                await self._tell_message(message)
                untold.remove(message.portion)
        finally:
            for each in untold:
                self._backlog.put_back(each)
        self._plan_retry()

    async def _tell_message(self, message: Message) -> None:
        if message.sightings:
            await self._listener.seen(self.project_dir, message.sightings)
        # Who begins to wait from now on does not wait for this.
        self._in_flight = self._in_flight.without(message.portion)
        self._memory.confirm(message)
        self._backlog.add_logs(log.path for log in message.logs if log.has_more)
        self._waits.taken(message.portion, message.logs, is_new=self._trails.is_new)

    async def _wait_a_while(self) -> None:
        if self._phase is _Phase.STOPPED:
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
        if delay is None or self._phase is _Phase.STOPPED:
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

    def _wait(self) -> Deferred[None]:
        if self._phase is _Phase.STOPPED:
            return succeed(None)
        done = self._waits.add(
            self._in_flight, self._backlog.everything(), self._size_of, is_new=self._trails.is_new
        )
        self._tell()
        return done

    def _size_of(self, path: str) -> int:
        directory, name = split(path)
        entry = self._tree.entries(directory).get(name)
        return 0 if entry is None else entry.size
