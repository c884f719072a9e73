"""Cutting output into lines, and its laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.lines import CUT_MARK, LINE_LIMIT, Cursor, cut_lines

LIMIT = 8
WORDS = [b"\n", b"\n\n", b"\r\n", b"\r", b"a", b"line", b"longer than may be", "äöü€😀".encode()]
BROKEN = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\0"]
pieces = st.sampled_from(WORDS + BROKEN)
streams = st.lists(pieces, max_size=40).map(b"".join)
sizes = st.lists(st.integers(1, 30), min_size=1, max_size=40)


def plainly_cut(stream: bytes, limit: int = LIMIT) -> list[str]:
    """The same in the plainest words, with all of the stream at hand."""
    *whole, last = stream.split(b"\n")
    lines = [
        in_limit(raw, limit) or raw.decode("utf-8", "replace").removesuffix("\r") for raw in whole
    ]
    return [*lines, in_limit(last, limit) or last.decode("utf-8", "replace")] if last else lines


def in_limit(raw: bytes, limit: int) -> str | None:
    if len(raw) <= limit:
        return None
    kept = raw[:limit]
    split = next((kept[-n:] for n in (3, 2, 1) if is_begun_character(kept[-n:])), b"")
    return kept.removesuffix(split).decode("utf-8", "replace") + CUT_MARK


def is_begun_character(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start == 0 and error.reason == "unexpected end of data"
    return False


def read_in_steps(stream: bytes, steps: list[int]) -> list[tuple[list[str], Cursor]]:
    """Let the stream grow by these steps, and cut after each; at last what is left."""
    cursor, size, results = Cursor(), 0, []
    for step in steps:
        size = min(size + step, len(stream))
        lines, cursor = cut_lines(cursor, stream[cursor.offset : size], limit=LIMIT)
        results.append((lines, cursor))
    rest = stream[cursor.offset :]
    results.append(cut_lines(cursor, rest, is_last=True, limit=LIMIT))
    return results


@given(streams, sizes)
def test_the_lines_do_not_depend_on_how_the_stream_arrives(stream: bytes, steps: list[int]) -> None:
    """Whatever pieces a stream comes in, its lines are the same."""
    whole, _ = cut_lines(Cursor(), stream, is_last=True, limit=LIMIT)
    assert whole == plainly_cut(stream)
    assert [line for lines, _ in read_in_steps(stream, steps) for line in lines] == whole


@given(streams, sizes, sizes)
def test_going_on_from_any_cursor_gives_exactly_the_rest(
    stream: bytes, steps: list[int], others: list[int]
) -> None:
    """Who stored a cursor with the lines before it is given the others, and no line twice."""
    whole, _ = cut_lines(Cursor(), stream, is_last=True, limit=LIMIT)
    given_before: list[str] = []
    for lines, cursor in read_in_steps(stream, steps):
        given_before += lines
        stored = Cursor.from_text(str(cursor))
        size, rest = stored.offset, []
        for step in others:
            size = min(size + step, len(stream))
            more, stored = cut_lines(stored, stream[stored.offset : size], limit=LIMIT)
            rest += more
        rest += cut_lines(stored, stream[stored.offset :], is_last=True, limit=LIMIT)[0]
        assert given_before + rest == whole


@pytest.mark.promise("R9")
@given(st.text("ab äöü€😀\r", max_size=200))
def test_valid_text_stays_as_it_is(text: str) -> None:
    """Text that fits comes out as it went in."""
    lines, _ = cut_lines(Cursor(), f"{text}\n".encode())
    assert lines == [text.removesuffix("\r")]


@pytest.mark.promise("R9")
@pytest.mark.parametrize(
    ("size", "is_cut"), [(LINE_LIMIT - 1, False), (LINE_LIMIT, False), (LINE_LIMIT + 1, True)]
)
def test_a_line_may_have_64_kib(size: int, is_cut: bool) -> None:
    """A line of 64 KiB is whole, one of a byte more is cut and says so."""
    lines, cursor = cut_lines(Cursor(), b"x" * size + b"\nnext\n")
    assert lines == ["x" * min(size, LINE_LIMIT) + (CUT_MARK if is_cut else ""), "next"]
    assert cursor == Cursor(size + 6)


def test_of_a_line_beyond_a_larger_limit_64_kib_are_kept() -> None:
    """Whoever wants longer lines whole is not given megabytes of half a one."""
    limit = 2 * LINE_LIMIT
    lines, _ = cut_lines(Cursor(), b"x" * limit + b"\n" + b"y" * (limit + 1) + b"\n", limit=limit)
    assert lines == ["x" * limit, "y" * LINE_LIMIT + CUT_MARK]


def test_a_line_that_is_not_whole_yet_is_kept_back() -> None:
    """Without its newline a line is not given, and the cursor stays before it."""
    assert cut_lines(Cursor(), b"one\ntwo") == (["one"], Cursor(4))
    assert cut_lines(Cursor(4), b"two") == ([], Cursor(4))
    assert cut_lines(Cursor(4), b"two", is_last=True) == (["two"], Cursor(7))


def test_a_line_that_is_too_long_is_given_before_its_end_comes() -> None:
    """The beginning of an endless line is given at once, and once."""
    lines, cursor = cut_lines(Cursor(), b"y" * (LINE_LIMIT + 1))
    assert lines == ["y" * LINE_LIMIT + CUT_MARK]
    assert cursor == Cursor(LINE_LIMIT + 1, is_dropping=True)
    lines, cursor = cut_lines(cursor, b"y" * 1000)
    assert (lines, cursor) == ([], Cursor(LINE_LIMIT + 1001, is_dropping=True))
    assert cut_lines(cursor, b"y\nz\n") == (["z"], Cursor(LINE_LIMIT + 1005))


@pytest.mark.parametrize("text", ["", "-1", "1.5", "01", "+", "1++", "1 ", "\u0661", "9" * 20])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Only what a cursor writes is read as one."""
    with pytest.raises(ValueError, match="not a place"):
        Cursor.from_text(text)
