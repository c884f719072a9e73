"""Launching agents: of new sessions, of those that wait, and of those of an earlier server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import attrs
import msgspec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from loki_twisted.agents.interface import (
    IAgent,
    IAgentRunner,
    IProviders,
    LaunchPlan,
    LaunchRequest,
    Limits,
)
from loki_twisted.log.interface import IRecords
from loki_twisted.model.budget import Budget
from loki_twisted.model.errors import (
    AgentNotStarted,
    LokiError,
    SessionAlreadyRunning,
    StorageFailed,
    Unavailable,
)
from loki_twisted.model.events import Fact
from loki_twisted.model.identifiers import session_id
from loki_twisted.model.redaction import Redactor
from loki_twisted.model.repetitions import OnceKey
from loki_twisted.model.sessions import ReasonCode, Session, SessionStatus, Steering
from loki_twisted.model.spending import Spending
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.book import Record, SessionBook
from loki_twisted.sessions.circumstances import Circumstances
from loki_twisted.sessions.conditions import updated
from loki_twisted.sessions.conduct import UNLIMITED, Change
from loki_twisted.sessions.conductor import Conductor
from loki_twisted.sessions.deadlines import Deadlines
from loki_twisted.sessions.ending import commit_end
from loki_twisted.sessions.inbox import InputPolicy, OnUnanswered
from loki_twisted.sessions.lifecycle import Step, facts_between, next_status
from loki_twisted.sessions.moments import Patience
from loki_twisted.sessions.places import find_place
from loki_twisted.sessions.queue import Slots
from loki_twisted.sessions.rows import Rows
from loki_twisted.sessions.run_observer import RunObserver
from loki_twisted.sessions.state import SessionState, with_status
from loki_twisted.sessions.steering import Steerer
from loki_twisted.sessions.waiting import WaitingLine
from loki_twisted.state.interface import IStateWatcher

_log = Logger()

DEFAULT_PROVIDER = "claude"
_REQUEST = "request"
_DRIVER = "driver"
_RETRY_SECONDS = 1.0
_TURN_SECONDS = 2.0


@attrs.frozen(slots=True, kw_only=True)
class LaunchPolicy:
    """
    What the operator allows.

    :ivar loki_dir: Absolute path of the server's own project directory.
    :ivar project_roots: Resolved directories; sessions may work in these and below.
    :ivar max_sessions: How many may be at work at once.
    :ivar limits: Of what each agent may use.
    :ivar max_per_provider: How many of a provider, by its name.
    :ivar max_per_project: How many in one project directory.
    :ivar inputs: What becomes of inputs that nobody answers, unless a session says so itself.
    :ivar patience: How long agents may be silent.
    """

    loki_dir: str
    project_roots: Sequence[str]
    max_sessions: int = 8
    limits: Limits = attrs.field(factory=Limits)
    max_per_provider: Mapping[str, int] = attrs.field(factory=dict)
    max_per_project: int = 1
    inputs: InputPolicy = InputPolicy()
    patience: Patience = Patience()

    @property
    def slots(self) -> Slots:
        """How many sessions may be at work at once, of each kind."""
        return Slots(
            server=self.max_sessions,
            project=self.max_per_project,
            providers=self.max_per_provider,
        )

    @property
    def watched(self) -> Sequence[str]:
        """Directories whose state is watched as long as the server runs, not only for a session."""
        return (self.loki_dir, *self.project_roots)


@attrs.define(eq=False, kw_only=True)
class Launcher:
    """
    Brings sessions to work.

    A session is on record before its agent is spawned. So after a crash between
    the two the next server knows what was meant, and nothing runs unknown.

    :ivar now_ms: The wall clock, milliseconds since the Unix epoch.
    :ivar entropy: Gives that many random bytes.
    :ivar runs: Knows what runs of Loki Mode write.
    :ivar redactor: Takes secrets out of what agents say.
    :ivar refusal: Why no session can be started, in a sentence, or None.
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
    line: WaitingLine = attrs.field(init=False)
    deadlines: Deadlines = attrs.field(init=False)

    @deadlines.default
    def _make_deadlines(self) -> Deadlines:
        return Deadlines(self.reactor, self.book, self.now_ms, self._expire)

    _next_turns: IDelayedCall | None = attrs.field(default=None, init=False)

    @line.default
    def _make_line(self) -> WaitingLine:
        return WaitingLine(self.book, self.policy.slots, self._stranger)

    async def start(
        self,
        wanted: StartSession,
        once: OnceKey | None = None,
        before: Session | None = None,
    ) -> Session:
        """
        See :meth:`ISessions.start`.

        :param before: The session whose conversation is continued.
        """
        if self.refusal is not None:
            raise Unavailable(self.refusal)
        policy = self.policy
        place = find_place(
            wanted.project_dir, wanted.prd_path, policy.loki_dir, policy.project_roots
        )
        now_ms = self.now_ms()
        session = Session(
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
        plan = self._plan(session, wanted)
        session = msgspec.structs.replace(
            session,
            accepts_input=plan.accepts_input or plan.steered_by is Steering.FILES,
            steered_by=plan.steered_by,
        )
        obstacle = self.line.obstacle(session)
        if obstacle is not None:
            if not wanted.queue:
                raise obstacle
            session = msgspec.structs.replace(
                session,
                status=SessionStatus.QUEUED,
                reason=str(obstacle),
                reason_code=ReasonCode.QUEUED,
            )
        record = self.book.add(session, self._counters_of(before))
        try:
            await self._put_on_record(record, wanted, plan, once)
        except LokiError:
            self.book.remove(record)
            raise
        if obstacle is not None:
            if _is_foreign(obstacle):
                self._give_turns_later()
            return session
        return await self._launch(record, plan, wanted)

    def _counters_of(self, before: Session | None) -> Mapping[str, Spending]:
        """What was counted in a conversation before: its totals go on from there."""
        record = None if before is None else self.book.find(before.id)
        return {} if record is None else record.state.talk.counters

    def _put_on_record(
        self,
        record: Record,
        wanted: StartSession,
        plan: LaunchPlan,
        once: OnceKey | None = None,
    ) -> Deferred[Session]:
        cursors = {
            f"{record.id}/{_REQUEST}": msgspec.json.encode(wanted).decode(),
            f"{record.id}/{_DRIVER}": plan.driven_by,
        }
        facts = []
        if record.status is SessionStatus.QUEUED:
            cursors |= self.line.enter(record.id)
            facts.append(updated(record.state.session))
        done_once = None if once is None else once.done(record.id, record.id, self.now_ms())
        rows = Rows(done_once=done_once)
        return self.book.commit(record, record.state, facts, cursors, rows)

    def _plan(self, session: Session, wanted: StartSession) -> LaunchPlan:
        plan = self.providers.plan(self._request(session, wanted, session.provider))
        return attrs.evolve(plan, limits=self.policy.limits)

    def _request(self, session: Session, wanted: StartSession, provider: str) -> LaunchRequest:
        return LaunchRequest(
            session_id=session.id,
            project_dir=session.project_dir,
            loki_dir=self.policy.loki_dir,
            provider=provider,
            prd_path=session.prd_path,
            prompt=wanted.prompt,
            model=wanted.model,
            dry_run=wanted.options.dry_run,
            verbose=wanted.options.verbose,
            conversation=session.conversation,
            stays_open=wanted.options.stay_open,
            direct=wanted.options.direct,
            command=wanted.command,
        )

    def _at_work(self) -> list[Record]:
        return [
            record
            for record in self.book
            if record.is_ours
            and not record.status.is_final
            and record.status is not SessionStatus.QUEUED
        ]

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

    async def _launch(self, record: Record, plan: LaunchPlan, wanted: StartSession) -> Session:
        self._watch(record)
        try:
            agent = await self.runner.start(record.id, plan)
        except AgentNotStarted as error:
            await self._fail(record, str(error))
            raise
        except Exception as error:
            # Whatever went wrong, it may run. Nobody was told so, so it must not.
            record.note_stop()
            self._take_over_later(record)
            msg = f"The agent could not be taken in charge: {error}"
            raise AgentNotStarted(msg) from error
        record.agent = agent
        self._conduct(record, wanted, plan.driven_by)
        try:
            return await self._launched(record, agent, wanted.options.timeout)
        except (StorageFailed, Unavailable):
            # Nobody was told that it runs, so it must not.
            record.note_stop()
            raise
        finally:
            await self._follow(record, agent)

    def _conduct(self, record: Record, wanted: StartSession, provider: str) -> None:
        """Have a conductor for a session."""
        session = record.state.session
        request = self._request(session, wanted, provider)
        record.conductor = Conductor(
            record,
            Circumstances(
                reactor=self.reactor,
                book=self.book,
                redactor=self.redactor,
                make_driver=lambda memory: self.providers.driver(request, memory),
                mint=self.mint,
                now_ms=self.now_ms,
                settle=lambda: self._settle(session.project_dir),
                ending=lambda: self.steerer.ending(record),
                after=self._after_end,
                stop=self._over_budget,
                policy=self._input_policy(wanted),
                budget=_budget_of(wanted),
                patience=self.policy.patience,
            ),
        )

    def mint(self, kind: str) -> str:
        """Make a new id of a kind, ``input`` for example."""
        return f"{kind}_{self.now_ms()}_{self.entropy(4).hex()}"

    def _input_policy(self, wanted: StartSession) -> InputPolicy:
        own, options = self.policy.inputs, wanted.options
        said = options.on_unanswered
        return InputPolicy(
            own.on_unanswered if said is None else OnUnanswered(said),
            own.limit_ms if options.input_timeout is None else options.input_timeout,
        )

    def _launched(
        self, record: Record, agent: IAgent, timeout_ms: int | None = None
    ) -> Deferred[Session]:
        status = next_status(record.status, Step.LAUNCH)
        state = with_status(record.state, status, reason=record.state.session.reason, pid=agent.pid)
        message = f"Started with provider {state.session.provider}."
        fact = Fact("session:started", {"status": str(status), "message": message})
        limit = self.deadlines.cursors(record, timeout_ms)
        conductor = record.conductor
        if conductor is None or self.steerer.steers(record):
            return self.book.commit(record, state, [fact], limit)
        return conductor.begin(state, [fact], limit)

    async def _fail(self, record: Record, reason: str) -> None:
        def failed(state: SessionState) -> Change:
            status = next_status(state.session.status, Step.FAIL)
            return Change(
                with_status(state, status, reason=reason, code=ReasonCode.NOT_STARTED), ()
            )

        await commit_end(self.reactor, self.book, record, failed, self._after_end)

    async def _follow(self, record: Record, agent: IAgent) -> None:
        """Read what an agent prints, and bring it in line with what the record says."""
        if record.stop_ordered or record.status is SessionStatus.STOPPING:
            record.stop_ordered = True
            agent.stop()
        elif record.status is SessionStatus.PAUSED and not self.steerer.steers(record):
            agent.pause()
        else:
            agent.resume()
        cursors = await self.records.cursors(f"{record.id}/")
        conductor = record.conductor
        if conductor is None:
            wanted = _asked(cursors[f"{record.id}/{_REQUEST}"])
            self._conduct(record, wanted, cursors.get(f"{record.id}/{_DRIVER}", ""))
            conductor = cast("Conductor", record.conductor)
        agent.follow(cursors, conductor, conductor.driver.line_limit)
        conductor.go_on()
        if self.steerer.steers(record):
            self.steerer.look_after(record, cursors)
        self.deadlines.watch(record, cursors)

    async def _settle(self, project_dir: str) -> None:
        """Have everything told that an agent has left in its state directory."""
        await self.watcher.settle(project_dir)
        judged = self.runs.judge(project_dir)
        if judged is not None:
            await judged

    def _expire(self, record: Record) -> None:
        self._stop_for(record, "It ran longer than its time limit.", ReasonCode.TIMED_OUT)

    def _over_budget(self, record: Record, reason: str) -> None:
        self._stop_for(record, reason, ReasonCode.OVER_BUDGET)

    def _stop_for(self, record: Record, reason: str, code: ReasonCode) -> None:
        done = ensureDeferred(self.stop(record, reason, code))
        done.addErrback(lambda failure: _log.failure("Stopping {id}", failure, id=record.id))

    async def stop(
        self, record: Record, reason: str | None = None, code: ReasonCode | None = None
    ) -> Session:
        """
        Order a session of ours to stop, and say so even if it cannot be put on record.

        :param reason: Why, unless somebody asked for it.
        :raises Conflict: if it does not run.
        """
        before = record.status
        status = next_status(before, Step.STOP)
        if before is not SessionStatus.QUEUED:
            record.stop_ordered = True
        if self.steerer.steers(record):
            self.steerer.note_script(record)
        if record.agent is not None:
            record.agent.stop()
        if status is before:
            return record.state.session
        facts = facts_between(before, status) if status.is_final else []
        try:
            session = await self.book.commit(
                record, with_status(record.state, status, reason=reason, code=code), facts
            )
        except (StorageFailed, Unavailable) as error:
            if status.is_final:
                raise
            _log.warn("The stop of {id} is not on record: {error}", id=record.id, error=str(error))
            return record.state.session
        if status.is_final:
            self.give_turns()  # it may have kept its project directory from others
        return session

    def _after_end(self, record: Record) -> None:
        self.deadlines.forget(record)
        directory = record.state.session.project_dir
        in_use = any(other.state.session.project_dir == directory for other in self._at_work())
        if directory not in {*self.policy.watched, *self.observed_at_work()} and not in_use:
            self.watcher.unwatch(directory)
        self.give_turns()

    def observed_at_work(self) -> list[str]:
        """The project directories in which somebody else's sessions have not ended."""
        return [
            record.state.session.project_dir
            for record in self.book
            if not record.is_ours and not record.status.is_final
        ]

    def give_turns(self) -> None:
        """Launch the sessions that wait, in the order of their line, as far as there are slots."""
        if self.refusal is not None:
            return
        started, obstacles = self.line.turns()
        # All of it is decided before the first is launched: its end may be the next turn.
        launches = [(record, self._begin_turn(record)) for record in started]
        for record, obstacle in obstacles:
            self._tell_obstacle(record, obstacle)
        for record, stored in launches:
            done = ensureDeferred(self._take_turn(record, stored))
            done.addErrback(
                lambda failure, name: _log.failure("Starting {id}", failure, id=name), record.id
            )

    def _begin_turn(self, record: Record) -> Deferred[Session]:
        state = with_status(record.state, next_status(record.status, Step.TURN))
        return self.book.commit(record, state, (), self.line.leave(record.id))

    def _tell_obstacle(self, record: Record, obstacle: LokiError) -> None:
        """Say what a session waits for, where that has changed."""
        if _is_foreign(obstacle):
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
        self.give_turns()

    async def _take_turn(self, record: Record, stored: Deferred[Session]) -> None:
        try:
            await stored
        except (StorageFailed, Unavailable) as error:
            _log.warn("The turn of {id} is not on record: {error}", id=record.id, error=str(error))
            self._give_turns_later()
            return
        cursors = await self.records.cursors(f"{record.id}/")
        asked = _asked(cursors[f"{record.id}/{_REQUEST}"])
        try:
            plan = self._plan(record.state.session, asked)
            await self._put_on_record(record, asked, plan)
        except LokiError as error:
            await self._fail(record, str(error))
            return
        try:
            await self._launch(record, plan, asked)
        except AgentNotStarted as error:
            _log.warn("{id}: {error}", id=record.id, error=str(error))

    async def adopt_all(self) -> None:
        """Find the agents of an earlier server again, running or ended, and follow them."""
        cursors = await self.records.cursors("")
        self.steerer.restore(cursors)
        self.line.restore(cursors)
        for record in self._at_work():
            await self._take_over(record)
        self.give_turns()

    async def _take_over(self, record: Record) -> None:
        """Find the agent of a session that is on record. One that makes trouble is tried again."""
        try:
            agent = self.runner.adopt(record.id)
            if agent is None:
                await self._fail(record, "The server ended before its agent was started.")
                return
            record.agent = agent
            self._watch(record)
            if record.status is SessionStatus.STARTING:
                cursors = await self.records.cursors(f"{record.id}/")
                wanted = _asked(cursors[f"{record.id}/{_REQUEST}"])
                self._conduct(record, wanted, cursors.get(f"{record.id}/{_DRIVER}", ""))
                await self._launched(record, agent, wanted.options.timeout)
            await self._follow(record, agent)
        except Exception:  # noqa: BLE001 (one session's trouble must not be all the others')
            _log.failure("The agent of {id} could not be found again.", id=record.id)
            self._take_over_later(record)

    def _take_over_later(self, record: Record) -> None:
        def again() -> None:
            if self.refusal is None:
                ensureDeferred(self._take_over(record))

        self.reactor.callLater(_RETRY_SECONDS, again)

    def _watch(self, record: Record) -> None:
        directory = record.state.session.project_dir
        done = ensureDeferred(self._watch_directory(directory))
        done.addErrback(lambda failure: _log.failure("Watching {dir}", failure, dir=directory))

    async def _watch_directory(self, directory: str) -> None:
        await self.watcher.watch(directory, await self.records.cursors(""))

    def close(self) -> None:
        """Start nothing any more, and forget the deadlines: the next server keeps them."""
        self.refusal = "The server is shutting down."
        self.steerer.close()
        if self._next_turns is not None:
            self._next_turns.cancel()
            self._next_turns = None
        self.deadlines.close()
        for record in self.book:
            if record.conductor is not None:
                record.conductor.close()


def _budget_of(wanted: StartSession) -> Budget:
    options = wanted.options
    if options.budget_usd is None and options.max_tokens is None:
        return UNLIMITED
    return Budget(budget_usd=options.budget_usd, max_tokens=options.max_tokens)


def _asked(text: str) -> StartSession:
    """Read a request as it was put on record."""
    return msgspec.json.decode(text, type=StartSession)


def _is_foreign(obstacle: LokiError | None) -> bool:
    """Whether it is a run of somebody else, which is named by its process."""
    return obstacle is not None and "pid" in (obstacle.details or {})
