"""
The statements that find events, for each kind of filter.

Each is a template and a plan that fills it in. Who changes one looks at what SQLite makes of it
(``EXPLAIN QUERY PLAN``), and at how many pages it looks at in a long log and in a short one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from loki_twisted.log.holdings import held_field
from loki_twisted.log.schema import SESSION_SPAN, SPAN
from loki_twisted.model.filters import EVERY_KIND, EventFilter

FETCH: Final = """
WITH
-- The block with the number, or the first behind it.
low(seq) AS MATERIALIZED (
    SELECT ifnull((
        SELECT max(first_seq) FROM (
            SELECT first_seq, last_seq FROM blocks WHERE first_seq <= :low
            ORDER BY first_seq DESC LIMIT 1
        ) WHERE last_seq >= :low
    ), :low)
),
-- One that has lost its bytes is fetched too: it is damaged, and not missing.
first(seq, size) AS MATERIALIZED (
    SELECT first_seq, ifnull(length(body), 0) FROM {source}
    WHERE {from_low} AND {to_high} AND {condition} ORDER BY {order} LIMIT 1
),
-- A window over more rows than the page can have would cost more than the page.
nearest(seq, size) AS (
    SELECT first_seq, length(body) FROM {source}
    WHERE {from_first} AND {to_high} AND {condition} ORDER BY {order}
    LIMIT ifnull((SELECT min(:rows, 1 + :bytes / max(1, size)) FROM first), 0)
),
measured AS (
    SELECT seq, sum(size) OVER (
        ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS size_before FROM nearest
),
edge(seq) AS MATERIALIZED (
    SELECT max(seq) FROM measured WHERE ifnull(size_before, 0) <= :bytes
)
SELECT
    CAST(json_group_array(
        json_array(first_seq, session_id, length(kinds), length(body), sum)
    ) AS BLOB),
    CAST(group_concat(kinds, '') AS BLOB),
    CAST(group_concat(ends, '') AS BLOB),
    CAST(group_concat(body, '') AS BLOB),
    {complete_from}
FROM (
    SELECT first_seq, session_id, kinds, ends, body, sum FROM {source}
    WHERE {from_first} AND {to_edge} AND {condition} ORDER BY {order}
)
"""
"""
The first wanted blocks from ``:low`` to ``:high``, in one row, each column in one piece.

At most ``:rows``, and not more than the one with which their bytes exceed ``:bytes``.
"""

KINDS: Final = """
SELECT
    CAST(json_group_array(json_array(first_seq, length(kinds))) AS BLOB),
    CAST(group_concat(kinds, '') AS BLOB)
FROM (
    SELECT first_seq, kinds FROM {source}
    WHERE {from_start} AND {to_high} AND {condition} ORDER BY {backwards} LIMIT :rows
)
"""
"""The last ``:rows`` wanted blocks from ``:low`` to ``:high``, newest first, without bytes."""


@attrs.frozen(slots=True)
class Plan:
    """
    In which way wanted blocks are found, as parts of a statement.

    :ivar source: What is gone through.
    :ivar condition: Which of its rows are wanted.
    :ivar order: By what they are sorted, without a sort.
    :ivar at_least: How to begin at a number, with ``{0}`` in its place.
    :ivar at_most: How to end with one.
    :ivar passes: How many times ``MAX_EVENTS_PASSED`` may be passed in one read; None where only
        what is wanted is gone through.
    """

    source: str
    condition: str
    order: Sequence[str]
    at_least: str
    at_most: str
    passes: int | None

    def statement(self, template: str) -> str:
        """Fill in a template."""
        return template.format(
            source=self.source,
            complete_from=held_field("complete_from"),
            condition=self.condition,
            order=", ".join(self.order),
            backwards=", ".join(f"{column} DESC" for column in self.order),
            from_start=self.at_least.format(":low"),
            from_low=self.at_least.format("(SELECT seq FROM low)"),
            from_first=self.at_least.format("(SELECT seq FROM first)"),
            to_high=self.at_most.format(":high"),
            to_edge=self.at_most.format("(SELECT seq FROM edge)"),
        )


_BY_NUMBER: Final = Plan(
    source="blocks NOT INDEXED",
    condition="true",
    order=("first_seq",),
    at_least="first_seq >= {0}",
    at_most="first_seq <= {0}",
    passes=None,
)

_BY_SESSION: Final = attrs.evolve(
    _BY_NUMBER,
    source="blocks INDEXED BY blocks_by_session",
    condition="session_id = :session",
)


def _through_spans(spans: str, span: int, blocks: str, condition: str) -> Plan:
    """
    Go through the spans that have a wanted kind, and in each through its blocks.

    :param spans: Their table.
    :param span: How many numbers each stands for.
    :param blocks: The table of blocks, and by what it is gone through.
    :param condition: What else the two have in common.
    """
    return Plan(
        source=f"{spans} CROSS JOIN {blocks}",
        condition=f"{condition} AND {spans}.mask & :mask AND blocks.mask & :mask",
        order=("number", "first_seq"),
        # One limit for each end, because SQLite looks for one and tries the other on each block.
        at_least=f"number >= {{0}} / {span} AND first_seq >= max({{0}}, number * {span})",
        at_most=f"""number <= {{0}} / {span}
        AND first_seq <= min({{0}}, number * {span} + {span - 1})""",
        passes=span,
    )


_BY_MASK: Final = _through_spans("spans", SPAN, "blocks NOT INDEXED", "true")

_BY_SESSION_AND_MASK: Final = _through_spans(
    "session_spans",
    SESSION_SPAN,
    "blocks INDEXED BY blocks_by_session",
    "session = :session AND session_id = :session",
)


def plan_of(wanted: EventFilter) -> tuple[Plan, Mapping[str, int | str]]:
    """Choose how to find what is wanted, and give the values for it."""
    if wanted.session_id is None:
        if wanted.mask == EVERY_KIND:
            return _BY_NUMBER, {}
        return _BY_MASK, {"mask": wanted.mask}
    if wanted.mask == EVERY_KIND:
        return _BY_SESSION, {"session": wanted.session_id}
    return _BY_SESSION_AND_MASK, {"session": wanted.session_id, "mask": wanted.mask}
