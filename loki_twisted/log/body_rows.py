"""
Rows of a session whose body is JSON, of tables that are alike: queries on a connection.

Such a table has ``number``, ``session_id``, ``id``, a flag of its own, ``created_at`` and ``body``
(with its sum, see ``log/sums.py``); rows of the same time are in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import apsw
import attrs

from loki_twisted.log.query import rows_of
from loki_twisted.log.sums import BODIES, unsealed

Value = TypeVar("Value")

_REPLACING: Final = """ ON CONFLICT(session_id, id) DO UPDATE SET {flag} = excluded.{flag},
    created_at = excluded.created_at, body = excluded.body"""

BodyRow = tuple[str, str, bool, str, str]
"""Session, id, flag, time and body of a row: its columns in their order, without its number."""


@attrs.frozen(slots=True)
class BodyTable(Generic[Value]):
    """
    One of these tables.

    :ivar name: Of the table.
    :ivar flag: Of the column that says whether a row still matters. There is an index of those
        that do, ``<name>_<flag>``, and one of all of a session, ``<name>_of_session``.
    :ivar decode: Makes values of a JSON list of bodies.
    """

    name: str
    flag: str
    decode: Callable[[bytes], list[Value]]

    @property
    def put(self) -> tuple[str, str, str]:
        """The statement that puts rows into it, as ``log/statements.py`` takes it."""
        columns = f"(session_id, id, {self.flag}, created_at, body)"
        return (
            f"INSERT INTO {self.name}{columns} VALUES ",  # noqa: S608
            "(?,?,?,?,?)",
            _REPLACING.format(flag=self.flag),
        )

    def flagged(self, connection: apsw.Connection) -> list[Value]:
        """All whose flag is set, oldest first."""
        source = f"{self.name} INDEXED BY {self.name}_{self.flag} WHERE {self.flag}"
        [(bodies,)] = rows_of(
            connection,
            f"SELECT {BODIES} FROM (SELECT body FROM {source} ORDER BY created_at, number)",  # noqa: S608
        )
        return unsealed(self.decode, bodies)

    def page(
        self, connection: apsw.Connection, session_id: str, limit: int, offset: int
    ) -> tuple[tuple[Value, ...], int]:
        """A page of a session's, newest first, and how many there are in all."""
        source = f"{self.name} INDEXED BY {self.name}_of_session WHERE session_id = :session"
        [(total, bodies)] = rows_of(
            connection,
            f"""SELECT (SELECT count(*) FROM {source}), {BODIES} FROM (
            SELECT body FROM {source} ORDER BY created_at DESC, number DESC
            LIMIT :limit OFFSET :offset)""",  # noqa: S608
            {"session": session_id, "limit": limit, "offset": offset},
        )
        return tuple(unsealed(self.decode, bodies)), total

    def one(self, connection: apsw.Connection, session_id: str, name: str) -> Value | None:
        """One by its id, or None."""
        rows = rows_of(
            connection,
            f"SELECT CAST(body AS BLOB) FROM {self.name} WHERE session_id = ? AND id = ?",  # noqa: S608
            (session_id, name),
        )
        return unsealed(self.decode, rows[0][0])[0] if rows else None

    def all(self, connection: apsw.Connection) -> list[Value]:
        """All there are, to see whether they can be read."""
        [(bodies,)] = rows_of(connection, f"SELECT {BODIES} FROM {self.name}")  # noqa: S608
        return unsealed(self.decode, bodies)
