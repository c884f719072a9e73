"""
What was spent, as rows: the ledger that people ask for (``log/ledger.py`` is the writer's own).

What one turn of a session has spent on one model is one row of ``spendings``, to which whatever
comes later of the same is added. To whom that is put down is the same for all of a session, and
stands in ``spenders`` once. Both stay when the session is forgotten.

Each row ends with its sum. That of a row which grows is made by SQLite's asking us, in the same
statement: it takes 4 microseconds for each, as long as the rest of it, and reading the rows first
would take longer.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final

import apsw

from loki_twisted.model.ledger import LedgerEntry
from loki_twisted.model.spending import MOST_DOLLARS, MOST_TOKENS, CostOrigin, bounded

SpenderRow = tuple[str, str, str]
"""A row of ``spenders``, in the order of its columns, without its sum."""

SpendingRow = tuple[str, int, str, int, int, int, int, int, int, int, int, int, float]
"""A row of ``spendings``, in the order of its columns, without its sum."""

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

_LENGTHS: Final = struct.Struct("<2q")
_NUMBERS: Final = struct.Struct("<11qd")

_COLUMNS: Final = ("session_id", "turn", "model", "at_ms", "origins", *AMOUNTS)
_GROWN: Final = {
    "origins": "origins | excluded.origins",
    **{
        name: f"min({name} + excluded.{name}, {MOST_DOLLARS if name == 'cost' else MOST_TOKENS})"
        for name in AMOUNTS
    },
}

PUT_SPENDERS: Final = (
    "INSERT INTO spenders VALUES ",
    "(?,?,?,?)",
    " ON CONFLICT(session_id) DO NOTHING",
)
"""Whoever comes first stays."""

PUT_SPENDINGS: Final = (
    "INSERT INTO spendings VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    " ON CONFLICT(session_id, turn, model) DO UPDATE SET "
    + ", ".join(f"{name} = {grown}" for name, grown in _GROWN.items())
    + f", sum = grown_sum(sum, {', '.join(_COLUMNS)}, {', '.join(_GROWN.values())})",
)
"""
What is there already is added to, and keeps its time.

Only for connections that :func:`let_spendings_grow` has prepared.
"""


def let_spendings_grow(connection: apsw.Connection) -> None:
    """Prepare a connection for :data:`PUT_SPENDINGS`. No table needs that, nor who reads."""
    connection.create_scalar_function(
        "grown_sum", _grown_sum, 1 + len(_COLUMNS) + len(_GROWN), deterministic=True
    )


def spender_sum(session_id: str, project_dir: str, provider: str) -> int:
    """CRC-32 over all of a row of ``spenders``."""
    first, second, third = map(_bytes, (session_id, project_dir, provider))
    return zlib.crc32(_LENGTHS.pack(len(first), len(second)) + first + second + third)


def spending_sum(session_id: str, turn: int, model: str, *numbers: float) -> int:
    """
    CRC-32 over all of a row of ``spendings``, with each bit of its cost.

    :raises struct.error: if a number is none.
    """
    first, second = _bytes(session_id), _bytes(model)
    return zlib.crc32(_NUMBERS.pack(len(first), turn, *numbers) + first + second)


def _grown_sum(*given: Any) -> Any:
    """
    Make the sum of a row that grows.

    :param given: The sum that it has; all else that it is; its origins and amounts as they become.
    """
    before, was, becomes = given[0], given[1 : 1 + len(_COLUMNS)], given[1 + len(_COLUMNS) :]
    try:
        # A sum that was wrong stays so: it must not become right by what is added.
        return before ^ spending_sum(*was) ^ spending_sum(*was[:_ORIGINS], *becomes)
    except (struct.error, TypeError):
        return before  # of what is no number: wrong as well, and no reason not to write the new


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


def _bytes(text: str) -> bytes:
    # What cannot be stored fails where it is stored.
    return text.encode("utf-8", "surrogatepass")


def _text(given: str) -> str:
    # Half a character of JSON's can be in a str, and not in a database.
    return given.encode("utf-8", "replace").decode()
