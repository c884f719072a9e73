"""What may be asked of a run of Loki Mode, and what its answers mean: pure decisions."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.sessions import Session, SessionStatus, Steering
from loki_twisted.sessions import requests
from loki_twisted.sessions.requests import (
    PAUSE_REQUESTED,
    after_look,
    obstacle_to_input,
    obstacle_to_pause,
    obstacle_to_resume,
    obstacle_to_stop,
    told_of_input,
)
from loki_twisted.sessions.state import SessionState, with_status
from loki_twisted.state.interface import InputFate, LiveRun, Orders

RUN = LiveRun(pid=4711, name="s1", status="running")
STATE = SessionState(
    Session(
        id="s1",
        status=SessionStatus.RUNNING,
        provider="claude",
        project_dir="/p",
        started_at="2026-11-26T10:00:00.000Z",
        updated_at="2026-11-26T10:00:00.000Z",
        steered_by=Steering.FILES,
    )
)
STATUSES = [None, "running", "exited", "paused", "budget_exceeded", "completion_promise_fulfilled"]


@pytest.mark.parametrize(
    "obstacle",
    [
        lambda run: obstacle_to_pause(run, Orders()),
        lambda run: obstacle_to_resume(run, Orders()),
        obstacle_to_stop,
        obstacle_to_input,
    ],
)
def test_nothing_is_asked_of_a_run_that_would_not_read_it(obstacle: object) -> None:
    """Not of one that is not there, and not of one that is still starting."""
    assert callable(obstacle)
    assert obstacle(RUN) is None
    assert "alive" in obstacle(None)
    assert "starting" in obstacle(attrs.evolve(RUN, is_up=False))


def test_what_a_run_would_ignore_is_refused() -> None:
    """A pause in perpetual mode, input without its variable, going on without a budget."""
    perpetual = attrs.evolve(RUN, ignores_pause=True)
    assert "perpetual" in str(obstacle_to_pause(perpetual, Orders()))
    assert obstacle_to_pause(perpetual, Orders(over_budget=True)) is None
    deaf = attrs.evolve(RUN, takes_input=False)
    assert "LOKI_PROMPT_INJECTION" in str(obstacle_to_input(deaf))
    assert "again" in str(obstacle_to_resume(RUN, Orders(over_budget=True)))


def test_a_pause_from_request_to_end() -> None:
    """Each step is told once, with what it means in words."""
    asked, facts = after_look(STATE, RUN, Orders(pause=True), is_ours=True)
    assert (asked.session.status, asked.session.reason, facts) == (
        SessionStatus.RUNNING,
        PAUSE_REQUESTED,
        [],
    )
    paused_run = attrs.evolve(RUN, status="paused")
    paused, facts = after_look(asked, paused_run, Orders(pause=True), is_ours=True)
    assert paused.session.status is SessionStatus.PAUSED
    assert [fact.type for fact in facts] == ["session:paused"]
    assert after_look(paused, paused_run, Orders(), is_ours=True) == (paused, [])
    resumed, facts = after_look(paused, RUN, Orders(), is_ours=True)
    assert (resumed.session.status, resumed.session.reason) == (SessionStatus.RUNNING, None)
    assert [fact.type for fact in facts] == ["session:resumed"]


def test_a_request_that_is_dropped() -> None:
    """It is told, of sessions of ours and of others."""
    for is_ours in (True, False):
        asked, _ = after_look(STATE, RUN, Orders(pause=True), is_ours=is_ours)
        dropped, facts = after_look(asked, RUN, Orders(), is_ours=is_ours)
        assert dropped.session.reason is None
        assert [fact.type for fact in facts] == ["log:warn"]


def test_the_status_of_an_observed_session_is_told_elsewhere() -> None:
    """What the run says of itself does not move it."""
    run = attrs.evolve(RUN, status="paused")
    assert after_look(STATE, run, Orders(), is_ours=False) == (STATE, [])


def test_a_session_that_is_stopping_stays() -> None:
    """So does one whose run is not found."""
    stopping = with_status(STATE, SessionStatus.STOPPING)
    run = attrs.evolve(RUN, status="paused")
    assert after_look(stopping, run, Orders(pause=True), is_ours=True) == (stopping, [])
    assert after_look(STATE, None, Orders(pause=True), is_ours=True) == (STATE, [])


@given(st.lists(st.tuples(st.sampled_from(STATUSES), st.booleans(), st.booleans(), st.booleans())))
def test_pauses_and_resumes_alternate(looks: list[tuple[str | None, bool, bool, bool]]) -> None:
    """Whatever is seen: no event contradicts the one before, and the same look twice is nothing."""
    state, kinds = STATE, ["session:resumed"]
    for status, pause, budget, is_ours in looks:
        run = attrs.evolve(RUN, status=status)
        orders = Orders(pause=pause, over_budget=budget)
        state, facts = after_look(state, run, orders, is_ours=is_ours)
        kinds += [fact.type for fact in facts if fact.type != "log:warn"]
        assert after_look(state, run, orders, is_ours=is_ours) == (state, [])
    assert all(a != b for a, b in pairwise(kinds))


def test_every_fate_of_an_input_is_told_but_waiting() -> None:
    """Taken is information, all else a warning."""
    levels = {
        fate: fact and fact.data["level"]
        for fate in InputFate
        for fact in [told_of_input(fate, "logs/x.md")]
    }
    assert levels == {
        InputFate.WAITING: None,
        InputFate.TAKEN: "info",
        InputFate.REJECTED: "warn",
        InputFate.TOO_LARGE: "warn",
        InputFate.GONE: "warn",
    }
    assert requests.told("info", "x").data["source"] == "loki"
