"""Tests of the cleaning of agents' text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_twisted.agents.providers.cleaning import MAX_TEXT, clean, clean_and_cut, cut

CONTROLS = ["\x1b", "\x1b[", "\x1b]", "\x1bP", "\x1b\\", "\x9b", "\x9d", "\x9c", "\x07", "\r", "\n"]
PLAIN = ["[", "]", "31", ";", "m", "?", " ", "0;title", "\x7f", "\ud800", "\udfff"]
PIECES = st.one_of(st.text(max_size=8), st.sampled_from([*CONTROLS, *PLAIN]))
HOSTILE = st.lists(PIECES, max_size=24).map("".join)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[0;32m[INFO]\x1b[0m done", "[INFO] done"),
        ("\x1b[1m\x1b[0;34m", ""),
        ("\x1b[38;2;1;2;3mred\x1b[m", "red"),
        ("\x1b[38:5:196mred\x1b[0m", "red"),
        ("\x1b[?25lhidden cursor\x1b[?25h", "hidden cursor"),
        ("\x1b[2K\x1b[1Gline", "line"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\text", "text"),
        ("\x1b_image\x1b\\text", "text"),
        ("\x1b(Btext\x1b)0", "text"),
        ("\x1b7saved\x1b8", "saved"),
        ("\x9b31mred\x9b0m", "red"),
        ("\x9d0;title\x9ctext", "text"),
        ("half a sequence \x1b[31", "half a sequence "),
        ("alone \x1b", "alone "),
        ("\x1b\x1b[31mtwice", "twice"),
        ("a\x00b\x08c\x7fd\x85e", "abcde"),
        ("tab\tstays", "tab\tstays"),
        ("10%\r20%\r\nend", "10%\n20%\nend"),
        ("\ud800", "\ufffd"),
        ("", ""),
    ],
)
def test_escape_sequences_go_and_text_stays(text: str, shown: str) -> None:
    """What a terminal would show is what is left."""
    assert clean(text) == shown


def test_a_string_without_its_end_hides_nothing() -> None:
    """A title that never ends loses its introducer and keeps its text."""
    assert clean("\x1b]0;all of the rest") == "0;all of the rest"


@given(HOSTILE)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    """What is removed leaves nothing behind that would have to be removed."""
    assert clean(clean(text)) == clean(text)


@given(HOSTILE)
def test_no_control_character_is_left(text: str) -> None:
    """Only tab and line feed stay of all control characters, and no surrogate."""
    left = {unicodedata.category(each) for each in clean(text) if each not in "\t\n"}
    assert not left & {"Cc", "Cs"}


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
@settings(deadline=None, max_examples=100)
def test_text_without_control_characters_is_as_it_was(text: str) -> None:
    """Letters, marks, emoji and blanks of any script pass unchanged."""
    assert clean(text) == text


@pytest.mark.parametrize("piece", ["\x1b]", "\x1b[", "\x1b[0;", "\x1bP1", "\x9d", "\x1b(", "\x1b "])
def test_a_line_of_broken_sequences_is_cleaned_in_linear_time(piece: str) -> None:
    """
    A megabyte of introducers without ends takes no longer than a megabyte should.

    Were it quadratic, this would take minutes and run into the suite's time limit.
    """
    assert "\x1b" not in clean(piece * (1_000_000 // len(piece)))


@given(st.text(max_size=200), st.integers(64, 300))
def test_a_cut_text_is_within_its_limit(text: str, limit: int) -> None:
    """A text within the limit is unchanged, another is cut to the limit and cut only once."""
    short = cut(text, limit)
    assert len(short.encode()) <= limit
    assert short == text or len(text.encode()) > limit
    assert cut(short, limit) == short


@given(HOSTILE, st.integers(64, 300), st.sampled_from([1, 100]))
def test_a_text_that_is_cleaned_and_cut(text: str, limit: int, times: int) -> None:
    """It is what cleaning and cutting make of it, or, if it is many times too long, as good."""
    whole = text * times
    short = clean_and_cut(whole, limit)
    assert len(short.encode()) <= limit
    most = limit + limit // 2
    if len(whole) <= most:
        assert short == cut(clean(whole), limit)
    else:
        kept, _, mark = short.rpartition("…")
        assert clean(whole[:most]).startswith(kept)
        unit = "bytes" if whole.isascii() else "characters"
        assert mark == f" [cut, {len(whole)} {unit} in all]"


def test_a_cut_text_says_what_it_was() -> None:
    """Its end tells that it was cut, and how long it had been."""
    short = cut("ü" * 100_000)
    assert short.startswith("üüü")
    assert short.endswith("… [cut, 200000 bytes in all]")
    assert MAX_TEXT - 4 < len(short.encode()) <= MAX_TEXT
