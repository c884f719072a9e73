"""What an agent says that it has spent: booked as an entry of the ledger, and told as an event."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import msgspec

from loki_twisted.agents.outputs import Spent
from loki_twisted.model.events import Fact
from loki_twisted.model.ledger import LedgerEntry
from loki_twisted.model.prices import estimated
from loki_twisted.model.spending import NOTHING, CostOrigin, booked, bounded, plus
from loki_twisted.sessions.rows import entry_of
from loki_twisted.sessions.state import SessionState
from loki_twisted.sessions.talk import Talk, worse_origin
from loki_twisted.sessions.words import of_spending


@attrs.frozen(slots=True)
class Booking:
    """
    What spending changes.

    :ivar talk: What is remembered after it: the counters and the sum.
    :ivar entries: For the ledger; none if nothing was spent beyond what a counter said before.
    :ivar facts: The event for it, with the sum so far.
    """

    talk: Talk
    entries: Sequence[LedgerEntry] = ()
    facts: Sequence[Fact] = ()


def booking_of(spent: Spent, state: SessionState, now_ms: int) -> Booking:
    """
    Book what was spent.

    A cost that the agent does not know is estimated, where the price of the model is known.

    :param state: With the turn that it was spent in.
    :param now_ms: The time, since the Unix epoch.
    """
    talk, amount, origin = state.talk, bounded(spent.amount), spent.origin
    if spent.counter is not None:
        before = talk.counters.get(spent.counter, NOTHING)
        talk = msgspec.structs.replace(talk, counters={**talk.counters, spent.counter: amount})
        amount = booked(before, amount)
    if amount == NOTHING:
        return Booking(talk)
    model = spent.model or state.session.model or ""
    if origin is CostOrigin.UNKNOWN:
        cost, origin = estimated(amount, model)
        amount = msgspec.structs.replace(amount, cost=cost)
    total, worst = bounded(plus(talk.spending, amount)), worse_origin(talk.origin, origin)
    talk = msgspec.structs.replace(talk, spending=total, origin=worst)
    entry = entry_of(attrs.evolve(state, talk=talk), now_ms, amount, origin, model)
    return Booking(talk, [entry], [of_spending(total, str(worst))])
