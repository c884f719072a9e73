"""
The server: one Twisted service over the rooms that ``rooms.py`` joins.

The order of a start: the sockets are bound first, but accept nothing yet; then the data
directory is taken, the log opened, and the agents of an earlier server followed again; then
the sockets accept. So a port in use or a second server on the same data changes
nothing on disk, and a client that connects early waits instead of being refused.

The order of an end is the reverse: nothing new comes in, streams say goodbye, agents are left
running, and the log is closed last, when everything that was to be said is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import Service as BaseService
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.logger import Logger, LogLevel

from loki_twisted.endpoints import (
    endpoint_descriptions,
    has_ipv6_loopback,
    refuse_open_listeners,
)
from loki_twisted.kernel.repeating import repeating
from loki_twisted.listening import Sockets
from loki_twisted.log.place import DataDirectory
from loki_twisted.model.errors import StorageDamaged
from loki_twisted.operation.figures import Exposition
from loki_twisted.operation.stalls import Stalls
from loki_twisted.policies import replay_of
from loki_twisted.premises import Premises
from loki_twisted.readings import readings_of
from loki_twisted.rooms import Rooms
from loki_twisted.sessions.gaps import GAP_CURSORS
from loki_twisted.sessions.run_observer import RUN_CURSORS
from loki_twisted.settings import Settings
from loki_twisted.vitals import GONE, Vitals, what_is_gone
from loki_twisted.watching import ProjectWatch
from loki_twisted.web.access import AccessLog
from loki_twisted.web.entrance import Entrance
from loki_twisted.web.site import Site

_CHECK_SECONDS: Final = 1.0
_STEP_SECONDS: Final = 5.0
"""How long each step of an end may take before the next one begins all the same."""

_log: Final = Logger()


class Service(BaseService):
    """
    A server: sessions, their agents, the event log and the HTTP API, as one Twisted service.

    It can be started and stopped once.

    :param settings: See :class:`~loki_twisted.settings.Settings`.
    :param reactor: The reactor; the global one by default.
    :param listening: Whether it listens by itself. Without that it is reached by
        ``resource`` only, and who may reach that is up to the program that mounts it.
    :raises loki_twisted.settings.InvalidSettings: if it would listen where others could start
        programs.
    :ivar resource: The API, an ``IResource``; it may be mounted under any path.
    :ivar ready: Fires once it serves, with the addresses that it listens on
        (``http://127.0.0.1:57374``, ``unix:/path``). It fails with ``CannotListenError``,
        with ``StorageRefused`` if the data directory cannot be used, with
        ``TokenFileRefused`` if the file of tokens cannot, or with ``StorageDamaged`` if damage
        of the log was met behind its opening, twice: after the first time it has begun anew.
    :ivar stopped: Fires when it has ended.
    :ivar reloads: Called when it is to take up what has changed.
    :ivar stalls: Of its reactor, where somebody watches that.
    :ivar phase: ``starting``, ``serving``, ``shutting down`` or ``stopped``.
    :ivar trouble: Why it should take no work although it serves, in a sentence, or None.
    """

    def __init__(self, settings: Settings, reactor: Any = None, *, listening: bool = True) -> None:
        if reactor is None:
            # Late, because importing it chooses one.
            from twisted.internet import reactor
        if listening:
            refuse_open_listeners(settings)
        self.setName("loki")
        self.settings = settings
        self.reactor = reactor
        self.ready: Deferred[list[str]] = Deferred()
        self.stopped: Deferred[None] = Deferred()
        self.phase = "starting"
        self.trouble: str | None = None
        self.reloads: list[Callable[[], None]] = []
        self.stalls = Stalls()
        self._directory: DataDirectory | None = None
        self._started: Deferred[None] | None = None
        self._stopping: Deferred[None] | None = None
        self._descriptions = (
            endpoint_descriptions(settings, ipv6_loopback=has_ipv6_loopback()) if listening else ()
        )
        self._sockets = Sockets(reactor, self._descriptions)
        # Each by itself: none is to be missing because another fails.
        looks = (self._look_at_disk, self._look_at_audit, self._sockets.retry, self._check_place)
        self._checks = [
            repeating(reactor, look, "It could not be seen whether all is well") for look in looks
        ]
        self.listening_problems = self._sockets.problems
        self.reloads += [self._reload_tokens, self._sockets.reload]
        self._premises = self._new_premises()
        self.resource = Entrance(self._premises.interior, reactor)
        access = AccessLog(LogLevel.info) if settings.access_log else None
        self.site = Site(self.resource, reactor=reactor, access=access)
        self.site.noisy = False
        self.exposition = Exposition(readings_of(self))

    def _new_premises(self) -> Premises:
        return Premises.of(self.settings, self.reactor, self._descriptions, self)

    @property
    def rooms(self) -> Rooms:
        """Its rooms; others where it has begun anew."""
        return self._premises.rooms

    @property
    def vitals(self) -> Vitals:
        """What it knows of itself."""
        return self._premises.vitals

    @property
    def projects(self) -> ProjectWatch:
        """Watches the projects in which something may change."""
        return self._premises.projects

    # Starting

    def startService(self) -> None:
        """Start; see ``ready``."""
        super().startService()
        self._started = ensureDeferred(self._start())

    async def _start(self) -> None:
        try:
            await self._open()
        except Exception as error:  # noqa: BLE001 (whoever waits for `ready` is told)
            await self._close()
            self.ready.errback(error)
        else:
            self.phase = "serving"
            self._replay()
            self._sockets.accept()
            self.ready.callback(self._sockets.addresses())

    async def _open(self) -> None:
        self.rooms.tokens.load()
        await self._sockets.bind(self.site)
        self._directory = DataDirectory(self.settings.data_dir)
        for check in self._checks:
            check.start(_CHECK_SECONDS, now=False)
        try:
            await self._open_rooms()
        except StorageDamaged as error:
            _log.critical("{error} Beginning anew.", error=error)
            self.rooms.launcher.close()
            await self._leave_rooms()
            if not self.running:
                raise  # it is being stopped
            self._premises = self._new_premises()
            self.rooms.tokens.load()
            self.resource.interior = self._premises.interior
            await self._open_rooms()

    async def _open_rooms(self) -> None:
        rooms = self.rooms
        await rooms.log.start()
        await rooms.book.load()
        for part in RUN_CURSORS:
            rooms.runs.load(await rooms.log.cursors("", part))
        await rooms.launcher.adopt_all()
        await rooms.gaps.restore(await rooms.log.cursors("", GAP_CURSORS))
        rooms.log.refuse_damaged()
        rooms.heartbeats.start()
        rooms.tokens.start()
        # What the state directory says at first may be much, and is told while we serve.
        watched = [*rooms.launcher.policy.watched, *rooms.launcher.supervisor.observed_at_work()]
        self.projects.begin(dict.fromkeys(watched))

    def _replay(self) -> None:
        """Play the recording that is to be played."""
        wanted = replay_of(self.settings)
        if wanted is None:
            return
        self.rooms.sessions.start(wanted).addErrback(
            lambda failure: _log.error(
                "The recording is not played: {error}", error=failure.getErrorMessage()
            )
        )

    def _look_at_disk(self) -> None:
        self.rooms.gaps.look()

    def _look_at_audit(self) -> None:
        self.rooms.audit.look()

    def _check_place(self) -> None:
        """See whether what a server cannot be without is still there."""
        launcher = self.rooms.launcher
        if self.phase == "starting" and self.rooms.log.failure is not None:
            # It may wait for long, and whoever asks is told for what.
            self._sockets.accept()
        if gone := what_is_gone(self._directory, self.rooms):
            # What is written now goes into files that no server will ever find again.
            self.trouble = launcher.refusal = gone
            return
        if launcher.refusal in GONE:
            launcher.refusal = None  # somebody has put it back, with all that is in it
            launcher.give_turns()
        if self.projects.failed:
            self.trouble = "The state directory is not watched."
            self.projects.retry()
        elif self.projects.is_complete:
            self.trouble = None

    def _reload_tokens(self) -> None:
        self.rooms.tokens.reload()  # of those rooms that are there by then

    def reload(self) -> None:
        """Take up the file of tokens, certificates, and whatever else ``reloads`` has."""
        for each in self.reloads:
            with _log.failuresHandled("What has changed could not be taken up"):
                each()

    # Ending

    def stopService(self) -> Deferred[None]:
        """
        End: say goodbye to readers, leave the agents running, close the log.

        :returns: Fires when it has ended.
        """
        super().stopService()
        if self._stopping is None:
            self._stopping = ensureDeferred(self._stop())
        # Each caller gets a Deferred of its own.
        waiting: Deferred[None] = Deferred()
        self._stopping.addCallback(waiting.callback)
        return waiting

    async def _stop(self) -> None:
        if self._started is not None:
            self.rooms.log.give_up()
            await self._started
        if self.phase == "stopped":
            return
        for port in self._sockets.ports:
            await self._step("closing a socket", maybeDeferred(port.stopListening))
        # Those whose requests are there already are no new ones, though nobody had time for them.
        await self._step(
            "answering who waits", self.site.shares.mine(), self.settings.drain_seconds
        )
        self.phase = "shutting down"
        await self._close()

    async def _close(self) -> None:
        rooms = self.rooms
        rooms.launcher.close()
        rooms.tokens.stop()
        for check in self._checks:
            if check.running:
                check.stop()
        rooms.heartbeats.stop()
        # The time of all runs at once.
        grace = self.settings.drain_seconds
        for name, ended in (
            ("ending the streams", rooms.hub.close(grace)),
            ("ending the lists of events", rooms.lists.close(grace)),
            ("ending the outputs of agents", rooms.outputs.close(grace)),
            ("ending the connections", self.site.drain(grace)),
        ):
            await self._step(name, ended, grace)
        await self._leave_rooms()
        if self._directory is not None:
            self._directory.release()
        self.phase = "stopped"
        self.stopped.callback(None)

    async def _leave_rooms(self) -> None:
        rooms = self.rooms
        await self._step("leaving the state directories", rooms.watcher.stop())
        rooms.runs.stop()
        await self._step("leaving the agents", rooms.runner.detach())
        if self._directory is not None:
            await self._step("closing the log", rooms.log.stop())
            rooms.audit.close()

    async def _step(self, name: str, done: Deferred[Any], grace: float = 0.0) -> None:
        """Wait for a step of the end, but not for ever: the next ones matter too."""
        try:
            await done.addTimeout(grace + _STEP_SECONDS, self.reactor)
        except Exception:  # noqa: BLE001 (each step is taken, whatever became of the one before)
            _log.failure("Trouble while {name}", name=name)
