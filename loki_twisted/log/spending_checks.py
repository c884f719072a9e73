"""
Whether the ledger is what was written: its rows by their sums, and what is added up by comparing.

Only where all of a log is checked. Who asks for the ledger has what the sums of pages hold, because
adding up is not to take longer.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import apsw

from loki_twisted.log.faults import Damaged
from loki_twisted.log.query import rows_of
from loki_twisted.log.spending_rows import AMOUNTS, BIT_OF_ORIGIN, spender_sum, spending_sum

_DAY_MS: Final = 86_400_000
_COST_TOLERANCE: Final = 1e-6
"""
How far the cost of a day may be from that of its lines, as a part of it.

Both are added up in another order, and each time something is rounded, by 2 ** -53 of three times
the cost at most. So a line may grow 3,000,000,000 times in a day, each time rounded the same way.
"""

_BITS: Final = " | ".join(f"max(origins & {bit})" for bit in BIT_OF_ORIGIN.values())
_EXACT: Final = ("turns", "origins", *(name for name in AMOUNTS if name != "cost"))
_ADDED: Final = f"""
SELECT session_id, model, at_ms / {_DAY_MS} AS day, count(*) AS turns, {_BITS} AS origins,
    {", ".join(f"sum({name}) AS {name}" for name in AMOUNTS)}
FROM spendings GROUP BY session_id, model, day
"""  # noqa: S608

# Of a turn on several models the one that came first counts it, which no row says.
_DAYS_ARE_WHOLE: Final = f"""
WITH added AS MATERIALIZED ({_ADDED})
SELECT (SELECT count(*) FROM added) = (SELECT count(*) FROM spending_days)
AND NOT EXISTS (
    SELECT 1 FROM added LEFT JOIN spending_days AS found USING (session_id, model, day)
    WHERE {" OR ".join(f"added.{name} IS NOT found.{name}" for name in _EXACT)}
    OR abs(added.cost - found.cost) > {_COST_TOLERANCE} * added.cost
)
AND NOT EXISTS (
    SELECT session_id, sum(session_turns) FROM spending_days GROUP BY session_id
    EXCEPT SELECT session_id, count(DISTINCT turn) FROM spendings GROUP BY session_id
)
AND NOT EXISTS (
    SELECT session_id, day, sum(day_turns) FROM spending_days GROUP BY session_id, day
    EXCEPT SELECT session_id, at_ms / {_DAY_MS} AS day, count(DISTINCT turn)
    FROM spendings GROUP BY session_id, day
)
"""  # noqa: S608

_SPENDERS_ARE_WHOLE: Final = """
SELECT NOT EXISTS (
    SELECT session_id FROM spendings EXCEPT SELECT session_id FROM spenders
) AND NOT EXISTS (
    SELECT session_id FROM spenders EXCEPT SELECT session_id FROM spendings
)
"""

_RENEW_COSTS: Final = f"""
UPDATE spending_days SET cost = added.cost FROM ({_ADDED}) AS added
WHERE (spending_days.session_id, spending_days.model, spending_days.day)
= (added.session_id, added.model, added.day)
"""  # noqa: S608


def check_spending(connection: apsw.Connection) -> None:
    """
    Read all of the ledger.

    :raises Damaged: if something is not what was written, or does not go together.
    :raises apsw.Error: if it cannot be read.
    """
    _check_sums(connection, "SELECT * FROM spenders", spender_sum)
    _check_sums(connection, "SELECT * FROM spendings", spending_sum)
    [(are_whole,)] = rows_of(connection, _SPENDERS_ARE_WHOLE)
    if not are_whole:
        raise Damaged("it does not say who has spent what")
    if not days_are_whole(connection):
        raise Damaged("it does not say what was spent")


def days_are_whole(connection: apsw.Connection) -> bool:
    """Whether ``spending_days`` says what was spent, but for what was rounded."""
    [(are_whole,)] = rows_of(connection, _DAYS_ARE_WHOLE)
    return bool(are_whole)


def renew_costs(connection: apsw.Connection) -> None:
    """Add up the costs of days anew, where none that is within the tolerance can be told by it."""
    connection.execute(_RENEW_COSTS)


def _check_sums(connection: apsw.Connection, query: str, sum_of: Callable[..., int]) -> None:
    try:
        # Row by row: of a million there is no list in memory.
        for *columns, total in connection.execute(query):
            if sum_of(*columns) != total:
                raise Damaged("what was spent is not what was written")
    except (AttributeError, UnicodeDecodeError, struct.error) as error:  # is not of its type
        raise Damaged("what was spent is not what was written") from error
