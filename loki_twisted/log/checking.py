"""
Whether a log is what was written: its ends and its tables, or all of it.

Of blocks, sessions, tasks, what was spent and other things that are told each row has a sum. What
is added up of them, or leads to them, is compared with them.
"""

from __future__ import annotations

from typing import Final

import apsw

from loki_twisted.log import history, holdings, records, schema
from loki_twisted.log.done_rows import check_done
from loki_twisted.log.faults import Damaged
from loki_twisted.log.input_rows import INPUTS
from loki_twisted.log.interface import Bounds
from loki_twisted.log.message_rows import MESSAGES
from loki_twisted.log.query import rows_of
from loki_twisted.log.schema import Identity
from loki_twisted.log.spending_checks import check_spending
from loki_twisted.model.errors import StorageForeign
from loki_twisted.model.filters import EVERYTHING
from loki_twisted.model.tasks import TaskQuery

_CHECKED_BYTES: Final = 1024 * 1024
_BEHIND_ALL: Final = 2**62


def refusal(path: str, identity: Identity) -> StorageForeign:
    """Make the error of a file that is not for us."""
    return StorageForeign(f"{path} is {identity.value}. It was left as it is.")


def check_schema(connection: apsw.Connection) -> None:
    """
    See that the tables are those of this version.

    :raises StorageForeign: if the log is of a newer version.
    :raises Damaged: if they are not.
    """
    # Only now: a newer server that was killed may have left its version in the write-ahead log.
    version = connection.pragma("user_version")
    if isinstance(version, int) and version > schema.VERSION:
        raise refusal(connection.filename, Identity.NEWER)
    found = {sql for (sql,) in rows_of(connection, "SELECT sql FROM sqlite_schema")}
    if version != schema.VERSION or not found.issuperset(schema.STATEMENTS):
        raise Damaged("its tables are not ours")


def bounds_of(connection: apsw.Connection) -> Bounds:
    """
    Say what a log holds.

    :raises Damaged: if its newest block, or what is written of its holes, is not what was written.
    """
    # Before any read of blocks, which uses it.
    held = holdings.held(connection)
    oldest = holdings.oldest(connection)
    if oldest is None:
        return Bounds(1, 0)
    start = holdings.newest_block(connection) - 1
    [last] = history.read(connection, start, _BEHIND_ALL, EVERYTHING, 0).blocks
    if held is None:
        return Bounds(oldest, last.last_seq)
    before = held.complete_from - oldest
    if not (1 <= held.complete_from <= last.first_seq and 0 <= held.kept <= max(0, before)):
        raise Damaged("what is written of its holes cannot be")
    return Bounds(oldest, last.last_seq, held.complete_from, held.kept)


def check_all(connection: apsw.Connection, bounds: Bounds) -> None:
    """
    Read all of it.

    :param bounds: What it says to hold.
    :raises Damaged: if something is not what was written, or does not go together.
    :raises apsw.Error: if it cannot be read.
    """
    found = connection.pragma("integrity_check", 1)
    if found != "ok":
        raise Damaged(str(found))
    records.sessions(connection, -1, 0)
    records.tasks(connection, TaskQuery(limit=None))
    records.cursors(connection, "")
    INPUTS.all(connection)
    MESSAGES.all(connection)
    check_done(connection)
    after = events = 0
    while after < bounds.newest:
        page = history.read(connection, after, bounds.newest, EVERYTHING, _CHECKED_BYTES)
        events += sum(map(len, page.blocks))
        after = page.reached
    if events != len(bounds):
        msg = f"it has {events} events and not {len(bounds)}"
        raise Damaged(msg)
    if not records.totals_are_whole(connection):
        raise Damaged("it does not say how many tasks it has")
    check_spending(connection)
    if not holdings.spans_are_whole(connection):
        raise Damaged("its spans do not say what its blocks have")
