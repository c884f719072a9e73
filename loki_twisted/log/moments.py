"""Finding where in the log a time is: by the numbers, which rise with the times."""

from __future__ import annotations

from typing import Final

import apsw

from loki_twisted.log.query import rows_of

_IS_EARLIER: Final = """
coalesce((SELECT at_ms FROM blocks WHERE first_seq <= (low + high + 1) / 2
    ORDER BY first_seq DESC LIMIT 1) < :at_ms, 1)
"""

_HALVING: Final = f"""
WITH RECURSIVE search(low, high) AS (
    SELECT 0, :newest
    UNION ALL
    SELECT iif({_IS_EARLIER}, (low + high + 1) / 2, low),
        iif({_IS_EARLIER}, high, (low + high + 1) / 2 - 1)
    FROM search WHERE low < high
)
SELECT max(low) FROM search
"""  # noqa: S608  # of texts of ours
"""
It halves the numbers until one is left, in a single step of SQLite, and looks at a block each time:
20 of 1,000,000. What was dropped counts as earlier, since later events are there.
"""


def last_before(connection: apsw.Connection, at_ms: int, newest: int) -> int:
    """
    Find a time; see :meth:`loki_twisted.log.interface.IEventLog.last_before`.

    :param newest: Look no further than this number.
    """
    [(number,)] = rows_of(connection, _HALVING, {"at_ms": at_ms, "newest": newest})
    return int(number)
