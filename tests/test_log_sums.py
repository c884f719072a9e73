"""Sums of rows: what was written is read, and nothing else is."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log.faults import Damaged
from loki_twisted.log.sums import marked, sealed, unmarked, unsealed

BODIES = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3), max_size=4)
decode = msgspec.json.Decoder(list[dict[str, str]]).decode


def stored(bodies: list[dict[str, str]]) -> bytes:
    """Several as SQLite gives them."""
    return "\n".join(sealed(msgspec.json.encode(body)) for body in bodies).encode()


@given(BODIES)
def test_bodies_are_what_was_written(bodies: list[dict[str, str]]) -> None:
    """Whatever is in them, and however many there are, they are read as they were written."""
    assert unsealed(decode, stored(bodies)) == bodies


@pytest.mark.promise("R16")
@given(BODIES.filter(bool), st.data())
def test_no_other_bodies_are_told(bodies: list[dict[str, str]], data: st.DataObject) -> None:
    """With any byte changed they are damaged, or still what was written."""
    changed = bytearray(stored(bodies))
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= data.draw(st.integers(1, 255))

    with contextlib.suppress(Damaged):
        assert unsealed(decode, bytes(changed)) == bodies


def test_a_changed_body_is_damage() -> None:
    """Another value of the same form is found by its sum alone."""
    changed = stored([{"a": "one"}]).replace(b"one", b"two")

    with pytest.raises(Damaged, match="not what was written"):
        unsealed(decode, changed)


@given(st.text(), st.text(), st.integers())
def test_texts_are_what_was_written(text: str, other: str, number: int) -> None:
    """Whatever a text is, it is read as it was written."""
    assert unmarked(marked(text, other, number), other, number) == text


@pytest.mark.parametrize(
    ("found", "beside"),
    [
        (marked("five", "name", 1), ("name", 2)),
        (marked("five", "name", 1), ("nama", 1)),
        (marked("five", "name", 1), (b"name", 1)),
        (marked("five", "name", 1).upper(), ("name", 1)),
        (marked("five", "name", 1)[1:], ("name", 1)),
        (marked("five", "name", 1).encode(), ("name", 1)),
        ("", ("name", 1)),
        (None, ("name", 1)),
        (5, ("name", 1)),
    ],
)
def test_a_changed_text_is_damage(found: str, beside: tuple[str | int, ...]) -> None:
    """So is one beside which something else stands, and what is no text any more."""
    with pytest.raises(Damaged, match="not what was written"):
        unmarked(found, *beside)
