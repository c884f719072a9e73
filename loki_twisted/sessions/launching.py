"""Starting sessions: now, when their turn comes, or again after a restart of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import attrs
import msgspec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from loki_twisted.agents.driving import IProviders, Messaging
from loki_twisted.agents.interface import IAgentRunner, LaunchPlan
from loki_twisted.log.interface import IRecords
from loki_twisted.model.errors import (
    AgentNotStarted,
    LokiError,
    SessionAlreadyRunning,
    StorageFailed,
    StorageFull,
    Unavailable,
)
from loki_twisted.model.idempotency import IdempotencyKey
from loki_twisted.model.identifiers import session_id
from loki_twisted.model.redaction import Redactor
from loki_twisted.model.sessions import ReasonCode, Session, SessionStatus, Steering
from loki_twisted.model.spending import Spending
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.asking import DEFAULT_PROVIDER, asked_of, cursors_of, request_of
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.conditions import updated
from loki_twisted.sessions.lifecycle import Step, next_status
from loki_twisted.sessions.patience import START_SECONDS, TOO_LATE, at_last, soon
from loki_twisted.sessions.places import find_place
from loki_twisted.sessions.policy import LaunchPolicy
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.rows import NO_ROWS, with_key
from loki_twisted.sessions.run_observer import RunObserver
from loki_twisted.sessions.state import with_status
from loki_twisted.sessions.steering import STEERING_CURSORS, Steerer
from loki_twisted.sessions.strays import let_have_had_turns
from loki_twisted.sessions.supervising import Supervisor
from loki_twisted.sessions.waiting import LINE_CURSORS, WaitingLine, is_foreign
from loki_twisted.state.interface import IStateWatcher

_log = Logger()
_TURN_SECONDS = 2.0


@attrs.define(eq=False, kw_only=True)
class Launcher:
    """
    Brings sessions to work.

    :ivar now_ms: The wall clock, milliseconds since the Unix epoch.
    :ivar entropy: Gives that many random bytes.
    :ivar runs: Knows what runs of Loki Mode write.
    :ivar redactor: Takes secrets out of what agents say.
    :ivar refusal: Why no session can be started, in a sentence, or None.
    :ivar lack: Says what room is missing for one on the disk, in a sentence, or None.
    """

    reactor: IReactorTime
    book: SessionBook
    records: IRecords
    providers: IProviders
    runner: IAgentRunner
    watcher: IStateWatcher
    steerer: Steerer
    policy: LaunchPolicy
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    runs: RunObserver
    redactor: Redactor = attrs.field(factory=lambda: Redactor({}))
    refusal: str | None = None
    lack: Callable[[], str | None] = lambda: None
    line: WaitingLine = attrs.field(init=False)
    supervisor: Supervisor = attrs.field(init=False)
    _next_turns: IDelayedCall | None = attrs.field(default=None, init=False)

    @supervisor.default
    def _make_supervisor(self) -> Supervisor:
        return Supervisor(
            reactor=self.reactor,
            book=self.book,
            records=self.records,
            providers=self.providers,
            runner=self.runner,
            watcher=self.watcher,
            steerer=self.steerer,
            policy=self.policy,
            now_ms=self.now_ms,
            mint=self.mint,
            runs=self.runs,
            redactor=self.redactor,
            after_end=self.give_turns,
        )

    @line.default
    def _make_line(self) -> WaitingLine:
        return WaitingLine(self.book, self.policy.slots, self._stranger)

    async def start(
        self,
        wanted: StartSession,
        once: IdempotencyKey | None = None,
        before: Session | None = None,
    ) -> Session:
        """
        See :meth:`ISessions.start`.

        :param before: The session whose conversation is continued.
        """
        if self.refusal is not None:
            raise Unavailable(self.refusal)
        if (lack := self.lack()) is not None:
            raise StorageFull(lack)
        session, plan = self._planned(self._session_of(wanted, before), wanted)
        obstacle = self.line.obstacle(session)
        if obstacle is not None:
            if not wanted.queue:
                raise obstacle
            self.line.check_room(self.policy.max_queued)
            why = str(obstacle)
            session = msgspec.structs.replace(
                session, status=SessionStatus.QUEUED, reason=why, reason_code=ReasonCode.QUEUED
            )
        record = self.book.add(session, self._counters_of(before))
        stored = self._put_on_record(record, wanted, plan, once)
        try:
            await (stored if obstacle else soon(self.reactor, stored, START_SECONDS))
        except LokiError:
            self._give_up(record, stored)
            raise
        if obstacle is not None:
            if is_foreign(obstacle):
                self._give_turns_later()
            return session
        return await self.book.launches.run(record, self.supervisor.launch(record, plan, wanted))

    async def adopt_all(self) -> None:
        """Find the sessions of an earlier server again: those with agents, and those that wait."""
        self.steerer.restore(await self.records.cursors("", STEERING_CURSORS))
        self.line.restore(await self.records.cursors("", LINE_CURSORS))
        await let_have_had_turns(self.runner, self.line.records(), self._begin_turn)
        await self.supervisor.adopt_all()
        self.give_turns()

    def give_turns(self) -> None:
        """Launch the sessions that wait, in the order of their line, as far as there are slots."""
        if self.refusal is not None or self.lack() is not None:
            self._give_turns_later()
            return
        started, obstacles = self.line.turns()
        # All of it is decided before the first is launched: its end may be the next turn.
        launches = [(record, self._begin_turn(record)) for record in started]
        for record, obstacle in obstacles:
            self._tell_obstacle(record, obstacle)
        for record, stored in launches:
            done = ensureDeferred(self._take_turn(record, stored))
            done.addErrback(partial(_log.failure, "Starting {id}", id=record.id))

    def close(self) -> None:
        """Start nothing any more."""
        self.refusal = "The server is shutting down."
        if self._next_turns is not None:
            self._next_turns.cancel()
            self._next_turns = None
        self.supervisor.close()

    def mint(self, kind: str) -> str:
        """Make a new id of a kind, ``input`` for example."""
        return f"{kind}_{self.now_ms()}_{self.entropy(4).hex()}"

    def _session_of(self, wanted: StartSession, before: Session | None) -> Session:
        """Make a new session of what is asked for."""
        policy = self.policy
        place = find_place(
            wanted.project_dir, wanted.prd_path, policy.loki_dir, policy.project_roots
        )
        now_ms = self.now_ms()
        return Session(
            id=session_id(now_ms, self.entropy(4)),
            status=SessionStatus.STARTING,
            provider=wanted.provider or DEFAULT_PROVIDER,
            project_dir=place.project_dir,
            started_at=iso_from_ms(now_ms),
            updated_at=iso_from_ms(now_ms),
            prd_path=place.prd_path,
            model=wanted.model,
            priority=wanted.priority,
            continues=None if before is None else before.id,
            conversation=None if before is None else before.conversation,
        )

    def _planned(self, session: Session, wanted: StartSession) -> tuple[Session, LaunchPlan]:
        """Plan how a new session is started, and say in it what that makes of it."""
        plan = self._plan(session, wanted)
        by = {"steered_by": plan.steered_by, "driven_by": plan.driven_by}
        accepts_input = self._takes_messages(session, plan)
        return msgspec.structs.replace(session, accepts_input=accepts_input, **by), plan

    def _counters_of(self, before: Session | None) -> Mapping[str, Spending]:
        """What was counted in a conversation before: its totals go on from there."""
        record = None if before is None else self.book.find(before.id)
        return {} if record is None else record.state.talk.counters

    def _put_on_record(
        self,
        record: Record,
        wanted: StartSession,
        plan: LaunchPlan,
        once: IdempotencyKey | None = None,
    ) -> Deferred[Session]:
        cursors = cursors_of(record.id, wanted, plan)
        facts = []
        if record.status is SessionStatus.QUEUED:
            cursors |= self.line.enter(record.id)
            facts.append(updated(record.state.session))
        rows = with_key(NO_ROWS, once, record.id, record.id, self.now_ms())
        return self.book.commit(record, record.state, facts, cursors, rows)

    def _give_up(self, record: Record, stored: Deferred[Session]) -> None:
        """Start none of a session whose start is not on record, or comes there too late."""
        if record.in_flight:
            at_last(record, lambda: self.supervisor.fail(record, TOO_LATE))
            # If it is lost instead, the book lets go of its slots, and tells nobody.
            stored.addBoth(lambda _: self._give_turns_later())
            return
        self.book.remove(record)
        self.give_turns()  # its slots may have been in somebody's way meanwhile

    def _takes_messages(self, session: Session, plan: LaunchPlan) -> bool:
        """Whether its agent reads what people say: not only answers to what it asks."""
        abilities = self.providers.abilities(plan.driven_by or session.provider)
        reads = plan.accepts_input and abilities.messaging is not Messaging.NEVER
        return reads or plan.steered_by is Steering.FILES

    def _plan(self, session: Session, wanted: StartSession) -> LaunchPlan:
        request = request_of(session, wanted, self.policy.loki_dir, session.provider)
        return attrs.evolve(self.providers.plan(request), limits=self.policy.limits)

    def _stranger(self, project_dir: str) -> LokiError | None:
        """Say if somebody else runs Loki Mode in the directory: ours would only end at once."""
        run = self.steerer.foreign_run(project_dir)
        if run is None:
            return None
        observed = self.steerer.session_of(project_dir, run)
        name = "Somebody else" if observed is None else f"Session {observed}, which is not ours,"
        msg = f"{name} already runs Loki Mode in {project_dir} (process {run.pid})."
        details = {} if observed is None else {"sessionId": observed}
        return SessionAlreadyRunning(msg, {**details, "pid": run.pid})

    def _begin_turn(self, record: Record) -> Deferred[Session]:
        state = with_status(record.state, next_status(record.status, Step.TURN))
        return self.book.commit(record, state, (), self.line.leave(record.id))

    def _tell_obstacle(self, record: Record, obstacle: LokiError) -> None:
        """Say what a session waits for, where that has changed."""
        if is_foreign(obstacle):
            self._give_turns_later()
        reason = str(obstacle)
        if record.state.session.reason != reason:
            state = with_status(record.state, record.status, reason=reason, code=ReasonCode.QUEUED)
            told = self.book.commit(record, state, [updated(state.session)])
            told.addErrback(lambda failure: failure.trap(StorageFailed, Unavailable))

    def _give_turns_later(self) -> None:
        """Nobody tells us when a run of somebody else's has ended, or when the log works again."""
        if self._next_turns is None and self.refusal is None:
            self._next_turns = self.reactor.callLater(_TURN_SECONDS, self._turn_again)

    def _turn_again(self) -> None:
        self._next_turns = None
        with _log.failuresHandled("No turns could be given") as turns:
            self.give_turns()
        if turns.failed:
            self._give_turns_later()

    async def _take_turn(self, record: Record, stored: Deferred[Session]) -> None:
        try:
            await stored
        except (StorageFailed, Unavailable) as error:
            _log.warn("The turn of {id} is not on record: {error}", id=record.id, error=str(error))
            self._give_turns_later()
            return
        try:
            asked, _ = asked_of(record.id, await self.records.cursors(f"{record.id}/"))
            plan = self._plan(record.state.session, asked)
            await self._put_on_record(record, asked, plan)
        except LokiError as error:
            await self.supervisor.fail(record, str(error))
            return
        try:
            await self.book.launches.run(record, self.supervisor.launch(record, plan, asked))
        except AgentNotStarted as error:
            _log.warn("{id}: {error}", id=record.id, error=str(error))
