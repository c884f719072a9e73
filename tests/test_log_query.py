"""Asking a database."""

from __future__ import annotations

from contextlib import closing

import apsw
import msgspec
import pytest

from loki_twisted.log.faults import Damaged
from loki_twisted.log.query import decoded, rows_of

decode = msgspec.json.Decoder(list[int]).decode


def test_what_was_stored_is_read() -> None:
    """JSON that is as it was is decoded."""
    assert decoded(decode, b"[1, 2]") == [1, 2]


@pytest.mark.parametrize("stored", [b"", b"[1,", b'["one"]', b'["\xff"]'])
def test_other_json_is_damage(stored: bytes) -> None:
    """JSON that is broken, or of another shape than what we write, is damage."""
    with pytest.raises(Damaged):
        decoded(decode, stored)


def test_text_that_is_none_is_damage() -> None:
    """A column of text that is not UTF-8 is damage, not an error of ours."""
    with closing(apsw.Connection(":memory:")) as connection, pytest.raises(Damaged):
        rows_of(connection, "SELECT CAST(x'ff' AS TEXT)")
