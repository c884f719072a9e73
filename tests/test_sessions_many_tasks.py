"""Tests of :mod:`loki_twisted.sessions.state`: an agent that makes tasks without end."""

from __future__ import annotations

from loki_twisted.model.events import Fact
from loki_twisted.sessions.state import MOST_TASKS, SessionState, after_facts
from tests.log_support import session


def created(number: int) -> Fact:
    return Fact("task:created", {"taskId": f"t{number}", "title": "a task"})


def test_tasks_have_an_end() -> None:
    """Of more than so many nothing is kept; those that are known go on as before."""
    state = SessionState(session())
    for first in range(0, MOST_TASKS + 2, 97):
        state = after_facts(state, [created(each) for each in range(first, first + 97)], "b")
    assert len(state.tasks) == state.session.task_count == MOST_TASKS
    assert f"t{MOST_TASKS}" not in state.tasks

    done = Fact("task:completed", {"taskId": "t7", "status": "completed"})
    assert after_facts(state, [done], "c").session.completed_tasks == 1
