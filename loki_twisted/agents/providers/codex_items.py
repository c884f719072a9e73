"""
Items: what codex says and does. Of each it tells when it begins, and the whole when it is done.

Tools become a call and its result. One that says nothing of itself before it is done is told as a
call then, and so is one whose beginning was not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.members import list_of, object_of, text_of
from loki_twisted.agents.providers.programs import CODEX
from loki_twisted.model.events import Fact

_Members = Mapping[str, Any]

_MOST_CHANGES: Final = 1_000
"""Files of a change beyond which only their number is told."""


@attrs.frozen(slots=True)
class _Tool:
    """
    How a kind of item is told as a tool.

    :ivar call: Gives the tool's name and what it is called with.
    :ivar result: Gives what came of it, and whether that is an error; None for a tool of which
        nothing comes.
    """

    call: Callable[[_Members], tuple[str, Any]]
    result: Callable[[_Members], tuple[str, bool]] | None = None


def facts_of_item(
    item: _Members, agent_id: str, *, is_done: bool, was_called: bool
) -> Sequence[Fact] | None:
    """
    Say what an item is.

    :param item: With names in camel case.
    :param agent_id: Of the agent whose it is.
    :param is_done: Whether it is complete.
    :param was_called: Whether its call was told.
    :returns: None for an item of a kind that is not known.
    """
    kind = text_of(item, "type")
    tool = _TOOLS.get(kind)
    if tool is not None:
        return _facts_of_tool(tool, item, agent_id, is_done=is_done, was_called=was_called)
    if kind in _SILENT:
        return ()
    speak = _SPOKEN.get(kind)
    if speak is None:
        return None
    return tuple(speak(agent_id, item)) if is_done else ()


def _facts_of_tool(
    tool: _Tool, item: _Members, agent_id: str, *, is_done: bool, was_called: bool
) -> Sequence[Fact]:
    item_id = text_of(item, "id")
    name, arguments = tool.call(item)
    facts = []
    if not was_called and (is_done or tool.result is not None):
        facts.append(telling.called(agent_id, CODEX, name, item_id, arguments))
    if is_done and tool.result is not None:
        said, is_error = tool.result(item)
        facts.append(telling.returned(agent_id, CODEX, name, item_id, said, is_error=is_error))
    return facts


def is_tool(item: _Members) -> bool:
    """Whether an item is told as a call and its result."""
    tool = _TOOLS.get(text_of(item, "type"))
    return tool is not None and tool.result is not None


def paths_of_change(item: _Members) -> str:
    """Say which files an item wants to change."""
    paths = list(filter(None, (text_of(each, "path") for each in _changes(item))))
    others = len(list_of(item, "changes")) - _MOST_CHANGES
    return ", ".join([*paths, f"and {others} more"] if others > 0 else paths)


def _has_failed(item: _Members) -> bool:
    return text_of(item, "status") in {"failed", "declined"}


def _command(item: _Members) -> tuple[str, Any]:
    cwd = text_of(item, "cwd")
    return "command", {"command": text_of(item, "command"), **({"cwd": cwd} if cwd else {})}


def _command_result(item: _Members) -> tuple[str, bool]:
    return text_of(item, "aggregatedOutput") or _standing(item), _has_failed(item)


def _standing(item: _Members) -> str:
    """Where an item stands that gives nothing else, with an exit code that is no success."""
    code = item.get("exitCode")
    said = text_of(item, "status")
    return f"{said} (exit code {code})" if isinstance(code, int) and code else said


def _changes(item: _Members) -> Sequence[Any]:
    return list_of(item, "changes")[:_MOST_CHANGES]


def _change(item: _Members) -> tuple[str, Any]:
    changes: list[Any] = [
        {"path": text_of(each, "path"), "kind": _kind_of_change(each)} for each in _changes(item)
    ]
    count = len(list_of(item, "changes"))
    return "fileChange", {"changes": changes, **({"count": count} if count > len(changes) else {})}


def _kind_of_change(change: Any) -> str:
    return text_of(change, "kind") or text_of(object_of(change, "kind"), "type")


def _change_result(item: _Members) -> tuple[str, bool]:
    diffs = "\n".join(filter(None, (text_of(each, "diff") for each in _changes(item))))
    return diffs or text_of(item, "status"), _has_failed(item)


def _mcp(item: _Members) -> tuple[str, Any]:
    tool = ".".join(filter(None, (text_of(item, "server"), text_of(item, "tool"))))
    return tool, item.get("arguments")


def _mcp_result(item: _Members) -> tuple[str, bool]:
    error = text_of(object_of(item, "error"), "message")
    content = list_of(object_of(item, "result"), "content")
    return error or _texts(content) or text_of(item, "status"), bool(error) or _has_failed(item)


def _dynamic(item: _Members) -> tuple[str, Any]:
    return text_of(item, "tool"), item.get("arguments")


def _dynamic_result(item: _Members) -> tuple[str, bool]:
    said = _texts(list_of(item, "contentItems")) or text_of(item, "status")
    return said, item.get("success") is False or _has_failed(item)


def _texts(parts: Sequence[Any]) -> str:
    return "\n".join(filter(None, (text_of(each, "text") for each in parts)))


def _collaboration(item: _Members) -> tuple[str, Any]:
    others = [each for each in list_of(item, "receiverThreadIds") if isinstance(each, str)]
    told = {"prompt": text_of(item, "prompt"), "agents": others}
    return text_of(item, "tool"), {name: each for name, each in told.items() if each}


def _collaboration_result(item: _Members) -> tuple[str, bool]:
    states = object_of(item, "agentsStates")
    said = [f"{each}: {text_of(states[each], 'status')}" for each in states]
    return "\n".join(said) or text_of(item, "status"), _has_failed(item)


def _search(item: _Members) -> tuple[str, Any]:
    action = object_of(item, "action")
    what = text_of(action, "query", "url", "pattern") or text_of(item, "query")
    return "webSearch", {"query": what}


def _view(item: _Members) -> tuple[str, Any]:
    return "imageView", {"path": text_of(item, "path")}


def _image(item: _Members) -> tuple[str, Any]:
    """The picture itself stays where it is: it would be megabytes of text."""
    said = {"prompt": text_of(item, "revisedPrompt"), "path": text_of(item, "savedPath")}
    return "imageGeneration", {name: each for name, each in said.items() if each}


_TOOLS: Final[Mapping[str, _Tool]] = {
    "commandExecution": _Tool(_command, _command_result),
    "fileChange": _Tool(_change, _change_result),
    "mcpToolCall": _Tool(_mcp, _mcp_result),
    "dynamicToolCall": _Tool(_dynamic, _dynamic_result),
    "collabAgentToolCall": _Tool(_collaboration, _collaboration_result),
    "collabToolCall": _Tool(_collaboration, _collaboration_result),
    "webSearch": _Tool(_search),
    "imageView": _Tool(_view),
    "imageGeneration": _Tool(_image),
}


def _message(agent_id: str, item: _Members) -> Iterator[Fact]:
    words = text_of(item, "text", "review")
    if words:
        yield telling.said(agent_id, CODEX, words)


def _reasoning(agent_id: str, item: _Members) -> Iterator[Fact]:
    """What it thinks in short, else all that it thinks."""
    for name in ("summary", "content"):
        said = [each for each in list_of(item, name) if isinstance(each, str) and each]
        if said:
            yield telling.thought(agent_id, CODEX, "\n\n".join(said))
            return
    if text_of(item, "text"):
        yield telling.thought(agent_id, CODEX, text_of(item, "text"))


def _output(agent_id: str, item: _Members) -> Iterator[Fact]:
    """The result of a tool whose call was not told."""
    said = text_of(item, "output") or _texts(list_of(item, "output"))
    name, item_id = text_of(item, "name"), text_of(item, "id")
    yield telling.returned(agent_id, CODEX, name, item_id, said, is_error=False)


def _compaction(_: str, __: _Members) -> Iterator[Fact]:
    yield telling.log("info", "It has shortened what it remembers of the conversation.", CODEX)


def _warning(_: str, item: _Members) -> Iterator[Fact]:
    if text_of(item, "message"):
        yield telling.log("warn", text_of(item, "message"), CODEX)


_SPOKEN: Final[Mapping[str, Callable[[str, _Members], Iterator[Fact]]]] = {
    "agentMessage": _message,
    "plan": _message,
    "exitedReviewMode": _message,
    "reasoning": _reasoning,
    "functionCallOutput": _output,
    "contextCompaction": _compaction,
    "error": _warning,
}
_SILENT: Final = frozenset(
    {"userMessage", "hookPrompt", "enteredReviewMode", "sleep", "subAgentActivity", "todoList"}
)
"""Items that say nothing new, or something that is told in another way."""
