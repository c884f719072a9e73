"""
Everything that is known of one session, and what a fact changes in it.

All of it is pure: a fact and a state give the next state. What an agent
prints and what its state files say end here alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import msgspec

from loki_twisted.agents.interface import AgentEnd
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Input
from loki_twisted.model.messages import Message
from loki_twisted.model.sessions import AgentCounts, ReasonCode, Session, SessionStatus, Usage
from loki_twisted.model.spending import MOST_DOLLARS, MOST_TOKENS, CostOrigin, Spending
from loki_twisted.model.tasks import Task, TaskStatus
from loki_twisted.sessions.lifecycle import next_status
from loki_twisted.sessions.outcome import (
    Outcome,
    outcome_of,
    outcome_of_talk,
    words_of_end,
)
from loki_twisted.sessions.talk import SILENCE, Talk
from loki_twisted.state.interface import RunEnding

MOST_TASKS: Final = 10_000
"""So many tasks of a session an agent can make; each change goes through all of them."""


@attrs.frozen(slots=True)
class SessionState:
    """
    One session with what belongs to it.

    :ivar session: Its row.
    :ivar tasks: Its tasks by id.
    :ivar active_agents: Its agents that are at work: id and type.
    :ivar inputs: What its agent asks and nobody has answered, by id, oldest first.
    :ivar messages: What waits for its agent, in order.
    :ivar talk: What else is remembered of the talk with its agent.
    """

    session: Session
    tasks: Mapping[str, Task] = attrs.field(factory=dict)
    active_agents: Mapping[str, str] = attrs.field(factory=dict)
    inputs: Mapping[str, Input] = attrs.field(factory=dict)
    messages: tuple[Message, ...] = ()
    talk: Talk = SILENCE


def with_status(
    state: SessionState,
    status: SessionStatus,
    *,
    reason: str | None = None,
    code: ReasonCode | None = None,
    **changes: Any,
) -> SessionState:
    """Put a session into another status; the reason is that of this status alone."""
    session = msgspec.structs.replace(
        state.session,
        status=status,
        reason=reason,
        reason_code=code,
        reason_until=None,
        **changes,
    )
    return attrs.evolve(state, session=session)


def after_end(
    state: SessionState, end: AgentEnd, said: RunEnding | None = None, *, says_done: bool = False
) -> SessionState:
    """
    Say where a session of ours stands when its agent has ended.

    :param said: What a run of Loki Mode wrote of its end; None of any other agent.
    :param says_done: Whether an agent of its kind says how its turns ended.
    """
    before = state.session
    outcome = _outcome(end, state.talk, said, says_done)
    status = next_status(before.status, outcome.step)
    reason, code = outcome.reason, outcome.code
    if status is SessionStatus.STOPPED and before.status is SessionStatus.STOPPING:
        # What it was stopped for is worth more than how it then died.
        reason, code = before.reason or words_of_end(end), before.reason_code
    changed = with_status(
        state, status, reason=reason, code=code, exit_code=end.exit_code, pid=None
    )
    counts = changed.session.agents
    session = msgspec.structs.replace(
        changed.session, agents=msgspec.structs.replace(counts, active=0)
    )
    return attrs.evolve(changed, session=session, active_agents={}, talk=state.talk.at_rest)


def _outcome(end: AgentEnd, talk: Talk, said: RunEnding | None, says_done: bool) -> Outcome:
    if said is not None:
        return outcome_of(end, said)
    return outcome_of_talk(end, talk, says_done)


def after_facts(state: SessionState, facts: Iterable[Fact], at: str) -> SessionState:
    """
    Take facts into account, in their order.

    :param at: When they were said, ISO 8601.
    """
    draft = _Draft(state)
    for fact in facts:
        draft.take(fact, at)
    return draft.finish()


def with_tasks(state: SessionState, tasks: Iterable[Task], gone: Iterable[str]) -> SessionState:
    """Replace some tasks and drop others."""
    draft = _Draft(state)
    for task in tasks:
        draft.put_task(task)
    for task_id in gone:
        draft.drop_task(task_id)
    return draft.finish()


_STATUS_OF_EVENT: Mapping[str, TaskStatus] = {
    "created": TaskStatus.PENDING,
    "started": TaskStatus.RUNNING,
    "progress": TaskStatus.RUNNING,
    "completed": TaskStatus.COMPLETED,
    "failed": TaskStatus.FAILED,
}


_ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.SKIPPED})


class _Draft:
    """
    The next state of a session, while it is being made.

    An agent can print thousands of facts at a time, and have thousands of tasks:
    so these are copied once for all of the facts, and counted as they change.
    """

    def __init__(self, state: SessionState) -> None:
        self._before = state
        self._tasks: dict[str, Task] | None = None
        self._agents: dict[str, str] | None = None
        self._completed = state.session.completed_tasks
        self._counts = state.session.agents
        self._phase = state.session.current_phase
        self._usage = state.session.usage

    def take(self, fact: Fact, at: str) -> None:
        """Take one fact into account."""
        kind, _, word = fact.type.partition(":")
        match kind:
            case "task":
                self._take_task(fact.data, word, at)
            case "agent":
                self._take_agent(fact.data, word)
            case "phase" if word == "started":
                self._phase = str(fact.data.get("phase") or self._phase or "") or None
            case "metrics":
                self._usage = _after_metrics(self._usage, fact.data)

    def finish(self) -> SessionState:
        """Give the state that it has come to."""
        before = self._before
        tasks = before.tasks if self._tasks is None else self._tasks
        session = msgspec.structs.replace(
            before.session,
            task_count=len(tasks),
            completed_tasks=self._completed,
            agents=self._counts,
            current_phase=self._phase,
            usage=self._usage,
        )
        agents = before.active_agents if self._agents is None else self._agents
        return attrs.evolve(before, session=session, tasks=tasks, active_agents=agents)

    def put_task(self, task: Task) -> None:
        """Replace a task, or add it."""
        if self._tasks is None:
            self._tasks = dict(self._before.tasks)
        self._completed += _is_completed(task) - _is_completed(self._tasks.get(task.id))
        self._tasks[task.id] = task

    def drop_task(self, task_id: str) -> None:
        """Take a task out."""
        if self._tasks is None:
            self._tasks = dict(self._before.tasks)
        self._completed -= _is_completed(self._tasks.pop(task_id, None))

    def _take_task(self, data: Mapping[str, Any], word: str, at: str) -> None:
        task_id = data.get("taskId")
        if not isinstance(task_id, str) or not task_id:
            return  # An agent may speak of a task without naming it; there is no row for that.
        known = self._before.tasks if self._tasks is None else self._tasks
        if task_id not in known and len(known) >= MOST_TASKS:
            return  # Its events are told all the same.
        session_id = self._before.session.id
        self.put_task(_after_task(known.get(task_id), session_id, task_id, data, word, at))

    def _take_agent(self, data: Mapping[str, Any], word: str) -> None:
        agent_id = str(data.get("agentId") or data.get("type") or "")
        known = self._before.active_agents if self._agents is None else self._agents
        if (word == "spawned") == (agent_id in known) or word == "output":
            return  # It is there already, or was not there.
        if self._agents is None:
            self._agents = dict(known)
        spawned, completed = self._counts.spawned, self._counts.completed
        if word == "spawned":
            self._agents[agent_id] = str(data.get("type") or "agent")
            spawned += 1
        else:
            del self._agents[agent_id]
            completed += 1
        self._counts = AgentCounts(active=len(self._agents), spawned=spawned, completed=completed)


def _is_completed(task: Task | None) -> bool:
    return task is not None and task.status is TaskStatus.COMPLETED


def _after_task(
    before: Task | None, session_id: str, task_id: str, data: Mapping[str, Any], word: str, at: str
) -> Task:
    said = str(data.get("status"))
    status = TaskStatus(said) if said in set(TaskStatus) else _STATUS_OF_EVENT[word]
    if before is None:
        before = Task(
            id=task_id,
            session_id=session_id,
            title=str(data.get("title") or task_id),
            status=status,
            created_at=at,
        )
    changes: dict[str, Any] = {"status": status}
    changes |= {
        name: str(data[name]) for name in ("title", "description") if data.get(name) is not None
    }
    changes |= {name: data[name] for name in ("output", "error") if data.get(name) is not None}
    if status is TaskStatus.RUNNING and before.started_at is None:
        changes["started_at"] = at
    if status in _ENDED and before.completed_at is None:
        changes["completed_at"] = at
    return msgspec.structs.replace(before, **changes)


def _after_metrics(usage: Usage, data: Mapping[str, Any]) -> Usage:
    """Agents report totals so far, so the newest report replaces the one before."""

    def number(name: str, fallback: float) -> float:
        value: object = data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            return fallback
        return min(value, MOST_DOLLARS if name == "cost" else MOST_TOKENS)

    origin = str(data.get("costOrigin"))
    reported = CostOrigin.REPORTED if "cost" in data else usage.cost_origin
    return Usage(
        tokens_used=int(number("tokensUsed", usage.tokens_used)),
        api_calls=int(number("apiCalls", usage.api_calls)),
        cost=float(number("cost", usage.cost)),
        input_tokens=int(number("inputTokens", usage.input_tokens)),
        output_tokens=int(number("outputTokens", usage.output_tokens)),
        cache_read_tokens=int(number("cacheReadTokens", usage.cache_read_tokens)),
        cache_write_tokens=int(number("cacheWriteTokens", usage.cache_write_tokens)),
        reasoning_tokens=int(number("reasoningTokens", usage.reasoning_tokens)),
        cost_origin=CostOrigin(origin) if origin in set(CostOrigin) else reported,
    )


def spending_of(usage: Usage) -> Spending:
    """The same as an amount."""
    known = Spending(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        api_calls=usage.api_calls,
        cost=usage.cost,
    )
    other = max(0, usage.tokens_used - known.tokens)
    return msgspec.structs.replace(known, other_tokens=other)
