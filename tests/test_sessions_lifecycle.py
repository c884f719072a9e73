"""The table of legal steps, and the events that a change of status means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.errors import Conflict
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.sessions.lifecycle import TABLE, Step, facts_between, next_status, observed_status

ENDINGS = {"session:stopped", "session:failed", "session:completed"}


def types(before: SessionStatus | None, after: SessionStatus) -> list[str]:
    return [fact.type for fact in facts_between(before, after)]


@pytest.mark.promise("R29")
def test_every_status_has_its_row() -> None:
    """The table knows every status, and nothing follows a final one."""
    assert set(TABLE) == set(SessionStatus)
    assert {status for status, steps in TABLE.items() if not steps} == {
        status for status in SessionStatus if status.is_final
    }


@pytest.mark.promise("R29")
def test_an_illegal_step_is_a_conflict_that_says_so() -> None:
    """What cannot be done is refused with the status that forbids it."""
    with pytest.raises(Conflict, match="A session that is completed cannot be paused") as caught:
        next_status(SessionStatus.COMPLETED, Step.PAUSE)
    assert caught.value.details == {"status": "completed"}


@pytest.mark.promise("R29")
@given(st.lists(st.sampled_from(Step)))
def test_any_walk_has_one_ending_at_most(steps: list[Step]) -> None:
    """Whatever is tried, a session ends at most once, and nothing is told after its end."""
    status = SessionStatus.STARTING
    told: list[str] = []
    for step in steps:
        try:
            following = next_status(status, step)
        except Conflict:
            continue
        told += types(status, following)
        status = following
    endings = [name for name in told if name in ENDINGS]
    assert len(endings) == int(status.is_final)
    assert not endings or told[-1] == endings[0]


@given(st.lists(st.sampled_from(SessionStatus)))
def test_observed_jumps_never_contradict(statuses: list[SessionStatus]) -> None:
    """Wherever files say that a session is, its events alone tell the same story."""
    before = SessionStatus.STARTING
    at_work = paused = False
    for said in statuses:
        after = observed_status(before, said)
        for name in types(before, after):
            word = name.partition(":")[2]
            if word == "started":
                assert not at_work
                at_work, paused = True, False
            elif word == "resumed":
                assert paused
                paused = False
            elif word == "paused":
                assert at_work
                paused = True
            else:
                at_work = paused = False
        before = after
        assert not (after is SessionStatus.RUNNING and not at_work)


def test_the_last_event_carries_the_reason_and_the_exit_code() -> None:
    """An ending tells why, and with which code."""
    facts = facts_between(SessionStatus.RUNNING, SessionStatus.FAILED, "It broke.", 3)
    assert [dict(fact.data) for fact in facts] == [
        {"status": "failed", "message": "It broke.", "exitCode": 3}
    ]
