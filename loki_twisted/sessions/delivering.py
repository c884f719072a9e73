"""Which message goes to an agent next."""

from __future__ import annotations

from collections.abc import Sequence

from loki_twisted.agents.driving import IDriver
from loki_twisted.model.messages import Delivery, Message
from loki_twisted.sessions.talk import Talk


def next_message(messages: Sequence[Message], talk: Talk, driver: IDriver) -> Message | None:
    """
    Give the first message that the agent takes now: those that are wanted now first.

    :param messages: Those that are not settled, in order. What the driver has is passed over.
    :returns: None if the agent takes none now, or its input ends.
    """
    waiting = [each for each in messages if each.id not in talk.given]
    if not waiting or talk.input_ends:
        return None
    urgent = next((each for each in waiting if each.delivery is Delivery.NOW), None)
    if driver.is_ready:
        return urgent or waiting[0]
    return urgent if driver.takes_now else None
