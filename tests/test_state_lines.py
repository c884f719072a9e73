"""Tests of cutting lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.state.lines import MAX_LINE, cut_lines

TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12),
        st.sampled_from(
            ["ä" * MAX_LINE, "x" * (MAX_LINE + 1), "\U0001f680" * (MAX_LINE // 3), "\r"]
        ),
    ),
    max_size=6,
)


def test_whole_lines_are_cut() -> None:
    """Whole lines come without their ends, blank ones not at all, the rest waits."""
    assert cut_lines(b"one\r\n\n  \ntwo\nthr") == (["one", "two"], 13)
    assert cut_lines(b"one\n", is_all=True) == (["one"], 4)
    assert cut_lines(b"one\ntwo", is_all=True) == (["one", "two"], 7)
    assert cut_lines(b"") == ([], 0)


def test_broken_text_is_kept_readable() -> None:
    """Bytes that are not UTF-8 become replacement characters."""
    assert cut_lines(b"a\xff\xfeb\n") == (["a\ufffd\ufffdb"], 5)


def test_a_long_line_comes_in_stretches() -> None:
    """A line longer than the limit is cut into stretches, never within a character."""
    line = "ü" * MAX_LINE
    lines, used = cut_lines(b"x" + line.encode() + b"\nnext\n")
    assert "".join(lines[:-1]) == "x" + line
    assert all(len(piece.encode()) <= MAX_LINE for piece in lines)
    assert lines[-1] == "next"
    assert used == 1 + 2 * MAX_LINE + 6


def test_a_line_of_exactly_the_limit_is_one() -> None:
    """The longest line that there may be is told as one."""
    line = b"x" * MAX_LINE
    assert cut_lines(line) == ([], 0)
    assert cut_lines(line + b"\n") == ([line.decode()], MAX_LINE + 1)


@given(TEXTS, st.lists(st.integers(1, 200_000), min_size=1, max_size=30))
def test_how_bytes_come_in_makes_no_difference(texts: list[str], steps: list[int]) -> None:
    """Text that grows by any steps gives the same lines as when it is read at once."""
    data = "".join(text + "\n" for text in texts).encode()
    expected, used = cut_lines(data)
    assert used == len(data)
    found: list[str] = []
    start = end = 0
    for step in [*steps, len(data)]:
        end = min(len(data), end + step)
        lines, used = cut_lines(data[start:end])
        found += lines
        start += used
    assert found == expected
    assert start == len(data)


@given(TEXTS, st.integers(1, 3), st.booleans())
def test_few_at_a_time_come_to_the_same(texts: list[str], most: int, is_all: bool) -> None:
    """Cut by a few lines at a time, all lines come, and at the end the one without its end."""
    data = "\n".join(texts).encode()
    expected, behind = cut_lines(data, is_all=is_all)
    found: list[str] = []
    start, used = 0, 1
    while used:
        lines, used = cut_lines(data[start:], is_all=is_all, most=most)
        assert len(lines) <= most
        found += lines
        start += used
    assert (found, start) == (expected, behind)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1)))
def test_no_line_is_lost(texts: list[str]) -> None:
    """Every line that shows something comes out as it went in."""
    data = "".join(text + "\n" for text in texts).encode()
    assert cut_lines(data)[0] == [text for text in texts if not text.isspace()]
