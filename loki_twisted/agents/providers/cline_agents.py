"""
The agents of a run of ``cline``: itself, those that it spawns, and its team with its tasks.

They are only seen by the events of its hooks and of its team: what a sub-agent does in between is
not printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from loki_twisted.agents.providers import plans, telling
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.cline_state import MOST_AGENTS, ClineState, Step
from loki_twisted.agents.providers.members import Fields, fields_of, maybe_text
from loki_twisted.agents.providers.telling import MAIN

_MOST_TASKS: Final = 100
_MOST_TITLE: Final = 256
_SUB_AGENT: Final = "subagent"


def hook_event(state: ClineState, found: Fields) -> Step:
    """Read an event of the hooks."""
    said, event = maybe_text(found, "agentId"), maybe_text(found, "hookEventName") or ""
    if not said or event not in _HOOKS:
        return state, ()
    agent, parent = telling.name(said), maybe_text(found, "parentAgentId")
    if event in ("agent_start", "agent_resume"):
        return _spawned(state, agent, telling.name(parent) if parent else None)
    return _left(state, agent, _HOOKS[event])


def _spawned(state: ClineState, agent: str, parent: str | None) -> Step:
    if agent in state.agents or len(state.agents) >= MOST_AGENTS:
        return state, ()
    is_main = parent is None and None not in state.agents.values()
    known = state.agents.get(parent or "", parent)
    above = MAIN if parent is None or known is None else parent
    agents = {**state.agents, agent: None if is_main else above}
    told = [] if is_main else [telling.spawned(agent, _SUB_AGENT, parent=above)]
    return state.but(agents=agents), told


def _left(state: ClineState, agent: str, tell: Callable[..., Any] | None) -> Step:
    """An agent has ended. Of the end of ``cline`` itself the run says more."""
    if state.agents.get(agent) is None or tell is None:
        return state, ()
    rest = {name: parent for name, parent in state.agents.items() if name != agent}
    return state.but(agents=rest), [tell(agent, _SUB_AGENT)]


_HOOKS: Final[Mapping[str, Callable[..., Any] | None]] = {
    "agent_start": None,
    "agent_resume": None,
    "agent_end": telling.completed,
    "agent_error": telling.failed,
    "agent_abort": telling.failed,
}


def team_event(state: ClineState, found: Fields) -> Step:
    """Read an event of the team."""
    event = fields_of(found.get("event"))
    kind, agent = maybe_text(event, "type"), maybe_text(event, "agentId")
    if kind == "teammate_spawned" and agent:
        return _spawned(state, telling.name(agent), MAIN)
    if kind == "teammate_shutdown" and agent:
        return _left(state, telling.name(agent), telling.completed)
    task = fields_of(event.get("task"))
    name = maybe_text(task, "id")
    if kind != "team_task_updated" or not name:
        return state, ()
    title = cut(telling.text(task.get("title")), _MOST_TITLE)
    entry = plans.entry(telling.name(name), title, task.get("status"))
    others = tuple(each for each in state.plan if each.id != entry.id)
    plan = (*others[-_MOST_TASKS + 1 :], entry)
    known = tuple(each for each in state.plan if each.id == entry.id)
    return state.but(plan=plan), plans.changes(known, (entry,))
