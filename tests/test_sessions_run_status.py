"""Tests of where a run stands: every row of the table, by files and by time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.runs import (
    RunAgents,
    RunCheckout,
    RunCost,
    RunFact,
    RunMarker,
    RunOutcome,
    RunPhase,
    RunPid,
    RunProgress,
    RunStamp,
    RunTermination,
    RunWrapper,
    Shelf,
)
from loki_twisted.model.sessions import SessionStatus, Usage
from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.tasks import TaskStatus
from loki_twisted.sessions.judging import Judgement, judge
from loki_twisted.sessions.run_files import RunFiles
from loki_twisted.sessions.run_status import DEAD_FOR, UNHEARD_FOR, WRAPPED_UP, Liveness
from loki_twisted.state.interface import AgentSeen, RunSighting
from loki_twisted.state.loki_queue import agents_of, tasks_of

EARLY, BEGAN, LATER, LAST = (f"2026-11-23T12:0{n}:00.000Z" for n in (0, 1, 2, 3))
PID = 16
S = SessionStatus


def progress(status: str, pid: int = PID, at: str = LATER, iteration: int = 1) -> RunProgress:
    return RunProgress(status=status, pid=pid, last_run=at, iteration=iteration)


def files_of(*facts: RunFact) -> RunFiles:
    """A directory in which these files are."""
    return RunFiles().with_sightings(
        RunSighting(None, f"file-{number}", fact) for number, fact in enumerate(facts)
    )


def judged(*facts: RunFact, liveness: Liveness = Liveness.UNKNOWN, quiet: float = 0.0) -> Judgement:
    """What these files of a run that began at BEGAN mean."""
    files = files_of(RunPhase("building", EARLY), RunWrapper(PID, BEGAN), *facts)
    [scope] = files.scopes()
    return judge(files, files.run(scope), "s", liveness, quiet, is_current=True)


HERE = RunPid(PID)


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([HERE], S.RUNNING),
        ([HERE, progress("running")], S.RUNNING),
        ([HERE, progress("exited")], S.RUNNING),
        ([HERE, progress("paused")], S.PAUSED),
        ([HERE, progress("budget_exceeded")], S.PAUSED),
        ([HERE, progress("council_approved")], S.RUNNING),
        ([HERE, progress("failed", pid=9)], S.RUNNING),
        ([HERE, progress("failed", at=EARLY)], S.RUNNING),
        ([HERE, progress("running"), RunMarker("STOP")], S.STOPPING),
        ([HERE, progress("paused"), RunMarker("STOP")], S.PAUSED),
        ([], S.STARTING),
        ([progress("council_approved")], S.COMPLETED),
        ([progress("council_force_approved")], S.COMPLETED),
        ([progress("deterministic_gates_passed")], S.COMPLETED),
        ([progress("completion_promise_fulfilled")], S.COMPLETED),
        ([progress("reuse_already_satisfied")], S.COMPLETED),
        ([progress("stopped")], S.STOPPED),
        ([progress("interrupted")], S.STOPPED),
        ([progress("failed")], S.FAILED),
        ([progress("max_iterations_reached")], S.FAILED),
        ([progress("gate_stuck_mutation_integrity")], S.FAILED),
        ([progress("a word of tomorrow")], S.FAILED),
        ([progress("running")], S.STOPPED),
        ([progress("running"), RunCheckout(17)], S.FAILED),
        ([progress("exited"), RunOutcome("stopped", None, LAST)], S.STOPPED),
        ([progress("paused"), RunOutcome("stopped", None, LAST)], S.STOPPED),
        ([progress("running"), RunOutcome("complete", None, LAST)], S.COMPLETED),
        ([progress("running"), RunOutcome("complete", None, EARLY)], S.STOPPED),
        ([progress("running"), RunOutcome("failed", "It broke.", LAST)], S.FAILED),
    ],
)
def test_where_a_run_stands(facts: list[RunFact], status: SessionStatus) -> None:
    """Each combination of process file, status and outcome means one status of the session."""
    assert judged(*facts).status is status


@pytest.mark.parametrize(
    ("word", "liveness", "patience", "status"),
    [
        ("running", Liveness.DEAD, DEAD_FOR, S.FAILED),
        ("running", Liveness.UNKNOWN, UNHEARD_FOR, S.FAILED),
        ("paused", Liveness.DEAD, DEAD_FOR, S.FAILED),
        ("council_approved", Liveness.UNKNOWN, WRAPPED_UP, S.COMPLETED),
        ("council_approved", Liveness.DEAD, 0.0, S.COMPLETED),
    ],
)
def test_a_run_whose_file_stays_is_given_up_after_a_while(
    word: str, liveness: Liveness, patience: float, status: SessionStatus
) -> None:
    """While files change a run is believed; when they do not, it is dead after its time."""
    if patience:
        said = judged(HERE, progress(word), liveness=liveness, quiet=patience - 1)
        assert not said.status.is_final
        assert said.recheck == pytest.approx(1.0)
    assert judged(HERE, progress(word), liveness=liveness, quiet=patience).status is status


def test_a_run_whose_process_is_there_may_be_silent() -> None:
    """A process that is the run's own is waited for as long as it takes."""
    said = judged(HERE, progress("running"), liveness=Liveness.ALIVE, quiet=10_000.0)
    assert said.status is S.RUNNING


def test_a_run_that_never_came_to_work() -> None:
    """A directory that was prepared for a run that then did not come failed after a while."""
    assert judged(quiet=WRAPPED_UP).status is S.FAILED


def test_why_it_ended() -> None:
    """An end says why, and with which exit code if the run wrote that."""
    broken = judged(progress("failed"), RunOutcome("failed", "It broke.", LAST)).standing
    assert broken.reason == "Failed: It broke."
    stopped = judged(progress("interrupted"), RunTermination("supervisor_signal", 143, LAST))
    assert (stopped.standing.reason, stopped.standing.exit_code) == ("supervisor_signal", 143)
    older = judged(progress("interrupted"), RunTermination("supervisor_signal", 143, EARLY))
    assert (older.standing.reason, older.standing.exit_code) == ("Interrupted.", None)


def queue(**shelves: list[dict[str, Any]]) -> list[RunFact]:
    """Files of the queue."""
    return [tasks_of(Shelf(name.replace("_", "-")), items)[0] for name, items in shelves.items()]


def statuses(said: Judgement) -> dict[str, str]:
    return {task.id: str(task.status) for task in said.tasks}


def test_a_task_in_several_files_is_one() -> None:
    """Moved, replaced and left-behind entries come to one status for each task."""
    facts = queue(
        pending=[{"id": "wait"}, {"id": "work"}, {"id": "done"}],
        in_progress=[{"id": "work"}, {"id": "iteration-1", "startedAt": LAST}, {"id": "bad"}],
        current_task=[{"id": "only-current"}],
        completed=[{"id": "done"}, {"id": "iteration-1", "completedAt": LATER}],
        dead_letter=[{"id": "bad"}],
    )
    at_work = judged(HERE, progress("running"), *facts)
    assert statuses(at_work) == {
        "wait": "pending",
        "work": "running",
        "done": "completed",
        "iteration-1": "running",
        "bad": "failed",
        "only-current": "running",
    }
    over = judged(progress("failed"), *facts)
    assert statuses(over) == statuses(at_work) | dict.fromkeys(
        ("work", "iteration-1", "only-current"), "skipped"
    )


def test_a_finished_iteration_is_finished_while_its_entry_is_still_there() -> None:
    """An iteration that is among the finished already is not at work."""
    facts = queue(
        in_progress=[{"id": "iteration-1", "startedAt": BEGAN}],
        completed=[{"id": "iteration-1", "completedAt": BEGAN}],
    )
    assert statuses(judged(HERE, progress("running"), *facts)) == {"iteration-1": "completed"}


def test_what_the_run_before_has_left_is_not_at_work() -> None:
    """A run that comes up works on what began since, not on what it finds."""
    facts = queue(
        in_progress=[{"id": "old", "startedAt": EARLY}, {"id": "new", "startedAt": LATER}]
    )
    assert statuses(judged(HERE, *facts)) == {"old": "skipped", "new": "running"}


def test_a_pause_lasts_until_an_iteration_begins() -> None:
    """A run that has taken up its next iteration is not paused, whatever it still says."""
    facts = queue(current_task=[{"id": "iteration-2", "startedAt": LAST}])
    assert judged(HERE, progress("paused"), *facts).status is S.RUNNING


def test_agents_in_spite_of_their_second_writer() -> None:
    """An empty list says nothing while files change; between iterations nobody is at work."""
    agents = agents_of([{"tool_id": "a"}, {"tool_id": "b", "status": "completed"}])[0]
    running = progress("running")
    assert judged(HERE, running, agents).agents == [AgentSeen("a", "agent")]
    assert judged(HERE, running, RunAgents(())).agents is None
    assert judged(HERE, running, RunAgents(()), quiet=10.0).agents == ()
    assert judged(HERE, running).agents is None
    for word in ("exited", "paused", "council_approved"):
        assert judged(HERE, progress(word), agents).agents == ()
    assert judged(running, agents).agents == ()


def test_usage_is_of_this_run() -> None:
    """Costs are added up, exact ones first, and those of iterations to come are older."""
    facts = [
        RunCost(iteration=1, is_exact=False, tokens=900, cost=9.0),
        RunCost(iteration=1, is_exact=True, tokens=5, cost=0.1),
        RunCost(iteration=2, is_exact=False, tokens=None, cost=0.2),
        RunCost(iteration=3, is_exact=True, tokens=7, cost=0.7),
    ]
    said = judged(HERE, progress("running", iteration=2), *facts)
    assert said.usage == Usage(tokens_used=5, cost=0.3, cost_origin=CostOrigin.REPORTED)
    assert judged(HERE, *facts).usage == Usage()


@pytest.mark.parametrize("word", ["completed", "failed"])
def test_the_last_phase_of_the_run_before_is_not_one_of_this(word: str) -> None:
    """A run that comes up finds the end of the one before, and does not tell it as its own."""
    end = RunPhase(word, EARLY)
    files = files_of(end, RunWrapper(PID, BEGAN), HERE, progress("running"))
    running = judge(files, files.run(None), "s", Liveness.UNKNOWN, 0.0, is_current=True)
    assert running.phase is None
    files = files_of(end, RunWrapper(PID, BEGAN), HERE, progress("council_approved"))
    over = judge(files, files.run(None), "s", Liveness.UNKNOWN, 0.0, is_current=True)
    assert over.phase == word


def test_shared_files_are_of_the_run_that_is_at_work() -> None:
    """Of several runs in one directory, tasks and phase are told of the one at work alone."""
    files = files_of(
        RunPhase("building", EARLY),
        progress("council_approved", pid=9),
        *queue(pending=[{"id": "a"}]),
    ).with_sightings(
        [
            RunSighting("x", "sessions/x/loki.pid", HERE),
            RunSighting("x", "sessions/x/autonomy-state.json", progress("running")),
        ]
    )
    assert files.scopes() == [None, "x"]
    mine = judge(files, files.run("x"), "x", Liveness.UNKNOWN, 0.0, is_current=True)
    other = judge(files, files.run(None), "s", Liveness.UNKNOWN, 0.0, is_current=False)
    assert (mine.status, statuses(mine)) == (S.RUNNING, {"a": "pending"})
    assert (other.status, other.tasks, other.phase) == (S.COMPLETED, (), None)


def test_a_file_that_goes_is_forgotten() -> None:
    """What a file said counts no more when it is gone, and no other file's does."""
    files = files_of(HERE, progress("running"))
    gone = files.with_sightings([RunSighting(None, "file-0", None)])
    assert gone.one(RunPid) is None
    assert gone.one(RunProgress) is not None
    assert files.one(RunPid) is not None


_PLACES = st.sampled_from([None, "x", "y"])
_FACTS = st.one_of(
    st.builds(RunPid, st.integers(1, 3)),
    st.builds(RunStamp, st.integers(1, 3), st.none(), st.none()),
    st.builds(RunWrapper, st.integers(1, 3), st.sampled_from([EARLY, BEGAN])),
    st.builds(RunPhase, st.sampled_from(["building", "testing"]), st.sampled_from([EARLY, None])),
    st.builds(progress, st.sampled_from(["running", "failed"]), st.integers(1, 3)),
    st.none(),
)
_SIGHTINGS = st.lists(
    st.builds(RunSighting, _PLACES, st.sampled_from(["a", "b", "c", "d"]), _FACTS), max_size=3
)


@given(st.lists(_SIGHTINGS, max_size=8))
def test_what_is_handed_on_is_as_if_it_were_read_anew(steps: list[list[RunSighting]]) -> None:
    """Runs, their order and single values follow from the files alone, however they came to be."""
    files = RunFiles()
    for step in steps:
        files = files.with_sightings(step)
        anew = RunFiles(files.facts)
        assert list(files.scopes()) == list(anew.scopes())
        for scope in (None, "x", "y"):
            assert files.run(scope) == anew.run(scope)
            assert files.one(RunPid, scope) == anew.one(RunPid, scope)


def test_tasks_are_of_their_session() -> None:
    """A task's row names the session that it is told of."""
    [task] = judged(HERE, *queue(pending=[{"id": "a", "title": "A"}])).tasks
    assert (task.session_id, task.status) == ("s", TaskStatus.PENDING)
