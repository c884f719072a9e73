"""
What has to be remembered of codex's work: what was told of it, so that it is told once.

Each function takes what was known and something that was seen, and gives what is known now with
what there is to tell. All of it is bounded, in number and length: it is stored with every line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.codex_items import facts_of_item, is_tool, paths_of_change
from loki_twisted.agents.providers.codex_lines import camel, small, steps_of_plan
from loki_twisted.agents.providers.members import list_of, object_of, text_of
from loki_twisted.agents.providers.plans import Plan, changes, numbered
from loki_twisted.agents.providers.programs import CODEX
from loki_twisted.agents.providers.unknown import Unknown, one_more, told
from loki_twisted.model.events import Fact

_MOST: Final = 32
"""Of each kind of things that are remembered."""

_MOST_PATHS: Final = 512
"""Bytes of the files that one change is about."""


class Work(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What is known.

    :ivar main: The thread that is codex itself; empty before it is known.
    :ivar called: Ids of items whose call was told and whose result was not, oldest first.
    :ivar files: What changes of files are about that are not made yet, by the item's id.
    :ivar agents: Sub-agents by their thread, and whether they are at work.
    :ivar plan: As it was told last.
    :ivar unknown: How many lines were not understood, by kind.
    """

    main: str = ""
    called: tuple[str, ...] = ()
    files: Mapping[str, str] = {}
    agents: Mapping[str, bool] = {}
    plan: Plan = ()
    unknown: Unknown = {}


Seen = tuple[Work, Sequence[Fact]]
"""What is known now, and what there is to tell."""


def agent_of(work: Work, thread: str) -> str:
    """Name the agent whose thread it is: codex itself, or one of its sub-agents."""
    return telling.MAIN if thread in ("", work.main) else telling.name(thread)


def item_seen(work: Work, item: Mapping[str, Any], agent_id: str, *, is_done: bool) -> Seen:
    """
    An item has begun, or is done.

    :param item: With names in camel case.
    """
    item_id, kind = text_of(item, "id"), text_of(item, "type")
    if kind == "todoList":
        return plan_seen(work, item)
    facts = facts_of_item(item, agent_id, is_done=is_done, was_called=item_id in work.called)
    if facts is None:
        return unknown_seen(work, f"item {kind}")
    called = tuple(each for each in work.called if each != item_id)
    files = {each: paths for each, paths in work.files.items() if each != item_id}
    if not is_done and is_tool(item) and small(item_id):
        called = (*called, item_id)[-_MOST:]
        if kind == "fileChange":
            files[item_id] = cut(telling.text(paths_of_change(item)), _MOST_PATHS)
            files = dict(list(files.items())[-_MOST:])
    work, agents = _agents_seen(replace(work, called=called, files=files), item, agent_id)
    return work, [*facts, *agents]


def plan_seen(work: Work, said: Mapping[str, Any]) -> Seen:
    """It has told its plan."""
    plan = numbered(work.plan, steps_of_plan(said))
    return replace(work, plan=plan), changes(work.plan, plan)


def agent_began(
    work: Work, thread: str, *, task: str = "", model: str = "", parent: str = telling.MAIN
) -> Seen:
    """A sub-agent is at work. One that is too many is not told."""
    if work.agents.get(thread) or thread == work.main or not small(thread):
        return work, ()
    if thread not in work.agents and len(work.agents) == 2 * _MOST:
        return work, ()
    fact = telling.spawned(thread, CODEX, model=model, task=task, parent=parent)
    return replace(work, agents={**work.agents, thread: True}), [fact]


def agent_ended(work: Work, thread: str, *, has_failed: bool, words: str = "") -> Seen:
    """A sub-agent has done its work, or has not."""
    if not work.agents.get(thread):
        return work, ()
    tell = telling.failed if has_failed else telling.completed
    agents = {**work.agents, thread: False}
    return replace(work, agents=agents), [tell(thread, CODEX, words)]


def all_ended(work: Work, *, has_failed: bool) -> Seen:
    """Nobody is at work any more: say so of the sub-agents, and what was not understood."""
    facts: list[Fact] = []
    for thread in work.agents:
        work, said = agent_ended(work, thread, has_failed=has_failed)
        facts += said
    unknown, counted = told(work.unknown, CODEX)
    return replace(work, unknown=unknown), [*facts, *counted]


def unknown_seen(work: Work, kind: str) -> Seen:
    """
    There was something that was not understood.

    :param kind: What it was, as far as that is known.
    """
    unknown, facts = one_more(work.unknown, kind, CODEX)
    return replace(work, unknown=unknown), facts


def _agents_seen(work: Work, item: Mapping[str, Any], agent_id: str) -> Seen:
    """Say what an item tells of sub-agents."""
    facts: list[Fact] = []
    for thread, state, words in _states(item):
        if state in _AT_WORK:
            work, said = agent_began(
                work,
                thread,
                task=text_of(item, "prompt"),
                model=text_of(item, "model"),
                parent=agent_id,
            )
        elif state in _ENDED:
            work, said = agent_ended(work, thread, has_failed=_ENDED[state], words=words)
        else:
            continue
        facts += said
    return work, facts


def _states(item: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """The sub-agents that an item names: each with where it stands, and its last words."""
    if text_of(item, "type") == "subAgentActivity":
        return [(text_of(item, "agentThreadId"), text_of(item, "kind"), "")]
    found: list[tuple[str, str, str]] = []
    if camel(text_of(item, "tool")) == "spawnAgent":
        new = [each for each in list_of(item, "receiverThreadIds") if isinstance(each, str)]
        found += [(thread, "running", "") for thread in new[:_MOST]]
    states = object_of(item, "agentsStates")
    for thread in list(states)[:_MOST]:
        state = camel(text_of(states[thread], "status"))
        found.append((thread, state, text_of(states[thread], "message")))
    return found


_AT_WORK: Final = frozenset({"running", "pendingInit", "started"})
_ENDED: Final[Mapping[str, bool]] = {
    "completed": False,
    "shutdown": False,
    "errored": True,
    "interrupted": True,
}
"""Whether a sub-agent that stands so has failed."""
