"""A change of a session: the next state, with the events and the rows that go with it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from loki_twisted.model.events import Fact
from loki_twisted.sessions.rows import NO_ROWS, Rows
from loki_twisted.sessions.state import SessionState


@attrs.frozen(slots=True)
class Change:
    """
    A change of a session, to be committed as a whole.

    :ivar facts: The events, in order.
    :ivar over: Which limit of its budget it has reached by that, in words.
    """

    state: SessionState
    facts: Sequence[Fact]
    rows: Rows = NO_ROWS
    over: str | None = None
