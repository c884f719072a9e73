"""How near a session is to the limits of its budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import msgspec

from loki_twisted.model.budget import Alarm, Budget, judged
from loki_twisted.sessions.state import SessionState, spending_of

UNLIMITED: Final = Budget()
"""As much as it likes."""


def with_standing(state: SessionState, budget: Budget) -> tuple[SessionState, Sequence[Alarm]]:
    """
    See how near a session is to the limits of its budget.

    :returns: The state, and what people are to be told now.
    """
    if budget is UNLIMITED:
        return state, ()
    standing, alarms = judged(budget, spending_of(state.session.usage), state.talk.standing)
    talk = msgspec.structs.replace(state.talk, standing=standing)
    return attrs.evolve(state, talk=talk), alarms
