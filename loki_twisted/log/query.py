"""Asking a database, and reading the JSON in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import apsw
import msgspec

from loki_twisted.log.faults import Damaged

Value = TypeVar("Value")

_NOT_WHAT_WAS_WRITTEN: Final = "a row is not what was written"


def rows_of(
    connection: apsw.Connection,
    statement: str,
    values: Sequence[int | str] | Mapping[str, int | str | None] = (),
) -> list[tuple[Any, ...]]:
    """
    Run a query to its end, so that it holds nothing up.

    :raises apsw.Error: if that fails.
    :raises Damaged: if what should be text is none.
    """
    try:
        return connection.execute(statement, values).fetchall()
    except UnicodeDecodeError as error:
        raise Damaged(_NOT_WHAT_WAS_WRITTEN) from error


def number_of(connection: apsw.Connection, pragma: str) -> int:
    """What a pragma without arguments says, if that is a number."""
    [(number,)] = rows_of(connection, f"PRAGMA {pragma}")
    return int(number)


def decoded(decode: Callable[[bytes], Value], stored: bytes) -> Value:
    """
    Decode JSON that we once stored.

    :raises Damaged: if it is no longer what it was.
    """
    try:
        return decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(_NOT_WHAT_WAS_WRITTEN) from error


def as_list(bodies: bytes) -> bytes:
    """Make a JSON list of bodies with commas between them."""
    # SQLite takes 5 ms to put brackets around a megabyte, as long as for all else.
    return b"[%b]" % bodies
