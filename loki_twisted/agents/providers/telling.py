"""
The words in which all drivers tell what an agent does, so that it reads alike whoever it is.

An agent has sub-agents, so each thing said names who said it: :data:`MAIN` is the agent itself.
Texts are cleaned of escape sequences and bounded; what is longer is cut, and says so. The raw lines
stay in the agent's output.

=========================  =======================================================================
event                      data, beside ``agentId`` and ``type``
=========================  =======================================================================
``agent:spawned``          ``model?``, ``task?``, ``parentId?``
``agent:output``           ``kind``: ``text``, ``thinking``, ``tool_call`` or ``tool_result``;
                           ``output``: the text, or what the tool is called with or has given;
                           of tools ``tool`` and ``callId``, of calls ``input`` (an object), of
                           results ``isError``
``agent:completed``,       ``output?``: its last words, ``exitCode?``
``agent:failed``
=========================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from loki_twisted.agents.providers.cleaning import MAX_NAME, clean_and_cut
from loki_twisted.agents.providers.tidying import maybe_tidy
from loki_twisted.model.events import Fact

MAIN: Final = "main"
"""The id of the agent itself, as opposed to those that it spawns."""

_MOST_ARGUMENTS: Final = 32 * 1024
"""Bytes of JSON of a tool's arguments beyond which they are told as a text that is cut."""

_encode: Final = msgspec.json.Encoder().encode


def spawned(
    agent_id: str,
    kind: str,
    *,
    model: str | None = None,
    task: str | None = None,
    parent: str | None = None,
) -> Fact:
    """
    An agent has begun to work.

    :param kind: What sort of agent: the provider's name for the agent itself.
    :param task: What it is to do.
    :param parent: The id of the agent that spawned it.
    """
    said = {"model": model, "task": task, "parentId": parent}
    return _fact("spawned", agent_id, kind, {k: text(v) for k, v in said.items() if v})


def completed(agent_id: str, kind: str, words: str | None = None) -> Fact:
    """An agent has done its work."""
    return _fact("completed", agent_id, kind, {"output": text(words)} if words else {})


def failed(agent_id: str, kind: str, words: str | None = None) -> Fact:
    """An agent has ended without having done its work."""
    return _fact("failed", agent_id, kind, {"output": text(words)} if words else {})


def said(agent_id: str, kind: str, words: str) -> Fact:
    """An agent says something to people."""
    return _fact("output", agent_id, kind, {"kind": "text", "output": text(words)})


def thought(agent_id: str, kind: str, words: str) -> Fact:
    """An agent thinks aloud."""
    return _fact("output", agent_id, kind, {"kind": "thinking", "output": text(words)})


def called(agent_id: str, kind: str, tool: str, call_id: str, arguments: Any) -> Fact:
    """
    An agent uses a tool.

    :param call_id: The name of this call, by which its result refers to it.
    :param arguments: Any JSON value; an object most of the time.
    """
    data = {"kind": "tool_call", "tool": name(tool), "callId": name(call_id)}
    return _fact("output", agent_id, kind, {**data, **arguments_of(arguments)})


def returned(
    agent_id: str, kind: str, tool: str | None, call_id: str, result: Any, *, is_error: bool
) -> Fact:
    """
    A tool has given its result.

    :param tool: Its name, where it is known.
    :param result: A text, or any JSON value.
    """
    data: dict[str, Any] = {"kind": "tool_result", "callId": name(call_id), "isError": is_error}
    if tool:
        data["tool"] = name(tool)
    return _fact("output", agent_id, kind, {**data, "output": text(result)})


def log(level: str, message: str, source: str, context: Mapping[str, Any] | None = None) -> Fact:
    """
    A log line.

    :param level: ``debug``, ``info``, ``warn`` or ``error``.
    """
    data: dict[str, Any] = {"level": level, "message": text(message), "source": source}
    tidy = maybe_tidy(context) if context else None
    if tidy:
        data["context"] = tidy
    return Fact(f"log:{level}", data)


def arguments_of(arguments: Any) -> dict[str, Any]:
    """
    Say what a tool is called with.

    :returns: ``output``, one text for people; and ``input``, where it is an object of bounded size.
    """
    tidy = maybe_tidy(arguments)
    if isinstance(tidy, dict) and len(_encode(tidy)) <= _MOST_ARGUMENTS:
        return {"output": text(_summary(tidy)), "input": tidy}
    return {"output": text(arguments if tidy is None else tidy)}


def text(value: Any) -> str:
    """A text as it is told: clean, of at most 64 KiB. What is no text is told as JSON."""
    if value is None:
        return ""
    return clean_and_cut(value if isinstance(value, str) else _as_json(value))


def name(value: Any) -> str:
    """A name as it is told: a clean and short text."""
    return clean_and_cut(str(value), MAX_NAME)


def _as_json(value: Any) -> str:
    try:
        return _encode(value).decode()
    except RecursionError:
        return "It is nested too deeply to be told."


def _summary(arguments: Mapping[str, Any]) -> str:
    """The one argument that says it all, where there is one; else all of them."""
    if len(arguments) == 1 and isinstance(only := next(iter(arguments.values())), str):
        return only
    return _encode(arguments).decode()


def _fact(word: str, agent_id: str, kind: str, data: Mapping[str, Any]) -> Fact:
    return Fact(f"agent:{word}", {"agentId": name(agent_id), "type": name(kind), **data})
