"""
The server, joined from its rooms. The only file that builds things.

The order of a start: the sockets are bound first, but accept nothing yet; then the data
directory is taken, the log opened, and the agents of an earlier server followed again; then
the sockets accept. So a port in use or a second server on the same data changes
nothing on disk, and a client that connects early waits instead of being refused.

The order of an end is the reverse: nothing new comes in, streams say goodbye, agents are left
running, and the log is closed last, when everything that was to be said is in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import apsw
from twisted.application.service import Service as BaseService
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted import __version__
from loki_twisted.agents.interface import Limits
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.registry import Providers
from loki_twisted.agents.providers.replay import REPLAY
from loki_twisted.agents.runner import KeeperRunner
from loki_twisted.endpoints import (
    endpoint_descriptions,
    has_ipv6_loopback,
    is_local_endpoint,
    refuse_open_listeners,
)
from loki_twisted.log.place import DataDirectory
from loki_twisted.log.retention import Retention
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.redaction import Redactor
from loki_twisted.model.wire import ProviderDetail, StartOptions, StartSession, System
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.inbox import InputPolicy, OnUnanswered
from loki_twisted.sessions.launching import Launcher
from loki_twisted.sessions.liveness import liveness_of, session_given_to
from loki_twisted.sessions.moments import Patience
from loki_twisted.sessions.observing import StateObserver
from loki_twisted.sessions.policy import LaunchPolicy
from loki_twisted.sessions.run_hearing import RunHearing
from loki_twisted.sessions.run_observer import RunObserver
from loki_twisted.sessions.service import SessionService
from loki_twisted.sessions.steering import Steerer
from loki_twisted.settings import Settings
from loki_twisted.state.orders import RunControl
from loki_twisted.state.redacted import RedactedLayout
from loki_twisted.state.watcher import LAYOUTS, StateWatcher
from loki_twisted.stream.heartbeat import Heartbeats
from loki_twisted.stream.hub import Hub
from loki_twisted.web.api import make_api
from loki_twisted.web.authorities import own_hosts
from loki_twisted.web.event_lists import EventLists
from loki_twisted.web.gate import GatePolicy, hash_of_token
from loki_twisted.web.long_answers import LongAnswers
from loki_twisted.web.routes_output import MOST_OUTPUTS, OUTPUTS
from loki_twisted.web.site import Site
from loki_twisted.web.vitals import IVitals, read_system

_CHECK_SECONDS: Final = 1.0
_DAY_MS: Final = 24 * 60 * 60 * 1000
_MEGABYTE: Final = 1_000_000
_STEP_SECONDS: Final = 5.0
"""How long each step of an end may take before the next one begins all the same."""

_log: Final = Logger()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@implementer(IVitals)
class _Vitals:
    """What the server knows of itself, asked of the rooms."""

    version = __version__

    def __init__(self, server: Service) -> None:
        self._server = server
        self._began = server.reactor.seconds()

    def uptime_ms(self) -> int:
        """See :class:`IVitals`."""
        return int((self._server.reactor.seconds() - self._began) * 1000)

    def providers(self) -> Mapping[str, bool]:
        """See :class:`IVitals`."""
        return self._server.providers.available()

    def provider_details(self) -> Sequence[ProviderDetail]:
        """See :class:`IVitals`."""
        return self._server.providers.described()

    def problems(self) -> Sequence[str]:
        """See :class:`IVitals`."""
        trouble = [] if self._server.trouble is None else [self._server.trouble]
        return [*trouble, *self._server.log.notices, *self._server.watcher.problems()]

    def not_serving(self) -> str | None:
        """See :class:`IVitals`."""
        phase = self._server.phase
        return None if phase == "serving" else f"The server is {phase}."

    def not_ready(self) -> str | None:
        """See :class:`IVitals`."""
        if self._server.log.failure is not None:
            return "The log cannot be written."
        return self.not_serving() or self._server.trouble

    def system(self) -> System:
        """See :class:`IVitals`."""
        return read_system(apsw.sqlite_lib_version())


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
        or with ``StorageRefused`` if the data directory cannot be used.
    :ivar stopped: Fires when it has ended.
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
        self._listening = listening
        self._ports: list[IListeningPort] = []
        self._directory: DataDirectory | None = None
        self._started: Deferred[None] | None = None
        self._stopping: Deferred[None] | None = None
        self._watched: dict[str, bool | None] = {}
        """By directory: whether it is watched; None while that is being begun."""
        self._check = LoopingCall(self._check_place)
        self._check.clock = reactor
        self._build()

    # Building

    def _build(self) -> None:
        settings, reactor = self.settings, self.reactor
        self.log = SQLiteEventLog(
            reactor,
            os.path.join(settings.data_dir, "log.db"),
            now_ms=_now_ms,
            retention=_retention_of(settings),
        )
        self.hub = Hub(reactor, self.log)
        self.lists = EventLists(reactor)
        self.outputs = LongAnswers(reactor, MOST_OUTPUTS, OUTPUTS)
        self.book = SessionBook(self.log, self.log, _now_ms)
        redactor = Redactor(os.environ)
        control = RunControl()
        self.runs = RunObserver(
            reactor,
            self.book,
            liveness_of,
            redactor,
            RunHearing(control.live_run),
            session_given_to,
        )
        observer = StateObserver(self.book, self.runs, redactor)
        self.watcher = StateWatcher(
            reactor,
            observer,
            excluded=[settings.data_dir],
            layouts=[RedactedLayout(each, redactor) for each in LAYOUTS],
        )
        self.providers = Providers(
            Machine(os.environ, allows_commands=settings.allow_commands), reactor
        )
        self.runner = KeeperRunner(
            reactor,
            os.path.join(settings.data_dir, "agents"),
            grace_seconds=settings.grace_seconds,
        )
        self.launcher = Launcher(
            reactor=reactor,
            book=self.book,
            records=self.log,
            providers=self.providers,
            runner=self.runner,
            watcher=self.watcher,
            steerer=Steerer(
                reactor=reactor, book=self.book, control=control, is_told=self.runs.tells
            ),
            policy=LaunchPolicy(
                loki_dir=os.path.realpath(settings.loki_dir),
                project_roots=_roots_of(settings),
                max_sessions=settings.max_sessions,
                limits=_limits_of(settings),
                max_per_provider=dict(settings.max_per_provider),
                max_per_project=settings.max_per_project,
                inputs=_input_policy_of(settings),
                patience=Patience(stall=settings.stall_seconds or None),
            ),
            now_ms=_now_ms,
            entropy=os.urandom,
            runs=self.runs,
            redactor=redactor,
        )
        self.sessions = SessionService(self.book, self.launcher, self.log)
        self._heartbeats = Heartbeats(reactor, self.hub, _now_ms, self.sessions.beats)
        self._descriptions = endpoint_descriptions(settings, ipv6_loopback=has_ipv6_loopback())
        self.resource = make_api(
            sessions=self.sessions,
            log=self.log,
            hub=self.hub,
            lists=self.lists,
            outputs=self.outputs,
            vitals=_Vitals(self),
            policy=self._policy(),
            reactor=reactor,
        )
        self.site = Site(self.resource, reactor=reactor)
        self.site.noisy = False

    def _policy(self) -> GatePolicy:
        settings = self.settings
        return GatePolicy(
            token_hashes=frozenset(hash_of_token(token) for token in settings.tokens),
            hosts=own_hosts(settings.host, settings.allowed_hosts),
            origins=frozenset(settings.cors_origins),
            own_origin_only=not settings.cors,
            auth_required=settings.auth,
            local_without_token=not self._listening
            or all(is_local_endpoint(each) for each in self._descriptions),
            debug=settings.debug,
        )

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
            for port in self._ports:
                _accept(port, True)
            self.ready.callback(
                [
                    _address(description, port)
                    for description, port in zip(self._descriptions, self._ports, strict=False)
                ]
            )

    async def _open(self) -> None:
        if self._listening:
            for description in self._descriptions:
                port = await serverFromString(self.reactor, description).listen(self.site)
                _accept(port, False)
                self._ports.append(port)
        self._directory = DataDirectory(self.settings.data_dir)
        await self.log.start()
        await self.book.load()
        self.runs.load(await self.log.cursors(""))
        await self.launcher.adopt_all()
        self._heartbeats.start()
        # What the state directory says at first may be much, and is told while we serve.
        watched = [*self.launcher.policy.watched, *self.launcher.supervisor.observed_at_work()]
        self._watch_projects(dict.fromkeys(watched))
        self._check.start(_CHECK_SECONDS, now=False)

    def _replay(self) -> None:
        """Play the recording that is to be played."""
        if self.settings.replay is None:
            return
        wanted = StartSession(
            provider=REPLAY,
            prd_path=os.path.realpath(self.settings.replay),
            options=StartOptions(speed=self.settings.replay_speed),
        )
        self.sessions.start(wanted).addErrback(
            lambda failure: _log.error(
                "The recording is not played: {error}", error=failure.getErrorMessage()
            )
        )

    async def _watch(self, directory: str) -> None:
        """Watch a project for as long as we run. While that cannot be begun, try again."""
        self._watched[directory] = None
        try:
            await self.watcher.watch(directory, await self.log.cursors(""))
            if (told := self.runs.looked(directory)) is not None:
                await told
        except Exception:  # noqa: BLE001 (whatever it is, it is told, and tried again)
            _log.failure("The state directory of {directory} is not watched", directory=directory)
            self._watched[directory] = False
        else:
            self._watched[directory] = True

    def _watch_projects(self, directories: Iterable[str]) -> None:
        for directory in directories:
            ensureDeferred(self._watch(directory))

    def _check_place(self) -> None:
        """See whether what a server cannot be without is still there."""
        if self._directory is not None and not self._directory.is_intact():
            # What is written now goes into files that no server will ever find again.
            self.trouble = "The data directory was removed. Start the server again."
            self.launcher.refusal = self.trouble
        elif False in self._watched.values():
            self.trouble = "The state directory is not watched."
            self._watch_projects([each for each, state in self._watched.items() if state is False])
        elif None not in self._watched.values():
            self.trouble = None

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
            await self._started
        if self.phase == "stopped":
            return
        self.phase = "shutting down"
        await self._close()

    async def _close(self) -> None:
        self.launcher.close()
        if self._check.running:
            self._check.stop()
        for port in self._ports:
            await self._step("closing a socket", maybeDeferred(port.stopListening))
        self._heartbeats.stop()
        # Their time runs beside that of the streams.
        lists, outputs = self.lists.close(), self.outputs.close()
        await self._step("ending the streams", self.hub.close())
        await self._step("ending the lists of events", lists)
        await self._step("ending the outputs of agents", outputs)
        await self._step("ending the connections", self.site.drain())
        await self._step("leaving the state directories", self.watcher.stop())
        self.runs.stop()
        await self._step("leaving the agents", self.runner.detach())
        if self._directory is not None:
            await self._step("closing the log", self.log.stop())
            self._directory.release()
        self.phase = "stopped"
        self.stopped.callback(None)

    async def _step(self, name: str, done: Deferred[Any]) -> None:
        """Wait for a step of the end, but not for ever: the next ones matter too."""
        try:
            await done.addTimeout(_STEP_SECONDS, self.reactor)
        except Exception:  # noqa: BLE001 (each step is taken, whatever became of the one before)
            _log.failure("Trouble while {name}", name=name)


def _limits_of(settings: Settings) -> Limits:
    """Say it in the units of the agents. None and 0 are no limit."""
    memory, file = settings.limit_memory_mb, settings.limit_file_mb
    return Limits(
        memory_bytes=memory * _MEGABYTE if memory else None,
        processes=settings.limit_processes or None,
        file_bytes=file * _MEGABYTE if file else None,
    )


def _roots_of(settings: Settings) -> list[str]:
    """The directories in and under which agents may work; a recording lies in one of them."""
    roots = [os.path.realpath(root) for root in settings.project_roots]
    if settings.replay is not None:
        roots.append(os.path.dirname(os.path.realpath(settings.replay)))
    return roots


def _input_policy_of(settings: Settings) -> InputPolicy:
    """Say it in the units of the sessions. None and 0 are no limit."""
    seconds = settings.input_seconds
    limit_ms = int(seconds * 1000) if seconds else None
    return InputPolicy(OnUnanswered(settings.on_unanswered), limit_ms)


def _retention_of(settings: Settings) -> Retention:
    """Say it in the units of the log. None and 0 are no limit."""
    days, megabytes = settings.retain_days, settings.retain_mb
    return Retention(
        events=settings.retain_events or None,
        age_ms=int(days * _DAY_MS) if days else None,
        size=megabytes * _MEGABYTE if megabytes else None,
    )


def _accept(port: Any, accepting: bool) -> None:
    """Let a socket wait with the connections that come, or take them, where it can be told to."""
    switch = getattr(port, "startReading" if accepting else "stopReading", None)
    if switch is not None:
        switch()


def _address(description: str, port: IListeningPort) -> str:
    """Say where a port listens, as its clients name it."""
    kind = description.partition(":")[0]
    address = port.getHost()
    if isinstance(address, IPv4Address | IPv6Address):
        name = f"[{address.host}]" if ":" in address.host else address.host
        scheme = "https" if kind in {"ssl", "tls"} else "http"
        return f"{scheme}://{name}:{address.port}"
    if isinstance(address, UNIXAddress):
        return f"unix:{os.fsdecode(address.name or b'')}"
    return description
