"""Whose a file is."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from loki_twisted.log.schema import (
    APPLICATION_ID,
    HEADER_BYTES,
    STATEMENTS,
    VERSION,
    Identity,
    identity_of,
)


def header_of(path: Path, application_id: int, version: int) -> bytes:
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("application_id", application_id)
        connection.pragma("user_version", version)
    return path.read_bytes()[:HEADER_BYTES]


@pytest.mark.parametrize(
    ("application_id", "version", "identity"),
    [
        (APPLICATION_ID, VERSION, Identity.OURS),
        (APPLICATION_ID, VERSION + 1, Identity.NEWER),
        (0, VERSION, Identity.FOREIGN),
        (APPLICATION_ID + 1, VERSION + 1, Identity.FOREIGN),
    ],
)
def test_a_database_is_known(
    tmp_path: Path, application_id: int, version: int, identity: Identity
) -> None:
    """A database is ours by its application id, and newer by its version."""
    assert identity_of(header_of(tmp_path / "log.db", application_id, version)) is identity


@pytest.mark.parametrize("header", [b"", b"SQLite format 3\0", b"x" * 200, bytes(100)])
def test_what_is_no_database(header: bytes) -> None:
    """Text, nothing, and half a header are no database."""
    assert identity_of(header) is Identity.NO_DATABASE


def test_the_tables_are_those_of_their_version() -> None:
    """Whoever changes a statement has to raise the version: files of users are known by both."""
    texts = "\0".join(STATEMENTS).encode()

    assert (VERSION, hashlib.sha256(texts).hexdigest()[:16]) == (7, "771062d3e117936f")
