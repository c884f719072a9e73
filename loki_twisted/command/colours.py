"""Colours, where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TextIO

import attrs

_CODES: Final = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold": "1",
    "dim": "2",
}


@attrs.frozen(slots=True)
class Palette:
    """
    Paints text, or leaves it as it is.

    :ivar is_coloured: Whether there are colours.
    """

    is_coloured: bool = False

    def paint(self, colour: str, text: str) -> str:
        """
        Paint a text.

        :param colour: ``red``, ``green``, ``yellow``, ``blue``, ``magenta``, ``cyan``,
            ``bold`` or ``dim``.
        """
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.is_coloured and text else text


def palette_for(stream: TextIO, environ: Mapping[str, str]) -> Palette:
    """
    Choose for a stream: colours on a terminal that can, unless ``NO_COLOR`` is set.

    See https://no-color.org.
    """
    return Palette(not environ.get("NO_COLOR") and can_be_steered(stream, environ))


def can_be_steered(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal on which what was written can be written over."""
    return environ.get("TERM", "dumb") != "dumb" and stream.isatty()
