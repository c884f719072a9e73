"""Cutting lines out of the bytes of a log."""

from __future__ import annotations

from typing import Final

MAX_LINE: Final = 64 * 1024
"""Bytes of the longest line; of a longer one each stretch of this length is a line."""

_CONTINUES: Final = 0b1100_0000
_CONTINUATION: Final = 0b1000_0000


def cut_lines(
    data: bytes, *, is_all: bool = False, most: int | None = None
) -> tuple[list[str], int]:
    """
    Cut what can be cut.

    How the bytes come in makes no difference: feeding them in pieces, each beginning where
    the last cut ended, gives the same lines.

    :param data: Bytes that begin where a line begins (or a stretch of a long one).
    :param is_all: Whether nothing will follow, so that a last line may lack its end.
    :param most: Cut no more lines than this, blank ones counted; None for all.
    :returns: The lines without their ends, broken UTF-8 as U+FFFD, blank ones left out;
        and how many bytes they took.
    """
    lines: list[bytes] = []
    start = 0
    while len(lines) != most:
        end = data.find(b"\n", start, start + MAX_LINE + 1)
        if end >= 0:
            lines.append(data[start:end])
            start = end + 1
        elif len(data) - start > MAX_LINE:
            end = _end_of_character(data, start + MAX_LINE)
            lines.append(data[start:end])
            start = end
        else:
            break
    if is_all and start < len(data) and len(lines) != most:
        lines.append(data[start:])
        start = len(data)
    texts = [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
    return [text for text in texts if text and not text.isspace()], start


def _end_of_character(data: bytes, end: int) -> int:
    """Step back from a place inside a character of UTF-8 to its beginning."""
    for back in range(4):
        if data[end - back] & _CONTINUES != _CONTINUATION:
            return end - back
    return end  # not UTF-8 at all
