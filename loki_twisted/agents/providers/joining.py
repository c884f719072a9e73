"""
Texts that come in parts, joined: a sentence is not fifty events.

What has come is held until something else comes, or there is enough of it: then it is told up to
the end of its last paragraph, or line, or word.
"""

from __future__ import annotations

from typing import Final

import msgspec

ENOUGH: Final = 2048
"""Characters that are told without waiting for more."""

_MOST_LOOK_BACK: Final = 1024
_ENDS: Final = ("\n\n", "\n", " ")


class Held(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A text of which more may come; part of a driver's memory.

    :ivar kind: What sort of text it is; another sort is another text.
    :ivar text: What was not told yet.
    :ivar told: How many characters of it were told.
    """

    kind: str = ""
    text: str = ""
    told: int = 0


NONE_HELD: Final = Held()


def add(held: Held, part: str) -> tuple[Held, str]:
    """
    Add the next part.

    :returns: What is held now, and what is to be told: empty while it is not enough.
    """
    return _tell_enough(msgspec.structs.replace(held, text=held.text + part))


def grow(held: Held, whole: str) -> tuple[Held, str]:
    """
    Take the text as it is by now, from its beginning. Else as :func:`add`.

    What is shorter than what was told is taken for all that there is: nothing is told twice.
    """
    return _tell_enough(msgspec.structs.replace(held, text=whole[held.told :]))


def _tell_enough(held: Held) -> tuple[Held, str]:
    if len(held.text) < ENOUGH:
        return held, ""
    end = len(held.text)
    for mark in _ENDS:
        found = held.text.rfind(mark, end - _MOST_LOOK_BACK)
        if found > 0:
            end = found + len(mark)
            break
    rest = Held(held.kind, held.text[end:], held.told + end)
    return rest, held.text[:end]
