"""
Everything that is known of one session, and what a fact changes in it.

All of it is pure: a fact and a state give the next state. What an agent
prints and what its state files say end here alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import msgspec

from loki_twisted.agents.interface import AgentEnd
from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import AgentCounts, Session, SessionStatus, Usage
from loki_twisted.model.tasks import Task, TaskStatus
from loki_twisted.sessions.lifecycle import Step, next_status


@attrs.frozen(slots=True)
class SessionState:
    """
    One session with what belongs to it.

    :ivar session: Its row.
    :ivar tasks: Its tasks by id.
    :ivar active_agents: Its agents that are at work: id and type.
    """

    session: Session
    tasks: Mapping[str, Task] = attrs.field(factory=dict)
    active_agents: Mapping[str, str] = attrs.field(factory=dict)


def with_status(
    state: SessionState,
    status: SessionStatus,
    *,
    reason: str | None = None,
    **changes: Any,
) -> SessionState:
    """Put a session into another status; the reason is that of this status alone."""
    session = msgspec.structs.replace(state.session, status=status, reason=reason, **changes)
    return attrs.evolve(state, session=session)


def after_end(state: SessionState, end: AgentEnd) -> SessionState:
    """Say where a session of ours stands when its agent has ended."""
    step = Step.SUCCEED if end.exit_code == 0 and end.problem is None else Step.FAIL
    status = next_status(state.session.status, step)
    reason = None if status is SessionStatus.COMPLETED else words_of_end(end)
    if status is SessionStatus.STOPPED:
        # What it was stopped for is worth more than how it then died.
        reason = state.session.reason or reason
    changed = with_status(state, status, reason=reason, exit_code=end.exit_code, pid=None)
    counts = changed.session.agents
    session = msgspec.structs.replace(
        changed.session, agents=msgspec.structs.replace(counts, active=0)
    )
    return attrs.evolve(changed, session=session, active_agents={})


def words_of_end(end: AgentEnd) -> str:
    """Say in words how an agent ended."""
    if end.problem is not None:
        return end.problem
    if end.signal is not None:
        return f"The agent was ended by signal {end.signal}."
    return f"The agent ended with exit code {end.code}."


def after_fact(state: SessionState, fact: Fact, at: str) -> SessionState:
    """
    Take one fact into account.

    :param at: When it was said, ISO 8601.
    """
    kind, _, word = fact.type.partition(":")
    if kind == "log":
        return state
    if kind == "task":
        return _after_task(state, fact.data, word, at)
    if kind == "agent":
        return _after_agent(state, fact.data, word)
    if kind == "phase" and word == "started":
        session = msgspec.structs.replace(state.session, current_phase=str(fact.data["phase"]))
        return attrs.evolve(state, session=session)
    if kind == "metrics":
        usage = _after_metrics(state.session.usage, fact.data)
        return attrs.evolve(state, session=msgspec.structs.replace(state.session, usage=usage))
    return state


def with_tasks(state: SessionState, tasks: Iterable[Task], gone: Iterable[str]) -> SessionState:
    """Replace some tasks, drop others, and count them again."""
    known = {**state.tasks, **{task.id: task for task in tasks}}
    for task_id in gone:
        known.pop(task_id, None)
    session = msgspec.structs.replace(
        state.session,
        task_count=len(known),
        completed_tasks=sum(task.status is TaskStatus.COMPLETED for task in known.values()),
    )
    return attrs.evolve(state, session=session, tasks=known)


_STATUS_OF_EVENT: Mapping[str, TaskStatus] = {
    "created": TaskStatus.PENDING,
    "started": TaskStatus.RUNNING,
    "progress": TaskStatus.RUNNING,
    "completed": TaskStatus.COMPLETED,
    "failed": TaskStatus.FAILED,
}


def _after_task(state: SessionState, data: Mapping[str, Any], word: str, at: str) -> SessionState:
    task_id = data.get("taskId")
    if not isinstance(task_id, str) or not task_id:
        return state  # An agent may speak of a task without naming it; there is no row for that.
    said = data.get("status")
    status = TaskStatus(said) if said in set(TaskStatus) else _STATUS_OF_EVENT[word]
    before = state.tasks.get(task_id)
    if before is None:
        before = Task(
            id=task_id,
            session_id=state.session.id,
            title=str(data.get("title") or task_id),
            status=status,
            created_at=at,
        )
    changes: dict[str, Any] = {"status": status}
    changes |= {
        name: data[name]
        for name in ("title", "description", "output", "error")
        if data.get(name) is not None
    }
    if status is TaskStatus.RUNNING and before.started_at is None:
        changes["started_at"] = at
    if status in _ENDED and before.completed_at is None:
        changes["completed_at"] = at
    return with_tasks(state, [msgspec.structs.replace(before, **changes)], ())


_ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.SKIPPED})


def _after_agent(state: SessionState, data: Mapping[str, Any], word: str) -> SessionState:
    agent_id = str(data.get("agentId") or data.get("type") or "")
    counts, active = state.session.agents, dict(state.active_agents)
    if word == "spawned" and agent_id not in active:
        active[agent_id] = str(data.get("type") or "agent")
        counts = msgspec.structs.replace(counts, spawned=counts.spawned + 1)
    elif word in ("completed", "failed") and agent_id in active:
        del active[agent_id]
        counts = msgspec.structs.replace(counts, completed=counts.completed + 1)
    counts = AgentCounts(active=len(active), spawned=counts.spawned, completed=counts.completed)
    session = msgspec.structs.replace(state.session, agents=counts)
    return attrs.evolve(state, session=session, active_agents=active)


def _after_metrics(usage: Usage, data: Mapping[str, Any]) -> Usage:
    """Agents report totals so far, so the newest report replaces the one before."""

    def number(name: str, fallback: float) -> float:
        value: object = data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            return fallback
        return value

    return Usage(
        tokens_used=int(number("tokensUsed", usage.tokens_used)),
        api_calls=int(number("apiCalls", usage.api_calls)),
        cost=float(number("cost", usage.cost)),
    )
