"""
Text of agents, made safe to keep and to show.

What an agent prints may steer a terminal, and is as long as it likes. What
becomes an event holds no escape sequences and no control characters but tab and
line feed, and is bounded.

One pass takes every ESC and every control character away, alone or with the
sequence that it begins. So nothing that is left can join into a new sequence, and
cleaning twice is cleaning once.
"""

from __future__ import annotations

import re
from typing import Final

MAX_TEXT: Final = 64 * 1024
"""Limit of one text of an event, in bytes of UTF-8."""

MAX_NAME: Final = 256
"""Limit of an identifier or of the name of a field, in bytes of UTF-8."""

_MOST_BYTES: Final = 4
"""Bytes of the longest character in UTF-8."""

_SPARE: Final = 1.5
"""So many times the limit is cleaned at most: sequences are rarely a third of what is printed."""

# The forms are those of ECMA-48, with ESC in front or as single (C1) characters. A string that
# nothing ends loses its introducer only: else half a line could make the rest disappear. Nor does
# one reach over the introducer of another, which would make many of them quadratic.
_UNWANTED: Final = re.compile(
    r"""
    (?= [\x00-\x08\x0b-\x1f\x7f-\x9f] )                          # Most characters are none of them.
    (?:                                                            # All that stand side by side:
      [\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x8f\x91-\x97\x99\x9a\x9c]++  # control characters
    | (?: \x1b\[ | \x9b ) [0-?]*+ [\ -/]*+ [@-~]?+                # CSI: colours, cursor
    | (?: \x1b[\]PX^_] | [\x90\x98\x9d-\x9f] )                    # OSC, DCS, SOS, PM, APC:
      (?: [^\x07\x1b\x90\x98\x9c-\x9f]*+ (?: \x07 | \x1b\\ | \x9c ) )?+  # titles, links, images
    | \x1b [\ -/]*+ [0-~]?+                                       # the others, and ESC alone
    )++
    """,
    re.VERBOSE,
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """
    Remove escape sequences and control characters.

    Carriage returns become line feeds (one for CR LF), tabs stay, lone surrogates, which
    no encoding can hold, become U+FFFD. Never longer than what came.
    """
    # Almost always, and many times cheaper than to search.
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return _SURROGATE.sub("\ufffd", _UNWANTED.sub("", text))


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """
    Shorten a text that is too long, and say so at its end.

    :param limit: Bytes of UTF-8 that the result may have, at least 64.
    """
    if len(text) * _MOST_BYTES <= limit:
        return text
    data = text.encode()
    return text if len(data) <= limit else _marked(data, len(data), limit)


def clean_and_cut(text: str, limit: int = MAX_TEXT) -> str:
    """
    Clean a text and shorten it, in no more time than a text of about that length takes.

    Of one that is far too long only the beginning is cleaned. Its length is then that
    of what came; in characters, where only to encode all of it would tell how many bytes it has.

    :param limit: As of :func:`cut`.
    """
    most = int(_SPARE * limit)
    if len(text) <= most:
        return cut(clean(text), limit)
    unit = "bytes" if text.isascii() else "characters"
    return _marked(clean(text[:most]).encode(), len(text), limit, unit)


def _marked(data: bytes, size: int, limit: int, unit: str = "bytes") -> str:
    mark = f"… [cut, {size} {unit} in all]"
    return data[: limit - len(mark.encode())].decode(errors="ignore") + mark
