"""The rooms of a server, built and joined. The only file that builds things."""

from __future__ import annotations

import os
import time
from typing import Any

import attrs

from loki_twisted.access.audit import AuditLog
from loki_twisted.access.keyring import Keyring
from loki_twisted.access.token_watch import TokenWatch
from loki_twisted.agents.gap_marks import GapMarks
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.registry import Providers
from loki_twisted.agents.runner import KeeperRunner
from loki_twisted.log.faults import READ_ONLY
from loki_twisted.log.place import lack_of_room
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.redaction import Redactor
from loki_twisted.policies import launch_policy_of, retention_of, tokens_of
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.gaps import Gaps
from loki_twisted.sessions.launching import Launcher
from loki_twisted.sessions.liveness import liveness_of, session_given_to
from loki_twisted.sessions.observing import StateObserver
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
from loki_twisted.web.event_lists import EventLists
from loki_twisted.web.leases import Leases
from loki_twisted.web.long_answers import LongAnswers
from loki_twisted.web.routes_output import MOST_OUTPUTS, OUTPUTS


@attrs.define(eq=False)
class Rooms:
    """
    The rooms of a server, each built of those above it. Nothing in them runs yet.

    :param settings: What the operator wants; the environment of the process says the rest.
    :ivar log: What happened, on disk.
    :ivar hub: Tells it to streams.
    :ivar lists: The long lists of events on their way to clients.
    :ivar outputs: What agents print, likewise.
    :ivar book: The sessions as they are now.
    :ivar runs: Follows the runs of Loki Mode.
    :ivar watcher: Sees what changes in state directories.
    :ivar providers: The kinds of agents.
    :ivar runner: Runs agents.
    :ivar launcher: Starts sessions, and takes up those of an earlier server.
    :ivar sessions: Does what is asked of sessions.
    :ivar gaps: Tells what a full disk had no room for.
    :ivar heartbeats: What streams are told while nothing happens.
    :ivar keyring: The tokens that are good now.
    :ivar leases: The answers that end with a token.
    :ivar tokens: Keeps the keyring as its file says.
    :ivar audit: The record of who did what.
    """

    _settings: Settings
    _reactor: Any
    _redactor: Redactor = attrs.field(factory=lambda: Redactor(os.environ), init=False)
    _control: RunControl = attrs.field(factory=RunControl, init=False)
    log: SQLiteEventLog = attrs.field(init=False)
    hub: Hub = attrs.field(init=False)
    lists: EventLists = attrs.field(init=False)
    outputs: LongAnswers = attrs.field(init=False)
    book: SessionBook = attrs.field(init=False)
    runs: RunObserver = attrs.field(init=False)
    watcher: StateWatcher = attrs.field(init=False)
    providers: Providers = attrs.field(init=False)
    runner: KeeperRunner = attrs.field(init=False)
    launcher: Launcher = attrs.field(init=False)
    sessions: SessionService = attrs.field(init=False)
    gaps: Gaps = attrs.field(init=False)
    heartbeats: Heartbeats = attrs.field(init=False)
    keyring: Keyring = attrs.field(init=False)
    leases: Leases = attrs.field(init=False)
    tokens: TokenWatch = attrs.field(init=False)
    audit: AuditLog = attrs.field(init=False)

    @property
    def data_dir(self) -> str:
        """Where the log is, and what agents print."""
        return self._settings.data_dir

    @property
    def _agents_dir(self) -> str:
        return os.path.join(self.data_dir, "agents")

    def lack(self) -> str | None:
        """Say what room is missing on the disk of the data for something new, or None."""
        return lack_of_room(self.data_dir)

    def _is_read_only(self) -> bool:
        return self.log.failure == READ_ONLY

    @log.default
    def _make_log(self) -> SQLiteEventLog:
        path = os.path.join(self.data_dir, "log.db")
        kept = retention_of(self._settings)
        return SQLiteEventLog(self._reactor, path, now_ms=_now_ms, retention=kept)

    @hub.default
    def _make_hub(self) -> Hub:
        return Hub(self._reactor, self.log)

    @lists.default
    def _make_lists(self) -> EventLists:
        return EventLists(self._reactor)

    @outputs.default
    def _make_outputs(self) -> LongAnswers:
        return LongAnswers(self._reactor, MOST_OUTPUTS, OUTPUTS)

    @book.default
    def _make_book(self) -> SessionBook:
        return SessionBook(self.log, self.log, _now_ms)

    @runs.default
    def _make_runs(self) -> RunObserver:
        hearing = RunHearing(self._control.live_run)
        return RunObserver(
            self._reactor, self.book, liveness_of, self._redactor, hearing, session_given_to
        )

    @watcher.default
    def _make_watcher(self) -> StateWatcher:
        return StateWatcher(
            self._reactor,
            StateObserver(self.book, self.runs, self._redactor),
            excluded=[self._settings.data_dir],
            layouts=[RedactedLayout(each, self._redactor) for each in LAYOUTS],
        )

    @providers.default
    def _make_providers(self) -> Providers:
        machine = Machine(os.environ, allows_commands=self._settings.allow_commands)
        return Providers(machine, self._reactor)

    @runner.default
    def _make_runner(self) -> KeeperRunner:
        grace_seconds = self._settings.grace_seconds
        return KeeperRunner(self._reactor, self._agents_dir, grace_seconds=grace_seconds)

    @launcher.default
    def _make_launcher(self) -> Launcher:
        book, runs = self.book, self.runs
        return Launcher(
            reactor=self._reactor,
            book=book,
            records=self.log,
            providers=self.providers,
            runner=self.runner,
            watcher=self.watcher,
            steerer=Steerer(
                reactor=self._reactor, book=book, control=self._control, is_told=runs.tells
            ),
            policy=launch_policy_of(self._settings),
            now_ms=_now_ms,
            entropy=os.urandom,
            runs=runs,
            redactor=self._redactor,
            lack=self.lack,
        )

    @sessions.default
    def _make_sessions(self) -> SessionService:
        return SessionService(self.book, self.launcher, self.log)

    @gaps.default
    def _make_gaps(self) -> Gaps:
        return Gaps(
            reactor=self._reactor,
            now_ms=_now_ms,
            book=self.book,
            marks=GapMarks(self._agents_dir),
            lack=lambda: self.log.failure if self._is_read_only() else self.lack(),
            cramped=lambda: (
                self.runner.at_work() if self._is_read_only() else self.runner.cramped()
            ),
            is_read_only=self._is_read_only,
        )

    @heartbeats.default
    def _make_heartbeats(self) -> Heartbeats:
        return Heartbeats(self._reactor, self.hub, _now_ms, self.sessions.beats)

    @keyring.default
    def _make_keyring(self) -> Keyring:
        return Keyring(tokens_of(self._settings), _now_ms)

    @leases.default
    def _make_leases(self) -> Leases:
        return Leases(self.keyring)

    @tokens.default
    def _make_tokens(self) -> TokenWatch:
        path = self._settings.token_file
        return TokenWatch(self._reactor, path, self.keyring, self.leases.settle)

    @audit.default
    def _make_audit(self) -> AuditLog:
        path = os.path.join(self._settings.data_dir, "audit.jsonl")
        return AuditLog(path, _now_ms, answers=lambda: not self.log.is_slow)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
