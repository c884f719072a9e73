"""The ledger, the slow and plain way: what the log's own is held against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import attrs

from loki_twisted.model.ledger import Grouping, LedgerEntry, LedgerLine, LedgerPage, LedgerQuery
from loki_twisted.model.spending import NOTHING, CostOrigin, Spending, bounded, plus


@attrs.define
class Line:
    """What one turn of a session has spent on one model."""

    first: LedgerEntry
    project_dir: str
    provider: str
    spending: Spending = NOTHING
    origins: set[CostOrigin] = attrs.field(factory=set)


def lines_of(entries: Iterable[LedgerEntry]) -> list[Line]:
    """Add up entries of the same session, turn and model."""
    lines: dict[tuple[str, int, str], Line] = {}
    spenders: dict[str, tuple[str, str]] = {}
    for entry in entries:
        spender = spenders.setdefault(entry.session_id, (entry.project_dir, entry.provider))
        key = entry.session_id, entry.turn, entry.model
        line = lines.setdefault(key, Line(entry, *spender))
        line.spending = plus(line.spending, bounded(entry.spending))
        line.origins.add(entry.origin)
    return list(lines.values())


def is_wanted(line: Line, query: LedgerQuery) -> bool:
    """Whether a query asks for a line."""
    return (
        query.session_id in (None, line.first.session_id)
        and query.project_dir in (None, line.project_dir)
        and query.provider in (None, line.provider)
        and (query.since_ms is None or line.first.at_ms >= query.since_ms)
        and (query.until_ms is None or line.first.at_ms < query.until_ms)
    )


def key_of(line: Line, by: Grouping) -> str:
    """The group that a line is in."""
    match by:
        case Grouping.TURN:
            return f"{line.first.session_id}/{line.first.turn}"
        case Grouping.SESSION:
            return line.first.session_id
        case Grouping.PROJECT:
            return line.project_dir
        case Grouping.PROVIDER:
            return line.provider
        case Grouping.MODEL:
            return line.first.model
        case Grouping.DAY:
            return datetime.fromtimestamp(line.first.at_ms / 1000, UTC).date().isoformat()


def added_up(key: str, lines: Sequence[Line]) -> LedgerLine:
    """One line of several."""
    spending = NOTHING
    for line in lines:
        spending = plus(spending, line.spending)
    origins = set().union(*(line.origins for line in lines))
    return LedgerLine(
        key=key,
        spending=spending,
        origins=[origin for origin in CostOrigin if origin in origins],
        sessions=len({line.first.session_id for line in lines}),
        turns=len({(line.first.session_id, line.first.turn) for line in lines}),
    )


def plain_ledger(entries: Iterable[LedgerEntry], query: LedgerQuery) -> LedgerPage:
    """What a query gives."""
    wanted = [line for line in lines_of(entries) if is_wanted(line, query)]
    groups: dict[str, list[Line]] = {}
    for line in wanted:
        groups.setdefault(key_of(line, query.by), []).append(line)
    keys = list(groups)
    if query.by is Grouping.TURN:
        first = {key: groups[key][0].first for key in keys}
        keys.sort(key=lambda key: first[key].turn, reverse=True)
        keys.sort(key=lambda key: first[key].session_id)
        earliest = {key: min(line.first.at_ms for line in groups[key]) for key in keys}
        keys.sort(key=lambda key: earliest[key], reverse=True)
    elif query.by is Grouping.DAY:
        keys.sort(reverse=True)
    else:
        keys.sort()
        spent = {key: added_up(key, groups[key]).spending for key in keys}
        keys.sort(key=lambda key: (spent[key].cost, spent[key].tokens), reverse=True)
    page = keys[query.offset : query.offset + query.limit]
    return LedgerPage(
        tuple(added_up(key, groups[key]) for key in page), len(keys), added_up("", wanted)
    )
