"""Phases that the event file of a run tells of, for where no other file names one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loki_twisted.model.events import Fact
from loki_twisted.model.runs import RunPhaseChange

_LONGEST: Final = 256
"""Characters of a phase that are kept."""


def phase_change_of(facts: Sequence[Fact]) -> RunPhaseChange | None:
    """Find the last change of the phase among what lines of ``events.jsonl`` have become."""
    for fact in reversed(facts):
        context = fact.data.get("context")
        if isinstance(context, dict) and context.get("type") == "phase_change":
            data = context.get("data")
            word = data.get("to") if isinstance(data, dict) else None
            if isinstance(word, str) and word.strip():
                return RunPhaseChange(word.strip().lower()[:_LONGEST])
    return None
