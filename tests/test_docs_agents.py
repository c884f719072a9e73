"""What the documentation says of agents, held against the agents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from loki_twisted.agents.driving import Abilities
from loki_twisted.agents.providers.plugins import installed_providers

PAGE = Path(__file__).parent.parent / "docs" / "agents.rst"


def rows_of(page: str, title: str) -> Mapping[str, Sequence[str]]:
    """The table whose first column has this title: by name, the cells of each row's first line."""
    lines = page.splitlines()
    head = next(at for at, line in enumerate(lines) if line.startswith(f"{title} "))
    columns = [match.span() for match in re.finditer("=+", lines[head - 1])]
    end = lines.index(lines[head - 1], head + 2)
    rows = [[line[a:b].strip() for a, b in columns] for line in lines[head + 2 : end]]
    return {row[0].strip("`"): row[1:] for row in rows if row[0]}


def said_of(abilities: Abilities) -> list[str]:
    """How the table says it."""
    asks, continues = ("yes" if each else "no" for each in (abilities.asks, abilities.continues))
    return [asks, abilities.messaging.value, continues, abilities.cost.value]


def test_the_table_of_agents_is_true() -> None:
    """It has every provider that comes with the server, and says of each what it can do."""
    ours = {
        name: said_of(each.abilities)
        for name, each in installed_providers().items()
        if type(each).__module__.startswith("loki_twisted.")
    }
    rows = rows_of(PAGE.read_text("utf-8"), "provider")
    assert {name: list(row[:4]) for name, row in rows.items()} == ours
    assert all(row[4] for row in rows.values())
