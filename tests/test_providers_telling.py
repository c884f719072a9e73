"""Words in which drivers tell things, and plans: bounded, whatever an agent says."""

from __future__ import annotations

from typing import Any

import msgspec

from loki_twisted.agents.providers.plans import MOST_ENTRIES, MOST_TITLE, changes, entry, numbered
from loki_twisted.agents.providers.telling import called, returned, text
from loki_twisted.model.tasks import TaskStatus

MOST_MEMORY = 256 * 1024


def nested(levels: int) -> Any:
    """Lists in lists."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


def test_what_is_nested_deeply() -> None:
    """It is told that it is, and nothing fails."""
    words = "It is nested too deeply to be told."
    assert text(nested(100_000)) == words
    assert called("main", "x", "tool", "1", {"a": nested(100_000)}).data["output"] == words
    told = returned("main", "x", "tool", "1", nested(100_000), is_error=False)
    assert told.data["output"] == words
    assert text(nested(3)) == "[[[[]]]]"


def test_a_plan_without_end() -> None:
    """However many steps it has, and however long they are, it fits into a driver's memory."""
    steps = [(f'{number}"' + '\\"' * 50_000, "pending") for number in range(1_000)]
    plan = numbered((), steps)
    assert len(plan) == MOST_ENTRIES
    assert all(len(each.title.encode()) <= MOST_TITLE for each in plan)
    assert len(msgspec.json.encode(plan)) <= MOST_MEMORY * 3 // 4
    assert changes(plan, numbered(plan, steps)) == []


def test_a_title_in_many_bytes() -> None:
    """It is cut between its characters, and says so."""
    title = entry("t", "€" * 1_000, TaskStatus.PENDING).title
    assert title.startswith("€€")
    assert title.endswith("… [cut, 3000 bytes in all]")
    assert len(title.encode()) <= MOST_TITLE
