"""
The open tasks of all sessions, from memory: what runs or waits, where a session has not ended.

They are asked for all at once, thousands of them, and often. So they are kept in their order, in
which only those of a session are replaced whose tasks have changed; and each is encoded once, and
kept so beside the task, as long as there is room.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Final

import attrs
import msgspec

from loki_twisted.model.task_ranks import priority_rank
from loki_twisted.model.tasks import EncodedTasks, OpenTasks, Task
from loki_twisted.sessions.state import SessionState

KEPT_BYTES: Final = 32 * 1024 * 1024
"""How much JSON of tasks is kept at most; what is beyond that is encoded for each answer."""

_FEW: Final = 32
"""If more sessions than that have changed, all is sorted anew."""

_KINDS: Final = {status: kind for kind in OpenTasks for status in kind.value}

_encode: Final = msgspec.json.Encoder().encode


class _Kept(msgspec.Struct, gc=False):
    """
    A task, and what it is on the wire.

    :ivar json: None as long as nobody has asked for it, or there is no room.
    """

    task: Task
    json: msgspec.Raw | None = None


Ordered = tuple[float, str, str, int, _Kept]
"""A task behind what it is sorted by, falling; no two are equal up to there."""


@attrs.frozen(slots=True)
class _OfSession:
    """Open tasks of one session, for as long as its tasks are these."""

    tasks: Mapping[str, Task]
    ordered: Mapping[OpenTasks, Sequence[Ordered]]


_NOTHING: Final = _OfSession({}, dict.fromkeys(OpenTasks, ()))


class OpenTasksOfAll:
    """
    Knows the open tasks of the sessions that it saw last.

    :param kept_bytes: How much JSON of them it keeps.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._known: dict[str, _OfSession] = {}
        self._rising: dict[OpenTasks, list[Ordered]] = {kind: [] for kind in OpenTasks}
        self._room = kept_bytes

    def first(
        self, states: Iterable[SessionState], wanted: OpenTasks, limit: int | None
    ) -> EncodedTasks:
        """
        The open tasks of a kind, in its order; what is equal in that, as its session has it.

        :param states: Of all sessions; those that have ended are passed over.
        :param limit: How many at most; None for all. The total counts all.
        """
        self._look(states)
        rising = self._rising[wanted]
        found = [each[-1] for each in islice(reversed(rising), limit)]
        return EncodedTasks([kept.json or self._encoded(kept) for kept in found], len(rising))

    def _look(self, states: Iterable[SessionState]) -> None:
        """Take note of what has changed since the last look."""
        before, self._known = self._known, {}
        changes: list[tuple[_OfSession, _OfSession]] = []
        for state in states:
            if state.session.status.is_final:
                continue
            name = state.session.id
            known = before.pop(name, _NOTHING)
            if known.tasks is not state.tasks:
                fresh = _of_session(state, known)
                changes.append((known, fresh))
                known = fresh
            self._known[name] = known
        changes += ((gone, _NOTHING) for gone in before.values())
        for old, new in changes:
            self._room += _kept_bytes(old) - _kept_bytes(new)
        for kind, rising in self._rising.items():
            if len(changes) > _FEW:
                rising[:] = chain.from_iterable(of.ordered[kind] for of in self._known.values())
                rising.sort()
            else:
                _replace(rising, [(old.ordered[kind], new.ordered[kind]) for old, new in changes])

    def _encoded(self, kept: _Kept) -> msgspec.Raw:
        """Encode a task, and keep that if there is room."""
        json = msgspec.Raw(_encode(kept.task))
        size = memoryview(json).nbytes
        if size <= self._room:
            self._room -= size
            kept.json = json
        return json


def _of_session(state: SessionState, before: _OfSession) -> _OfSession:
    """Sort the open tasks of a session; a task that is the same as before stays as it is kept."""
    known = {id(kept.task): kept for kept in _all_of(before)}
    ordered: dict[OpenTasks, list[Ordered]] = {kind: [] for kind in OpenTasks}
    for place, task in enumerate(state.tasks.values()):
        kind = _KINDS.get(task.status)
        if kind is not None:
            rank = priority_rank(task.priority) if kind is OpenTasks.WAITING else 0.0
            kept = known.get(id(task)) or _Kept(task)
            key = (rank, task.created_at or "", state.session.id, -place)
            ordered[kind].append((*key, kept))
    return _OfSession(state.tasks, ordered)


def _all_of(session: _OfSession) -> Iterable[_Kept]:
    return (each[-1] for kind in session.ordered.values() for each in kind)


def _kept_bytes(session: _OfSession) -> int:
    return sum(memoryview(kept.json).nbytes for kept in _all_of(session) if kept.json is not None)


def _replace(
    rising: list[Ordered], changes: Sequence[tuple[Sequence[Ordered], Sequence[Ordered]]]
) -> None:
    """Take some entries of a sorted list out, and then put others in."""
    for each in chain.from_iterable(old for old, _ in changes):
        del rising[bisect_left(rising, each)]
    for each in chain.from_iterable(new for _, new in changes):
        insort(rising, each)
