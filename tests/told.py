"""What people are told of a session, sorted: for the tests of agents through the real server."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.system import StreamEvent


def outputs(events: Iterable[StreamEvent], kind: str = "text") -> list[str]:
    """What agents said of a kind: ``text``, ``thinking``, ``tool_call`` or ``tool_result``."""
    told = [each.data for each in events if each.type == "agent:output"]
    return [each["output"] for each in told if each["kind"] == kind]


def types(events: Iterable[StreamEvent], kind: str = "") -> list[str]:
    """The types of events of a group, in order: ``session:``, or that of all."""
    return [each.type for each in events if each.type.startswith(kind)]


def says(words: str) -> Callable[[StreamEvent], object]:
    """Whether an event is a text of the agent."""
    return lambda event: event.data.get("output") == words


def stays(event: StreamEvent) -> bool:
    """Whether an event tells that the agent has done its work, and waits for a message."""
    return bool(event.data.get("reasonCode") == "waiting_for_message")
