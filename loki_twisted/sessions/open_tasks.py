"""
The open tasks of all sessions, from memory: what runs or waits, where a session has not ended.

They are asked for all at once, thousands of them, and the book has them all. What is sorted
is kept for each session until its tasks change; putting the sessions together is what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from loki_twisted.model.task_ranks import priority_rank
from loki_twisted.model.tasks import OpenTasks, Task, TaskPage
from loki_twisted.sessions.state import SessionState

Ordered = tuple[float, str, str, int, Task]
"""A task behind what it is sorted by, falling; no two are equal up to there."""

_KINDS: Final = {status: kind for kind in OpenTasks for status in kind.value}


@attrs.frozen(slots=True)
class _OfSession:
    """Open tasks of one session, for as long as its tasks are these."""

    tasks: Mapping[str, Task]
    ordered: Mapping[OpenTasks, Sequence[Ordered]]


class OpenTasksOfAll:
    """Knows the open tasks of the sessions that it saw last."""

    def __init__(self) -> None:
        self._known: dict[str, _OfSession] = {}

    def first(
        self, states: Iterable[SessionState], wanted: OpenTasks, limit: int | None
    ) -> TaskPage:
        """
        The open tasks of a kind, in its order; what is equal in that, as its session has it.

        :param states: Of all sessions; those that have ended are passed over.
        :param limit: How many at most; None for all. The total counts all.
        """
        before, self._known = self._known, {}
        found: list[Ordered] = []
        for state in states:
            if state.session.status.is_final:
                continue
            name = state.session.id
            known = before.get(name)
            if known is None or known.tasks is not state.tasks:
                known = _of_session(state)
            self._known[name] = known
            found += known.ordered[wanted]
        found.sort(reverse=True)
        return TaskPage(tuple(each[-1] for each in found[:limit]), len(found))


def _of_session(state: SessionState) -> _OfSession:
    ordered: dict[OpenTasks, list[Ordered]] = {kind: [] for kind in OpenTasks}
    for place, task in enumerate(state.tasks.values()):
        kind = _KINDS.get(task.status)
        if kind is not None:
            rank = priority_rank(task.priority) if kind is OpenTasks.WAITING else 0.0
            at = task.created_at or ""
            ordered[kind].append((rank, at, state.session.id, -place, task))
    return _OfSession(state.tasks, ordered)
