"""
What was spent, as rows: the ledger that people ask for (``log/ledger.py`` is the writer's own).

What one turn of a session has spent on one model is one row of ``spendings``, to which whatever
comes later of the same is added. To whom that is put down is the same for all of a session, and
stands in ``spenders`` once. Both stay when the session is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loki_twisted.model.ledger import LedgerEntry
from loki_twisted.model.spending import MOST_DOLLARS, MOST_TOKENS, CostOrigin, bounded

SpenderRow = tuple[str, str, str]
"""A row of ``spenders``, in the order of its columns."""

SpendingRow = tuple[str, int, str, int, int, int, int, int, int, int, int, int, float]
"""A row of ``spendings``, in the order of its columns."""

LineKey = tuple[str, int, str]
"""Session, turn and model: what a row of ``spendings`` is found by."""

AMOUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "other_tokens",
    "api_calls",
    "cost",
)
"""The columns of ``spendings`` that are added up, in their order."""

BIT_OF_ORIGIN: Final[Mapping[CostOrigin, int]] = {
    CostOrigin.REPORTED: 1,
    CostOrigin.ESTIMATED: 2,
    CostOrigin.UNKNOWN: 4,
}
"""``origins`` is a set of these bits."""

_ORIGINS: Final = 4
_FIRST_AMOUNT: Final = 5

PUT_SPENDERS: Final = (
    "INSERT INTO spenders VALUES ",
    "(?,?,?)",
    " ON CONFLICT(session_id) DO NOTHING",
)
"""Whoever comes first stays."""

PUT_SPENDINGS: Final = (
    "INSERT INTO spendings VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,?,?)",
    " ON CONFLICT(session_id, turn, model) DO UPDATE SET origins = origins | excluded.origins, "
    + ", ".join(
        f"{name} = min({name} + excluded.{name}, {MOST_DOLLARS if name == 'cost' else MOST_TOKENS})"
        for name in AMOUNTS
    ),
)
"""What is there already is added to, and keeps its time."""


def spender_row(entry: LedgerEntry) -> SpenderRow:
    """Say to whom an entry is put down."""
    return (entry.session_id, _text(entry.project_dir), _text(entry.provider))


def spending_row(entry: LedgerEntry) -> SpendingRow:
    """Make a row of an entry alone."""
    spent = bounded(entry.spending)
    return (
        entry.session_id,
        entry.turn,
        _text(entry.model),
        entry.at_ms,
        BIT_OF_ORIGIN[entry.origin],
        spent.input_tokens,
        spent.output_tokens,
        spent.cache_read_tokens,
        spent.cache_write_tokens,
        spent.reasoning_tokens,
        spent.other_tokens,
        spent.api_calls,
        spent.cost,
    )


def add_row(lines: dict[LineKey, SpendingRow], row: SpendingRow) -> None:
    """Add a row to what there is, as :data:`PUT_SPENDINGS` does."""
    key = row[:3]
    before = lines.get(key)
    lines[key] = row if before is None else _sum(before, row)


def _sum(before: SpendingRow, row: SpendingRow) -> SpendingRow:
    session_id, turn, model, at_ms = before[:_ORIGINS]
    origins = before[_ORIGINS] | row[_ORIGINS]
    counts = [
        min(one + other, MOST_TOKENS)
        for one, other in zip(before[_FIRST_AMOUNT:-1], row[_FIRST_AMOUNT:-1], strict=True)
    ]
    cost = min(before[-1] + row[-1], MOST_DOLLARS)
    return (session_id, turn, model, at_ms, origins, *counts, cost)  # type: ignore[return-value]  # as many as there were


def _text(given: str) -> str:
    # Half a character of JSON's can be in a str, and not in a database.
    return given.encode("utf-8", "replace").decode()
