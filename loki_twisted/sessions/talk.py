"""
What passes between people and the agent of a session, as far as it has to be remembered.

All of it is on disk with the events that it goes with, as the cursor ``<session id>/talk``. So
the next server goes on where this one was: with the driver's memory, with what is still to be
written to the agent, with the names by which its questions are answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from loki_twisted.agents.outputs import Trouble, Verdict
from loki_twisted.model.budget import Standing
from loki_twisted.model.spending import NOTHING, CostOrigin, Spending

TALK_CURSOR: Final = "talk"


class Outbox(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """
    What is to be written to an agent's input.

    It names the place, so what a crash left half done can be done again: what stands
    there already is not written twice.

    :ivar offset: Bytes of input before it.
    """

    offset: int = 0
    text: str = ""

    @property
    def data(self) -> bytes:
        """The text as it is written."""
        return self.text.encode("utf-8", "replace")

    def with_text(self, text: str) -> Outbox:
        """Put something behind it."""
        return Outbox(self.offset, self.text + text)

    def behind(self, written: int) -> Outbox:
        """
        Leave out what is written.

        :param written: How many bytes of input there are in all; the end of one text of those that
            were put in, or anything before it.
        """
        if written <= self.offset:
            return self
        rest = self.data[written - self.offset :]
        return Outbox(written, rest.decode("utf-8", "replace"))


class Talk(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """
    What is remembered. Like a session, it refers to no other.

    :ivar memory: Of the driver.
    :ivar has_begun: Whether the agent was told what it is to do.
    :ivar input_ends: Whether its input is to end behind the outbox.
    :ivar turn: How many turns have begun.
    :ivar turn_is_on: Whether the last of them has not ended.
    :ivar verdict: How the last turn that ended did so; None before the first.
    :ivar verdict_words: Why, in words.
    :ivar counters: The last total of each counter of spending.
    :ivar spending: All that was booked.
    :ivar origin: Where its cost comes from: the worst of what was booked.
    :ivar trouble: Why it does not get on, if it does not.
    :ivar trouble_until: When it will, milliseconds since the Unix epoch.
    :ivar keys: The driver's name for each input that is open, by the input's id.
    :ivar given: Ids of messages that the driver has and did not settle yet.
    :ivar errors: The last lines of its standard error.
    :ivar is_stalled: Whether that was told, and nothing has come since.
    :ivar standing: What was told of its budget.
    """

    memory: str = ""
    outbox: Outbox = Outbox()
    has_begun: bool = False
    input_ends: bool = False
    turn: int = 0
    turn_is_on: bool = False
    verdict: Verdict | None = None
    verdict_words: str | None = None
    counters: Mapping[str, Spending] = {}
    spending: Spending = NOTHING
    origin: CostOrigin | None = None
    trouble: Trouble | None = None
    trouble_words: str | None = None
    trouble_until: int | None = None
    keys: Mapping[str, str] = {}
    given: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    is_stalled: bool = False
    standing: Standing = Standing()

    def as_text(self) -> str:
        """Write it down."""
        return msgspec.json.encode(self).decode()

    @property
    def at_rest(self) -> Talk:
        """What of it is kept when the agent has ended: what one needs to continue."""
        return Talk(counters=self.counters, turn=self.turn, spending=self.spending)


def talk_from_text(text: str) -> Talk:
    """
    Read what :meth:`Talk.as_text` wrote.

    :raises msgspec.ValidationError: if it is something else.
    """
    return msgspec.json.decode(text, type=Talk)


SILENCE: Final = Talk()
"""Nothing was said yet."""

_WORST_LAST: Final = (CostOrigin.REPORTED, CostOrigin.ESTIMATED, CostOrigin.UNKNOWN)


def worse_origin(one: CostOrigin | None, other: CostOrigin) -> CostOrigin:
    """Say where a sum comes from of which a part comes from each."""
    return other if one is None else max(one, other, key=_WORST_LAST.index)
