"""What of an agent's own words may be shown: the one place through which they go into events."""

from __future__ import annotations

from collections.abc import Iterable

from loki_twisted.model.events import Fact


def shown(text: str) -> str:
    """Make text that an agent or its program wrote fit for an event."""
    return text


def shown_facts(facts: Iterable[Fact]) -> list[Fact]:
    """Do the same with the messages of facts."""
    return [
        Fact(fact.type, {**fact.data, "message": shown(str(fact.data["message"]))})
        if "message" in fact.data
        else fact
        for fact in facts
    ]
