"""The place of a task in the order of all tasks, and how clients hold on to it."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Final

import attrs
import msgspec
from msgspec import Meta

PLACE_TEXT: Final = "[A-Za-z0-9_-]{1,160}"
"""A regular expression for the whole text of a place."""

_text: Final = re.compile(PLACE_TEXT, re.ASCII)
_pair_from_json: Final = msgspec.json.Decoder(
    tuple[
        Annotated[str, Meta(pattern=r"\A[ -~]{0,64}\Z")],
        Annotated[int, Meta(ge=1, le=2**63 - 1)],
    ]
).decode


@attrs.frozen(slots=True)
class TaskPlace:
    """
    Where a task stands among all tasks, newest first.

    It means the same in a list of some of them, and whether the task is still there or not.

    :ivar created_at: When the task was created; empty if it has no time. Those come last.
    :ivar number: Tasks of the same time are in the order in which they came.
    """

    created_at: str
    number: int

    @property
    def text(self) -> str:
        """The place as clients are given it: letters for a URL that mean nothing to them."""
        pair = msgspec.json.encode((self.created_at, self.number))
        return urlsafe_b64encode(pair).rstrip(b"=").decode("ascii")

    @classmethod
    def of_text(cls, text: str) -> TaskPlace:
        """
        Read what :attr:`text` wrote.

        :raises ValueError: if it is anything else.
        """
        problem = "must be a nextCursor that this route gave"
        if _text.fullmatch(text) is None:
            raise ValueError(problem)
        try:
            place = cls(*_pair_from_json(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
        except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError):
            raise ValueError(problem) from None
        if place.text != text:  # other letters may mean the same
            raise ValueError(problem)
        return place
