"""
Bringing the file of an earlier version up to this one.

A file is brought from one version to the next in one transaction, so that a crash leaves
it at the one or the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import apsw

from loki_twisted.log.faults import Damaged
from loki_twisted.log.schema import SPAN
from loki_twisted.model.events import EVENT_TYPES


def upgrade(connection: apsw.Connection) -> None:
    """
    Bring a file up to :data:`~loki_twisted.log.schema.VERSION`, if it is of an earlier version.

    A version that never was is left for others to find.

    :raises Damaged: if its tables are not those of its version.
    :raises apsw.Error: if it fails otherwise. The file is at one version or the other.
    """
    version = connection.pragma("user_version")
    while isinstance(version, int) and version in _STEPS:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _STEPS[version](connection)
            connection.pragma("user_version", version + 1)
            connection.execute("COMMIT")
        except apsw.SQLError as error:
            raise Damaged(str(error)) from error
        version += 1


def _add_spans(connection: apsw.Connection) -> None:
    """Version 2 has ``spans``. Takes a second for 1,000,000 blocks of one event."""
    # SQLite has no sum of bits, so each bit is looked for by itself.
    bits = " | ".join(f"max(mask & {1 << kind})" for kind in range(len(EVENT_TYPES)))
    connection.execute(
        """CREATE TABLE spans(
    number INTEGER PRIMARY KEY,
    mask INTEGER NOT NULL
)"""
    )
    connection.execute(
        f"INSERT INTO spans SELECT first_seq / {SPAN}, {bits} FROM blocks GROUP BY 1"  # noqa: S608
    )


_STEPS: Final[Mapping[int, Callable[[apsw.Connection], None]]] = {1: _add_spans}
"""What brings a version to the next one."""
