"""Agents of sessions that are on record: taken in charge, followed, stopped, and found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.agents.driving import IProviders
from loki_twisted.agents.interface import IAgent, IAgentRunner, LaunchPlan
from loki_twisted.log.interface import IRecords
from loki_twisted.model.errors import AgentNotStarted, StorageFailed, Unavailable
from loki_twisted.model.events import Fact
from loki_twisted.model.redaction import Redactor
from loki_twisted.model.sessions import ReasonCode, Session, SessionStatus
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.asking import asked_of, budget_of, request_of
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.changes import Change
from loki_twisted.sessions.circumstances import Circumstances
from loki_twisted.sessions.conductor import Conductor
from loki_twisted.sessions.deadlines import Deadlines
from loki_twisted.sessions.ending import commit_end, end_without_files
from loki_twisted.sessions.guarded import GuardedDriver
from loki_twisted.sessions.intent import with_intent
from loki_twisted.sessions.lifecycle import Step, facts_between, next_status
from loki_twisted.sessions.overview import is_at_work
from loki_twisted.sessions.patience import soon
from loki_twisted.sessions.policy import LaunchPolicy
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.run_observer import RunObserver
from loki_twisted.sessions.state import SessionState, with_status
from loki_twisted.sessions.steering import Steerer
from loki_twisted.sessions.strays import put_strays_on_record
from loki_twisted.state.interface import IStateWatcher

_log = Logger()
_RETRY_SECONDS = 1.0


@attrs.define(eq=False, kw_only=True)
class Supervisor:
    """
    Has the agents of sessions in charge.

    A session is on record before its agent is spawned. So after a crash between
    the two the next server knows what was meant, and nothing runs unknown.

    :ivar now_ms: The wall clock, milliseconds since the Unix epoch.
    :ivar mint: Makes a new id of a kind, ``input`` for example.
    :ivar runs: Knows what runs of Loki Mode write.
    :ivar redactor: Takes secrets out of what agents say.
    :ivar after_end: Called when a session has ended, or makes room for others.
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
    mint: Callable[[str], str]
    runs: RunObserver
    redactor: Redactor
    after_end: Callable[[], None]
    deadlines: Deadlines = attrs.field(init=False)
    _is_closed: bool = attrs.field(default=False, init=False)

    @deadlines.default
    def _make_deadlines(self) -> Deadlines:
        return Deadlines(self.reactor, self.book, self.now_ms, self._expire)

    async def launch(self, record: Record, plan: LaunchPlan, wanted: StartSession) -> Session:
        """
        Start the agent of a session.

        :raises AgentNotStarted: if it could not be started; the session has failed then.
        :raises StorageFailed: if it could not be put on record that it runs; it is stopped then.
        """
        self._watch(record)
        limit = self.deadlines.cursors(record, wanted.options.timeout)
        plan = with_intent(plan, record.state, wanted, limit)
        try:
            agent = await self.runner.start(record.id, plan)
        except AgentNotStarted as error:
            await self.fail(record, str(error))
            raise
        except Exception as error:
            # Whatever went wrong, it may run. Nobody was told so, so it must not.
            record.note_stop()
            self._take_over_later(record)
            raise AgentNotStarted(f"The agent could not be taken in charge: {error}") from error
        record.agent = agent
        self._conduct(record, wanted, plan.driven_by)
        try:
            return await self._launched(record, agent, limit)
        except (StorageFailed, Unavailable):
            # Nobody was told that it runs, so it must not.
            record.note_stop()
            raise
        finally:
            await self._follow_at_last(record, agent)

    async def adopt_all(self) -> None:
        """Find the agents of an earlier server again, running or ended, and follow them."""
        await put_strays_on_record(self.runner, self.book)
        for record in self.at_work():
            await self._take_over(record)

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
            state = with_status(record.state, status, reason=reason, code=code)
            done = self.book.commit(record, state, facts)
            session = await (done if status.is_final else soon(self.reactor, done))
        except (StorageFailed, Unavailable) as error:
            if status.is_final:
                raise
            _log.warn("The stop of {id} is not on record: {error}", id=record.id, error=str(error))
            return record.state.session
        if status.is_final:
            self.after_end()  # it may have kept its project directory from others
        return session

    async def fail(self, record: Record, reason: str) -> None:
        """Put it on record that the agent of a session could not be started."""

        def failed(state: SessionState) -> Change:
            status = next_status(state.session.status, Step.FAIL)
            return Change(
                with_status(state, status, reason=reason, code=ReasonCode.NOT_STARTED), ()
            )

        await commit_end(self.reactor, self.book, record, failed, self._after_end)

    def at_work(self) -> list[Record]:
        """The sessions of ours that have an agent, or are about to."""
        found = self.book.unended()
        return [each for each in found if each.is_ours and is_at_work(each.state.session)]

    def observed_at_work(self) -> list[str]:
        """The project directories in which somebody else's sessions have not ended."""
        found = self.book.unended()
        others = [each for each in found if not each.is_ours and not each.status.is_final]
        return [each.state.session.project_dir for each in others]

    def close(self) -> None:
        """Take nobody in charge any more, and forget the deadlines: the next server keeps them."""
        self._is_closed = self.book.is_closed = True
        self.steerer.close()
        self.deadlines.close()
        self.book.launches.close()
        for record in self.book:
            if record.conductor is not None:
                record.conductor.close()

    def _conduct(self, record: Record, wanted: StartSession, provider: str) -> Conductor:
        """Have a conductor for a session."""
        session = record.state.session
        request = request_of(session, wanted, self.policy.loki_dir, provider)
        conductor = record.conductor = Conductor(
            record,
            Circumstances(
                reactor=self.reactor,
                book=self.book,
                redactor=self.redactor,
                make_driver=lambda memory: GuardedDriver(
                    self.providers.driver(request, memory), record.id, memory
                ),
                mint=self.mint,
                now_ms=self.now_ms,
                settle=lambda: self._settle(session.project_dir),
                ending=lambda: self.steerer.ending(record),
                after=self._after_end,
                stop=partial(self._stop_for, code=ReasonCode.OVER_BUDGET),
                policy=self.policy.inputs_of(wanted),
                budget=budget_of(wanted),
                stays=request.stays_open,
                patience=self.policy.patience,
            ),
        )
        return conductor

    def _launched(
        self, record: Record, agent: IAgent, limit: Mapping[str, str]
    ) -> Deferred[Session]:
        status = next_status(record.status, Step.LAUNCH)
        state = with_status(record.state, status, reason=record.state.session.reason, pid=agent.pid)
        message = f"Started with provider {state.session.provider}."
        fact = Fact("session:started", {"status": str(status), "message": message})
        if record.conductor is None or self.steerer.steers(record):
            return self.book.commit(record, state, [fact], limit)
        return record.conductor.begin(state, [fact], limit)

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
            conductor = self._conduct(record, *asked_of(record.id, cursors))
        driver = conductor.driver
        agent.follow(cursors, conductor, driver.line_limit, driver.value_limit)
        conductor.go_on()
        if self.steerer.steers(record):
            self.steerer.look_after(record, cursors)
        self.deadlines.watch(record, cursors)

    async def _follow_at_last(self, record: Record, agent: IAgent) -> None:
        """Follow an agent, and try that again for as long as something is in the way."""
        try:
            await self._follow(record, agent)
        except Exception as error:  # noqa: BLE001 (it runs, whatever keeps us from reading it)
            self._take_over_later(record, error)

    async def _take_over(self, record: Record) -> None:
        """Find the agent of a session that is on record. One that makes trouble is tried again."""
        if self._is_closed:
            return
        try:
            agent = self.runner.adopt(record.id)
            if agent is None:
                await self.fail(record, end_without_files(record))
                return
            record.agent = agent
            self._watch(record)
            if record.status is SessionStatus.STARTING:
                cursors = await self.records.cursors(f"{record.id}/")
                wanted, provider = asked_of(record.id, cursors)
                self._conduct(record, wanted, provider)
                limit = self.deadlines.cursors(record, wanted.options.timeout, cursors)
                await self._launched(record, agent, limit)
            await self._follow(record, agent)
        except Exception as error:  # noqa: BLE001 (one session's trouble must not be all others')
            self._take_over_later(record, error)

    def _take_over_later(self, record: Record, error: Exception | None = None) -> None:
        if error is not None and record.trouble != str(error):  # it may last for hours
            _log.failure("The agent of {id} is tried again", Failure(error), id=record.id)
            record.trouble = str(error)
        self.reactor.callLater(_RETRY_SECONDS, lambda: ensureDeferred(self._take_over(record)))

    def _expire(self, record: Record) -> None:
        self._stop_for(record, "It ran longer than its time limit.", ReasonCode.TIMED_OUT)

    def _stop_for(self, record: Record, reason: str, code: ReasonCode) -> None:
        done = ensureDeferred(self.stop(record, reason, code))
        done.addErrback(lambda failure: _log.failure("Stopping {id}", failure, id=record.id))

    def _after_end(self, record: Record) -> None:
        self.deadlines.forget(record)
        directory = record.state.session.project_dir
        in_use = any(other.state.session.project_dir == directory for other in self.at_work())
        if directory not in {*self.policy.watched, *self.observed_at_work()} and not in_use:
            self.watcher.unwatch(directory)
        self.after_end()

    async def _settle(self, project_dir: str) -> None:
        """Have everything told that an agent has left in its state directory."""
        await self.watcher.settle(project_dir)
        if (judged := self.runs.judge(project_dir)) is not None:
            await judged

    def _watch(self, record: Record) -> None:
        directory = record.state.session.project_dir
        stored = self.records.cursors("", self.watcher.part_of_cursors(directory))
        done = stored.addCallback(partial(self.watcher.watch, directory))
        done.addErrback(lambda failure: _log.failure("Watching {dir}", failure, dir=directory))
