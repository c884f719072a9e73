"""The session service: every order that one can give to a session, and every question about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from zope.interface import implementer

from loki_twisted.log.interface import IRecords
from loki_twisted.model.errors import Conflict, NotFound
from loki_twisted.model.idempotency import KEPT_MS, CompletedRequest, IdempotencyKey
from loki_twisted.model.inputs import Answer, Input, InputPage
from loki_twisted.model.ledger import LedgerPage, LedgerQuery
from loki_twisted.model.messages import Delivery, MessagePage
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.tasks import (
    EncodedTasks,
    OpenTasks,
    Task,
    TaskCounts,
    TaskPage,
    TaskQuery,
    TaskStatus,
)
from loki_twisted.model.timestamps import ms_from_iso
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.continuing import continuation_of
from loki_twisted.sessions.inbox import no_such_input
from loki_twisted.sessions.interface import (
    LOCAL,
    GivenInput,
    IOutput,
    ISessions,
    OutputStream,
    SessionPage,
    SessionQuery,
)
from loki_twisted.sessions.launching import Launcher
from loki_twisted.sessions.lifecycle import Step, facts_between, next_status
from loki_twisted.sessions.open_tasks import OpenTasksOfAll
from loki_twisted.sessions.overview import is_at_work
from loki_twisted.sessions.session_output import SessionOutput
from loki_twisted.sessions.state import with_status
from loki_twisted.sessions.talking import Talker

_WAITING = frozenset({TaskStatus.PENDING, TaskStatus.QUEUED})
_QUEUED = frozenset({SessionStatus.QUEUED})


@implementer(ISessions)
class SessionService:
    """
    All that the web and the commands may do with sessions.

    :param records: The rows of tasks.
    """

    def __init__(self, book: SessionBook, launcher: Launcher, records: IRecords) -> None:
        self._book = book
        self._launcher = launcher
        self._records = records
        self._open_tasks = OpenTasksOfAll()
        self._talker = Talker(
            book=book,
            records=records,
            steerer=launcher.steerer,
            mint=launcher.mint,
            now_ms=launcher.now_ms,
        )

    # Orders

    def start(self, wanted: StartSession, once: IdempotencyKey | None = None) -> Deferred[Session]:
        """See :class:`ISessions`."""
        return ensureDeferred(self._launcher.start(wanted, once))

    def continue_session(
        self, session_id: str, wanted: StartSession, once: IdempotencyKey | None = None
    ) -> Deferred[Session]:
        """See :class:`ISessions`."""
        return ensureDeferred(self._continue(session_id, wanted, once))

    async def _continue(
        self, session_id: str, wanted: StartSession, once: IdempotencyKey | None
    ) -> Session:
        before = self._book.get(session_id).state.session
        can_continue = self._launcher.providers.abilities(before.provider).continues
        again = continuation_of(before, wanted, can_continue=can_continue)
        return await self._launcher.start(again, once, before)

    def stop(self, session_id: str) -> Deferred[Session]:
        """See :class:`ISessions`."""
        return ensureDeferred(self._stop(session_id))

    async def _stop(self, session_id: str) -> Session:
        record = self._book.get(session_id)
        if record.is_ours:
            return await self._launcher.supervisor.stop(record)
        return await self._launcher.steerer.stop(record)

    def pause(self, session_id: str) -> Deferred[Session]:
        """See :class:`ISessions`."""
        return ensureDeferred(self._halt(session_id, Step.PAUSE))

    def resume(self, session_id: str) -> Deferred[Session]:
        """See :class:`ISessions`."""
        return ensureDeferred(self._halt(session_id, Step.RESUME))

    async def _halt(self, session_id: str, step: Step) -> Session:
        """Put it on record first: whoever adopts the agent brings it in line with that."""
        record = self._book.get(session_id)
        steerer = self._launcher.steerer
        if steerer.steers(record):
            return await (steerer.pause if step is Step.PAUSE else steerer.resume)(record)
        before = record.status
        status = next_status(before, step)
        state = with_status(record.state, status)
        session = await self._book.commit(record, state, facts_between(before, status))
        if record.agent is not None and record.status is status:
            order = record.agent.pause if step is Step.PAUSE else record.agent.resume
            order()
            record.stirred()
        return session

    def give_input(
        self,
        session_id: str,
        text: str,
        context: str | None,
        *,
        delivery: Delivery = Delivery.NEXT,
        by: str = LOCAL,
        once: IdempotencyKey | None = None,
    ) -> Deferred[GivenInput]:
        """See :class:`ISessions`."""
        given = self._talker.give_input(session_id, text, context, delivery, by, once)
        return ensureDeferred(given)

    def answer(
        self,
        session_id: str,
        input_id: str,
        answer: Answer,
        by: str,
        once: IdempotencyKey | None = None,
    ) -> Deferred[Input]:
        """See :class:`ISessions`."""
        return ensureDeferred(self._talker.answer(session_id, input_id, answer, by, once))

    def interrupt(self, session_id: str) -> Deferred[Session]:
        """See :class:`ISessions`."""
        return ensureDeferred(self._talker.interrupt(session_id))

    def delete(self, session_id: str) -> Deferred[None]:
        """See :class:`ISessions`."""
        return ensureDeferred(self._delete(session_id))

    async def _delete(self, session_id: str) -> None:
        record = self._book.get(session_id)
        if not record.status.is_final or record.in_flight:
            msg = f"A session that is {record.status} cannot be deleted."
            raise Conflict(msg, {"status": str(record.status)})
        if self._book.is_deleted(session_id):
            msg = "The session is being deleted."
            raise Conflict(msg, {"status": str(record.status)})
        await self._book.forget(record)
        if record.is_ours:
            self._launcher.runner.forget(session_id)

    # Questions

    def get(self, session_id: str) -> Session:
        """See :class:`ISessions`."""
        return self._book.read(session_id)

    def output(self, session_id: str, stream: OutputStream) -> IOutput:
        """See :class:`ISessions`."""
        record = self._book.get(session_id)
        if not record.is_ours:
            msg = f"Session {session_id} was not started here: what it prints is not kept here."
            raise NotFound(msg, {"sessionId": session_id})
        return SessionOutput(record, self._launcher.runner, stream)

    def list(self, query: SessionQuery) -> SessionPage:
        """See :class:`ISessions`."""
        overview = self._book.overview()
        matching = [
            session
            for session in overview.sessions
            if (query.statuses is None or session.status in query.statuses)
            and (query.provider is None or session.provider == query.provider)
        ]
        if query.statuses == _QUEUED:
            matching = self._launcher.line.in_order(matching)
        end = None if query.limit is None else query.offset + query.limit
        return SessionPage(matching[query.offset : end], len(matching), overview.running)

    def counts(self) -> dict[SessionStatus, int]:
        """See :class:`ISessions`."""
        return dict(self._book.overview().counts)

    def active_session(self) -> str | None:
        """See :class:`ISessions`."""
        return self._book.overview().active

    def beats(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """For each session at work, its id and what its heartbeat says."""
        now_ms = ms_from_iso(self._book.now())
        for record in self._book.unended():
            state = record.committed
            if state is not None and is_at_work(state.session):
                waiting = sum(task.status in _WAITING for task in state.tasks.values())
                yield (
                    record.id,
                    {
                        "uptime": max(0, now_ms - ms_from_iso(state.session.started_at)),
                        "activeAgents": len(state.active_agents),
                        "queuedTasks": waiting,
                    },
                )

    def open_inputs(self) -> Sequence[Input]:
        """See :class:`ISessions`."""
        states = [record.committed for record in self._book]
        found = [each for state in states if state is not None for each in state.inputs.values()]
        return sorted(found, key=lambda each: (each.created_at, each.id))

    def inputs(self, session_id: str, limit: int, offset: int) -> Deferred[InputPage]:
        """See :class:`ISessions`."""
        return self._after_check(session_id, self._records.inputs, session_id, limit, offset)

    def input(self, session_id: str, input_id: str) -> Deferred[Input]:
        """See :class:`ISessions`."""

        def found(one: Input | None) -> Input:
            if one is None:
                raise no_such_input(session_id, input_id)
            return one

        asked = self._after_check(session_id, self._records.input, session_id, input_id)
        return asked.addCallback(found)

    def done_once(self, key: str) -> Deferred[CompletedRequest | None]:
        """See :class:`ISessions`."""

        def if_fresh(found: CompletedRequest | None) -> CompletedRequest | None:
            is_old = found is not None and found.at_ms < self._launcher.now_ms() - KEPT_MS
            return None if is_old else found

        return self._records.done_once(key).addCallback(if_fresh)

    def messages(self, session_id: str, limit: int, offset: int) -> Deferred[MessagePage]:
        """See :class:`ISessions`."""
        return self._after_check(session_id, self._records.messages, session_id, limit, offset)

    def tasks(self, query: TaskQuery) -> Deferred[TaskPage]:
        """See :class:`ISessions`."""
        return self._after_check(query.session_id, self._records.tasks, query)

    def open_tasks(self, wanted: OpenTasks, limit: int | None) -> EncodedTasks:
        """See :class:`ISessions`."""
        states = (record.committed for record in self._book.unended())
        return self._open_tasks.first((each for each in states if each), wanted, limit)

    def task_counts(self, session_id: str) -> Deferred[TaskCounts]:
        """See :class:`ISessions`."""
        return self._after_check(session_id, self._records.task_counts, session_id)

    def task(self, session_id: str, task_id: str) -> Deferred[Task]:
        """See :class:`ISessions`."""

        def found(task: Task | None) -> Task:
            if task is None:
                msg = f"Session {session_id} has no task {task_id!r}."
                raise NotFound(msg, {"sessionId": session_id, "taskId": task_id})
            return task

        return self._after_check(session_id, self._records.task, session_id, task_id).addCallback(
            found
        )

    def usage(self, query: LedgerQuery) -> Deferred[LedgerPage]:
        """See :class:`ISessions`."""
        return self._records.ledger(query)

    def _after_check(self, session_id: str | None, question: Any, *args: Any) -> Deferred[Any]:
        """Ask the log only about sessions that are there."""

        def ask() -> Any:
            if session_id is not None:
                self._book.get(session_id)
            return question(*args)

        return maybeDeferred(ask)
