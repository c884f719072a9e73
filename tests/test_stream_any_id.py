"""Whatever a client comes back with, the stream answers it, at a cost that has a bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from loki_twisted.stream.hub import Hub
from loki_twisted.stream.position import Behind
from loki_twisted.stream.sse import harmless
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import batch, calm, listen, named, numbers_of

EVENTS = 3

numbers = st.one_of(st.integers(0, EVENTS + 1), st.integers(), st.integers(10**17, 10**60))
ids = st.one_of(
    st.text(min_size=1, max_size=300),
    st.binary(min_size=1, max_size=300).map(lambda data: data.decode("latin-1")),
    st.builds("evt_{}_{}".format, numbers, st.one_of(st.just(START_MS), numbers)),
    st.sampled_from(["9" * 16_000, "evt_" + "9" * 16_000 + "_1", "evt_1_" + "1" * 16_000]),
)


@pytest.mark.threat("T28")
@calm
@given(ids)
def test_any_id(asked: str) -> None:
    """It goes on behind an event of the log, or says that it does not, after few look-ups."""
    log = FakeLog()
    log.commit(batch(EVENTS))
    # One that has nothing in memory, as after a start.
    hub = Hub(Clock(), log)
    received = listen(hub, start=Behind(asked)).received
    known = {f"evt_{number}_{START_MS}": number for number in range(1, EVENTS + 1)}
    known |= {"earliest": 0, "evt_0_0": 0}
    after = known.get(asked, 0)
    assert numbers_of(received) == list(range(after + 1, EVENTS + 1))
    resets = named(received, "stream:reset")
    assert len(resets) == (asked not in known)
    for reset in resets:
        assert isinstance(reset, dict)
        assert reset["asked"] == harmless(asked)
        assert len(received) < 2000
    assert log.reads["time_of"] <= 3
    assert log.reads["read"] <= 1
    assert log.reads["behind_last"] == 0
