"""The ledger: what was spent, by turn, and what of it is asked for."""

from __future__ import annotations

from enum import StrEnum

import attrs
import msgspec

from loki_twisted.model.spending import CostOrigin, Spending


@attrs.frozen(slots=True, kw_only=True)
class LedgerEntry:
    """
    Something that was spent. Entries of one session, turn and model are one line of the ledger.

    :ivar turn: The number of the turn in its session, from 1; 0 before the first.
    :ivar at_ms: When it was said, since the Unix epoch; the first of a line gives its day (UTC).
    :ivar project_dir: Absolute path.
    :ivar model: Empty where that was not said.
    """

    session_id: str
    turn: int
    at_ms: int
    project_dir: str
    provider: str
    spending: Spending
    origin: CostOrigin
    model: str = ""


class Grouping(StrEnum):
    """By what the lines of the ledger are added up."""

    TURN = "turn"
    SESSION = "session"
    PROJECT = "project"
    PROVIDER = "provider"
    MODEL = "model"
    DAY = "day"


@attrs.frozen(slots=True, kw_only=True)
class LedgerQuery:
    """
    What is asked of the ledger.

    :ivar by: How it is added up.
    :ivar since_ms: Only lines from this time on, since the Unix epoch; None from the beginning.
    :ivar until_ms: Only lines before this time; None to the end.
    """

    by: Grouping
    session_id: str | None = None
    project_dir: str | None = None
    provider: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = 100
    offset: int = 0


class LedgerLine(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    What was spent, added up.

    :ivar key: Of the group: an id of a session, a path, a name of a provider or model, a day
        (``2026-11-26``), or ``<session id>/<turn>``.
    :ivar origins: Where the cost comes from; several where lines differ.
    :ivar sessions: How many sessions there are in it.
    :ivar turns: How many turns.
    """

    key: str
    spending: Spending
    origins: list[CostOrigin]
    sessions: int
    turns: int


@attrs.frozen(slots=True)
class LedgerPage:
    """
    A page of lines: days and turns newest first, all others by falling cost, then tokens.

    :ivar total: How many lines there are in all.
    :ivar sum: All lines of the query added up, not only those of the page; its key is empty.
    """

    lines: tuple[LedgerLine, ...]
    total: int
    sum: LedgerLine
