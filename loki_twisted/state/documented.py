"""
The documented layout of a state directory.

=========================  ==================  ======================================
file                       field               becomes
=========================  ==================  ======================================
sessions/ID/session.json   status              :class:`SessionSighting` of session ID
                           provider
                           prdPath
                           startedAt           (times: ISO 8601, or milliseconds)
                           updatedAt
                           currentPhase
                           exitCode
sessions/ID/phase.json     current             :class:`PhaseSighting`
                           previous
                           progress
sessions/ID/tasks.json     tasks, or a list    :class:`TasksSighting`
  each task                id                  absent: ``task-N``, N its place from 1
                           title, or subject   absent: the description's first line, or id
                           status              absent: pending; ``done``, ``in progress``
                           description
                           priority            a whole number or a word
                           createdAt
                           startedAt
                           completedAt
                           agent
                           output, error       as they are, up to 32 levels deep
sessions/ID/agents.json    active              :class:`AgentsSighting`
  each agent               id                  an agent without one is not understood
                           type                absent: ``agent``
                           model
                           task
state.json                 currentSession      :class:`CurrentSession`
=========================  ==================  ======================================

Other files and other fields are passed over. A field of a wrong type counts as absent. A
file of a wrong shape says nothing; a task or an agent that is not understood is told of
by one :class:`Unreadable` and hides no other. Of two with the same id the last counts. A file
that is removed says nothing either: what it said last still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from zope.interface import implementer

from loki_twisted.model.identifiers import is_session_id
from loki_twisted.model.tasks import Task
from loki_twisted.state.fields import (
    MAX_DEPTH,
    NAME_LIMIT,
    TITLE_LIMIT,
    is_carriable,
    maybe_number,
    maybe_priority,
    maybe_session_status,
    maybe_task_status,
    maybe_text,
    maybe_time,
    maybe_whole,
    maybe_word,
)
from loki_twisted.state.interface import (
    AgentSeen,
    AgentsSighting,
    CurrentSession,
    PhaseSighting,
    SessionSighting,
    Sighting,
    TasksSighting,
    Unreadable,
)
from loki_twisted.state.layout import (
    ILayout,
    NotUnderstood,
    PlainLayout,
    json_of,
    list_of,
    object_of,
)

_SESSIONS: Final = "sessions"
_GLOBAL_STATE: Final = "state.json"
_REASONS: Final = 3
"""How many of the things that are not understood are told in words."""


def _session(session_id: str, value: Any) -> list[Sighting]:
    fields = object_of(value)
    return [
        SessionSighting(
            session_id=session_id,
            status=maybe_session_status(fields.get("status")),
            provider=maybe_text(fields.get("provider"), NAME_LIMIT),
            prd_path=maybe_text(fields.get("prdPath"), TITLE_LIMIT),
            started_at=maybe_time(fields.get("startedAt")),
            updated_at=maybe_time(fields.get("updatedAt")),
            current_phase=maybe_word(fields.get("currentPhase")),
            exit_code=maybe_whole(fields.get("exitCode")),
        )
    ]


def _phase(session_id: str, value: Any) -> list[Sighting]:
    fields = object_of(value)
    phase = maybe_word(fields.get("current"))
    if phase is None:
        return []
    return [
        PhaseSighting(
            session_id=session_id,
            phase=phase,
            previous_phase=maybe_word(fields.get("previous")),
            progress=maybe_number(fields.get("progress")),
        )
    ]


def _tasks(session_id: str, value: Any) -> list[Sighting]:
    items = list_of(value, "tasks")
    tasks: dict[str, Task] = {}
    reasons: list[str] = []
    for place, item in enumerate(items, 1):
        try:
            task = _task(session_id, place, item, reasons)
        except NotUnderstood as problem:
            reasons.append(str(problem))
        else:
            tasks[task.id] = task
    said = TasksSighting(session_id, tuple(tasks.values()))
    return [said, *_not_understood(session_id, "tasks", reasons)]


def _task(session_id: str, place: int, item: Any, reasons: list[str]) -> Task:
    if not isinstance(item, dict):
        raise NotUnderstood(f"number {place} is no object")
    own_id = maybe_text(item.get("id"), NAME_LIMIT)
    description = maybe_text(item.get("description"))
    title = maybe_text(item.get("title"), TITLE_LIMIT)
    title = title or maybe_text(item.get("subject"), TITLE_LIMIT)
    title = title or (description and description.strip().splitlines()[0][:TITLE_LIMIT]) or own_id
    if title is None:
        raise NotUnderstood(f"number {place} has neither id nor title")
    status = maybe_task_status(item.get("status", "pending") or "pending")
    if status is None:
        raise NotUnderstood(f"number {place} has an unknown status")
    carried = {}
    for name in ("output", "error"):
        if is_carriable(item.get(name)):
            carried[name] = item.get(name)
        else:
            reasons.append(
                f"{name} of number {place} is deeper than {MAX_DEPTH} levels or has a number"
                " that is too large, and is left out"
            )
    return Task(
        id=own_id or f"task-{place}",
        session_id=session_id,
        title=title,
        status=status,
        description=description,
        priority=maybe_priority(item.get("priority")),
        created_at=maybe_time(item.get("createdAt")),
        started_at=maybe_time(item.get("startedAt")),
        completed_at=maybe_time(item.get("completedAt")),
        agent=maybe_text(item.get("agent"), NAME_LIMIT),
        **carried,
    )


def _agents(session_id: str, value: Any) -> list[Sighting]:
    items = list_of(value, "active")
    agents: dict[str, AgentSeen] = {}
    reasons: list[str] = []
    for place, item in enumerate(items, 1):
        agent_id = maybe_text(item.get("id"), NAME_LIMIT) if isinstance(item, dict) else None
        if agent_id is None:
            reasons.append(f"number {place} has no id")
            continue
        agents[agent_id] = AgentSeen(
            agent_id,
            maybe_text(item.get("type"), NAME_LIMIT) or "agent",
            maybe_text(item.get("model"), NAME_LIMIT),
            maybe_text(item.get("task"), TITLE_LIMIT),
        )
    said = AgentsSighting(session_id, tuple(agents.values()))
    return [said, *_not_understood(session_id, "agents", reasons)]


def _current_session(value: Any) -> list[Sighting]:
    name = object_of(value).get("currentSession")
    if name is None or name == "":
        return [CurrentSession(None)]
    if not isinstance(name, str) or not is_session_id(name):
        raise NotUnderstood("names a current session with what is no session id")
    return [CurrentSession(name)]


@attrs.frozen(slots=True)
class _Kind:
    """How early a file of a session's directory is told, and what reads its JSON."""

    rank: int
    read: Callable[[str, Any], list[Sighting]]


_OF_A_SESSION: Final[Mapping[str, _Kind]] = {
    "session.json": _Kind(0, _session),
    "phase.json": _Kind(1, _phase),
    "tasks.json": _Kind(2, _tasks),
    "agents.json": _Kind(3, _agents),
}
_RANK_OF_GLOBAL_STATE: Final = 4


@implementer(ILayout)
class DocumentedLayout(PlainLayout):
    """The layout that the documents of the API describe."""

    def rank(self, path: str) -> int | None:
        """See :class:`ILayout`."""
        if path == _GLOBAL_STATE:
            return _RANK_OF_GLOBAL_STATE
        match path.split("/"):
            case [top, name, file] if (
                top == _SESSIONS and file in _OF_A_SESSION and is_session_id(name)
            ):
                return _OF_A_SESSION[file].rank
        return None

    def sightings(self, path: str, content: bytes) -> Sequence[Sighting]:
        """See :class:`ILayout`."""
        value = json_of(content)
        if path == _GLOBAL_STATE:
            return _current_session(value)
        _, session_id, file = path.split("/")
        return _OF_A_SESSION[file].read(session_id, value)

    def session_of(self, path: str) -> str | None:
        """See :class:`ILayout`."""
        match path.split("/"):
            case [top, name, *_] if top == _SESSIONS and is_session_id(name):
                return name
        return None


def _not_understood(session_id: str, what: str, reasons: Sequence[str]) -> list[Sighting]:
    if not reasons:
        return []
    more = len(reasons) - _REASONS
    words = "; ".join(reasons[:_REASONS]) + (f"; and {more} more" if more > 0 else "")
    path = f"{_SESSIONS}/{session_id}/{what}.json"
    return [Unreadable(session_id, path, f"some {what} are not understood: {words}")]
