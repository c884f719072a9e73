"""How a session ended: by what its agent said, and how its process ended."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.interface import AgentEnd
from loki_twisted.agents.outputs import Verdict
from loki_twisted.model.sessions import ReasonCode
from loki_twisted.sessions.lifecycle import Step
from loki_twisted.sessions.outcome import Outcome, outcome_of, outcome_of_talk, words_of_end
from loki_twisted.sessions.talk import SILENCE, Talk
from loki_twisted.state.interface import RunEnding

KILLED = AgentEnd(None, 9)
UNSAID = "It ended with exit code 0, but did not say that it had completed."

WORDS = st.none() | st.sampled_from(
    [
        "running",
        "exited",
        "paused",
        "stopped",
        "interrupted",
        "complete",
        "council_approved",
        "failed",
        "max_iterations",
        "intervention",
        "a_word_of_tomorrow",
    ]
)
ENDS = st.one_of(
    st.integers(0, 255).map(lambda code: AgentEnd(code, None)),
    st.integers(1, 64).map(lambda number: AgentEnd(None, number)),
    st.just(AgentEnd(None, None, "The keeper was lost.")),
)


@pytest.mark.parametrize(
    ("code", "status", "outcome", "step", "reason"),
    [
        # As recorded: a run that completes, fails, reaches its limit, is stopped while paused.
        (0, "completion_promise_fulfilled", "complete", Step.SUCCEED, None),
        (0, "council_approved", None, Step.SUCCEED, None),
        (1, "failed", "failed", Step.FAIL, "Loki Mode gave up."),
        (
            20,
            "max_iterations_reached",
            "max_iterations",
            Step.FAIL,
            "It reached its limit of iterations.",
        ),
        (0, "paused", "stopped", Step.QUIT, "It was stopped by its STOP file."),
        (0, "exited", "stopped", Step.QUIT, "It was stopped by its STOP file."),
        (143, "interrupted", None, Step.QUIT, "It was interrupted by a signal."),
        (20, "gate_stuck_x", None, Step.FAIL, "Loki Mode says: gate stuck x."),
        (20, "force_stopped", None, Step.FAIL, "Loki Mode's council stopped it."),
        (0, "running", None, Step.FAIL, UNSAID),
        (1, "exited", "intervention", Step.FAIL, "The agent ended with exit code 1."),
    ],
)
def test_what_it_wrote_decides(
    code: int, status: str, outcome: str | None, step: Step, reason: str | None
) -> None:
    """Its exit code is only asked where it did not say how it ended."""
    said = RunEnding(status=status, outcome=outcome)
    found = outcome_of(AgentEnd(code, None), said)
    assert (found.step, found.reason) == (step, reason)


@pytest.mark.parametrize("status", ["running", "exited", "paused", "budget_exceeded"])
@pytest.mark.parametrize("end", [KILLED, AgentEnd(137, None)])
def test_a_run_that_was_called_off(status: str, end: AgentEnd) -> None:
    """It was stopped, as one that is only observed is; one that had ended itself had done that."""
    said = RunEnding(status=status, outcome="intervention", is_called_off=True)
    assert outcome_of(end, said) == Outcome(Step.QUIT, "It was ended from outside.")
    assert outcome_of(AgentEnd(1, None), said).step is Step.FAIL
    assert outcome_of(end, attrs.evolve(said, status="failed")).step is Step.FAIL
    assert outcome_of(end, attrs.evolve(said, status="council_approved")).step is Step.SUCCEED


def test_a_run_that_was_killed() -> None:
    """While it worked it failed; when it had completed it had, and the reason says both."""
    assert outcome_of(KILLED, RunEnding(status="running", outcome="intervention")) == Outcome(
        Step.FAIL, "The agent was ended by signal 9.", ReasonCode.SIGNAL
    )
    paused = RunEnding(status="paused", outcome="intervention")
    assert outcome_of(KILLED, paused).step is Step.FAIL
    assert outcome_of(KILLED, RunEnding(status="exited", outcome="complete")) == Outcome(
        Step.SUCCEED, "It had completed. The agent was ended by signal 9.", ReasonCode.SIGNAL
    )


def test_the_brief_of_a_failure() -> None:
    """What the run says of its error is in the reason, without secrets and not without end."""
    said = RunEnding(status="failed", outcome="failed", brief="Iteration 2 failed.")
    assert outcome_of(AgentEnd(1, None), said).reason == "Loki Mode gave up. Iteration 2 failed."
    said = RunEnding(status="failed", brief="A_KEY=abc " + "x" * 10_000)
    reason = str(outcome_of(AgentEnd(1, None), said).reason)
    assert reason.startswith("Loki Mode gave up. A_KEY=*** xxx")
    assert len(reason) < 600


@given(ENDS)
def test_without_a_word_the_exit_code_decides(end: AgentEnd) -> None:
    """An agent that said nothing completed with exit code 0 and failed with any other."""
    succeeded = (end.code, end.signal, end.problem) == (0, None, None)
    found = outcome_of_talk(end, SILENCE, says_done=False)
    assert found.step is (Step.SUCCEED if succeeded else Step.FAIL)
    assert found.reason == (None if succeeded else words_of_end(end))


@given(ENDS)
def test_without_a_word_where_there_should_be_one(end: AgentEnd) -> None:
    """An agent that always says how it ended, and did not, has failed."""
    found = outcome_of_talk(end, SILENCE, says_done=True)
    assert found.step is Step.FAIL
    assert found.reason


@given(ENDS, st.sampled_from(Verdict), st.booleans(), st.booleans())
def test_the_last_turn_decides(
    end: AgentEnd, verdict: Verdict, is_on: bool, says_done: bool
) -> None:
    """Whatever the exit code; but a turn that began after it and did not end is a failure."""
    talk = Talk(turn=2, turn_is_on=is_on, verdict=verdict, verdict_words="because")
    expected = {
        Verdict.DONE: Step.SUCCEED,
        Verdict.FAILED: Step.FAIL,
        Verdict.INTERRUPTED: Step.QUIT,
    }[verdict]
    found = outcome_of_talk(end, talk, says_done=says_done)
    assert found.step is (Step.FAIL if is_on else expected)
    assert found.reason or (verdict is Verdict.DONE and end.exit_code == 0)


@given(ENDS, WORDS, WORDS)
def test_whatever_it_wrote(end: AgentEnd, status: str | None, outcome: str | None) -> None:
    """Every failure has a reason, and success is never made of an exit code alone."""
    found = outcome_of(end, RunEnding(status=status, outcome=outcome))
    step, reason = found.step, found.reason
    assert step in (Step.SUCCEED, Step.FAIL, Step.QUIT)
    if step is Step.SUCCEED:
        assert outcome == "complete" or status == "council_approved"
    else:
        assert reason
