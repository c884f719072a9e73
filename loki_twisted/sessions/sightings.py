"""What a sighting of a state file changes in a session."""

from __future__ import annotations

import attrs
import msgspec

from loki_twisted.model.events import Fact
from loki_twisted.sessions.differences import agent_facts, phase_facts, task_difference
from loki_twisted.sessions.lifecycle import facts_between, observed_status
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.state import SessionState, after_facts, with_tasks
from loki_twisted.state.interface import (
    AgentsSighting,
    PhaseSighting,
    SessionSighting,
    TasksSighting,
)

AT_ONCE = 250
"""How many rows or events are made in one turn of the reactor: well under 10 ms of work."""


def changes(
    record: Record,
    sighting: SessionSighting | PhaseSighting | TasksSighting | AgentsSighting,
    at: str,
    start: int = 0,
) -> tuple[SessionState, list[Fact], int, int | None]:
    """
    Say what a sighting changes.

    :param at: When it was seen, ISO 8601.
    :param start: Where in a list of tasks to begin.
    :returns: The session's next state; the events that the change means; about how many rows and
        events that is; and where in a list of tasks to go on, None if all of it was taken.
    """
    state = record.state
    facts: list[Fact]
    match sighting:
        case SessionSighting():
            state, facts = (state, []) if record.is_ours else _session_changes(state, sighting, at)
            return state, facts, 1 + len(facts), None
        case PhaseSighting():
            facts = phase_facts(
                state.session.current_phase,
                sighting.phase,
                sighting.previous_phase,
                sighting.progress,
            )
        case AgentsSighting():
            facts = agent_facts(state.active_agents, sighting.active)
            if len(facts) > AT_ONCE:  # what is left is still the difference afterwards
                facts = facts[:AT_ONCE]
                return after_facts(state, facts, at), facts, len(facts), 0
        case TasksSighting():
            difference = task_difference(state.tasks, sighting.tasks, at, start, AT_ONCE)
            state = with_tasks(state, difference.changed, difference.gone)
            size = len(difference.changed) + len(difference.gone)
            return state, list(difference.facts), size, difference.rest
    return after_facts(state, facts, at), facts, 1 + len(facts), None


def _session_changes(
    state: SessionState, sighting: SessionSighting, at: str
) -> tuple[SessionState, list[Fact]]:
    before = state.session
    status = observed_status(before.status, sighting.status or before.status)
    said = {
        "provider": sighting.provider,
        "prd_path": sighting.prd_path,
        "started_at": sighting.started_at,
        "exit_code": sighting.exit_code,
    }
    session = msgspec.structs.replace(
        before,
        status=status,
        reason=before.reason if status is before.status else None,
        reason_code=before.reason_code if status is before.status else None,
        **{name: value for name, value in said.items() if value is not None},
    )
    facts = facts_between(before.status, status, exit_code=session.exit_code)
    state = attrs.evolve(state, session=session)
    if sighting.current_phase is not None:
        phases = phase_facts(before.current_phase, sighting.current_phase, None, None)
        state = after_facts(state, phases, at)
        # A phase is told while its session is at work, so before its end.
        facts = [*phases, *facts] if status.is_final else [*facts, *phases]
    return state, facts
