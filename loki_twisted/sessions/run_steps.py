"""
What is new about a run: the difference of a judgement to what its session was.

The events of a step stand in an order in which none contradicts the one before it: a session is
started or resumed first, then comes what happened in it, and it is paused or ended last. A
session whose run is followed by another one ends and is started anew. What changes in the files of
a run that has ended goes into the rows, and is no event.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import SessionStatus, Usage
from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.tasks import Task
from loki_twisted.sessions.differences import agent_facts, phase_facts, task_difference
from loki_twisted.sessions.judging import Judgement
from loki_twisted.sessions.lifecycle import facts_between, observed_status
from loki_twisted.sessions.state import SessionState, after_facts, with_status, with_tasks

_ENDS_OF_PHASES = frozenset({"completed", "failed"})
_INSIDE = frozenset({"task", "agent", "phase"})
"""Groups of events that happen while a session is at work."""


@attrs.frozen(slots=True)
class RunStep:
    """
    A step that a session takes.

    :ivar notes: By key, the marks of all notes that are told then.
    """

    state: SessionState
    facts: Sequence[Fact]
    notes: Mapping[str, str]


def is_another_run(state: SessionState, judged: Judgement) -> bool:
    """Whether a judgement is of a run after the one that a session was told of."""
    session, run = state.session, judged.run
    if session.status is SessionStatus.STARTING:
        return False
    if not session.status.is_final and session.pid is not None and run.pid is not None:
        if session.pid != run.pid:
            return True
    elif session.status.is_final and not judged.status.is_final:
        return True
    return run.began_at is not None and session.started_at != run.began_at


def step_of_observed(
    state: SessionState,
    judged: Judgement,
    told: Mapping[str, str],
    missing: Collection[str],
    at: str,
    *,
    is_new: bool,
) -> RunStep:
    """
    Take a judgement of a run that somebody else started into its session.

    :param told: By key, the marks of the notes that were told.
    :param missing: Ids of tasks that are not listed but may be again in a moment.
    :param at: When it was judged, ISO 8601.
    :param is_new: Whether nobody knows the session yet.
    """
    facts: list[Fact] = []
    if not is_new and is_another_run(state, judged):
        reason = "Another run was started."
        state, facts = end_unseen(state, SessionStatus.FAILED, reason, at)
        state = _fresh(state)
    before = state.session.status
    status = judged.status if is_new else observed_status(before, judged.status)
    begins, ends = _changes_of_status(before, status, judged)
    state = _described(state, judged, status, is_first=before is SessionStatus.STARTING)
    facts += begins
    step = step_inside(state, judged, told, missing, at)
    inside = step.facts
    if before.is_final and status.is_final and not begins:
        inside = [fact for fact in inside if fact.type.partition(":")[0] not in _INSIDE]
    state = _ended(step.state, judged, before, status)
    return RunStep(state, [*facts, *inside, *ends], step.notes)


def step_inside(
    state: SessionState,
    judged: Judgement,
    told: Mapping[str, str],
    missing: Collection[str],
    at: str,
) -> RunStep:
    """
    Take everything but the status: phase, tasks, agents, usage, notes.

    See :func:`step_of_observed`.
    """
    facts: list[Fact] = []
    if judged.phase != state.session.current_phase:
        told_phase = _phase_facts(state.session.current_phase, judged.phase)
        facts += told_phase
        session = msgspec.structs.replace(state.session, current_phase=judged.phase)
        state = attrs.evolve(state, session=session)
    listed = {task.id: task for task in judged.tasks}
    kept = [state.tasks[name] for name in missing if name in state.tasks and name not in listed]
    difference = task_difference(state.tasks, [*judged.tasks, *kept], at)
    state = with_tasks(state, difference.changed, difference.gone)
    facts += difference.facts
    if judged.agents is not None:
        agents = agent_facts(state.active_agents, judged.agents)
        state = after_facts(state, agents, at)
        facts += agents
    used = _usage_facts(state.session.usage, judged.usage)
    state = after_facts(state, used, at)
    facts += used
    news = [note for key, note in judged.notes.items() if told.get(key) != note.mark]
    facts += [Fact(note.type, note.data) for note in news]
    return RunStep(state, facts, {key: note.mark for key, note in judged.notes.items()})


def _changes_of_status(
    before: SessionStatus, after: SessionStatus, judged: Judgement
) -> tuple[list[Fact], list[Fact]]:
    """Say which events come before, and which after, what happened in the run meanwhile."""
    reason, exit_code = judged.standing.reason, judged.standing.exit_code
    was_at_work = not before.is_final and before is not SessionStatus.STARTING
    if after is SessionStatus.STARTING or before is after:
        return [], []
    begins: list[Fact] = []
    if not was_at_work:
        begins = facts_between(before, SessionStatus.RUNNING)
        before = SessionStatus.RUNNING
    if after is SessionStatus.RUNNING:
        return [*begins, *facts_between(before, after)], []
    return begins, facts_between(before, after, reason, exit_code)


def end_unseen(
    state: SessionState, status: SessionStatus, reason: str, at: str
) -> tuple[SessionState, list[Fact]]:
    """End a run whose files say nothing of its end any more."""
    before = state.session.status
    if before.is_final:
        return state, []
    agents = agent_facts(state.active_agents, ())
    state = after_facts(state, agents, at)
    ended = with_status(state, status, reason=reason, pid=None)
    return ended, [*agents, *facts_between(before, status, reason)]


def _fresh(state: SessionState) -> SessionState:
    """Forget what belonged to the run before."""
    session = msgspec.structs.replace(
        state.session,
        status=SessionStatus.STARTING,
        exit_code=None,
        reason=None,
        reason_code=None,
        reason_until=None,
        usage=Usage(),
        current_phase=None,
    )
    return attrs.evolve(state, session=session)


def _described(
    state: SessionState, judged: Judgement, status: SessionStatus, *, is_first: bool
) -> SessionState:
    """Put down what a run says of itself; when it began only once, if it is but a guess."""
    run = judged.run
    said: dict[str, Any] = {
        "provider": judged.provider,
        "prd_path": judged.prd_path,
        "started_at": run.began_at or (run.started_at if is_first else None),
    }
    session = msgspec.structs.replace(
        state.session,
        pid=None if status.is_final else run.pid,
        **{name: value for name, value in said.items() if value is not None},
    )
    return attrs.evolve(state, session=session)


def _ended(
    state: SessionState, judged: Judgement, before: SessionStatus, status: SessionStatus
) -> SessionState:
    standing = judged.standing
    reason, code = standing.reason, None
    if reason is None and status is before:
        # What was asked of it, and has not come about.
        reason, code = state.session.reason, state.session.reason_code
    return with_status(state, status, reason=reason, code=code, exit_code=standing.exit_code)


def _phase_facts(known: str | None, phase: str | None) -> list[Fact]:
    if phase is None:
        return []
    if phase not in _ENDS_OF_PHASES:
        return phase_facts(known, phase, None, None)
    if known is None or known in _ENDS_OF_PHASES:
        return []
    return [Fact(f"phase:{phase}", {"phase": known})]


def _usage_facts(known: Usage, now: Usage) -> list[Fact]:
    # Of other numbers a run says nothing, so they stay what they are.
    said: dict[str, Any] = {"tokensUsed": now.tokens_used}
    before: dict[str, Any] = {"tokensUsed": known.tokens_used}
    if now.cost_origin is CostOrigin.REPORTED:
        said["cost"] = now.cost
        before["cost"] = known.cost if known.cost_origin is CostOrigin.REPORTED else None
    return [] if said == before else [Fact("metrics:update", said)]


def missing_tasks(state: SessionState, tasks: Sequence[Task]) -> set[str]:
    """Ids of tasks that are known and are not listed now."""
    return set(state.tasks).difference(task.id for task in tasks)
