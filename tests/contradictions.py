"""Finding events of a session that contradict the ones before them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from loki_twisted.model.events import Event

_ENDS = {"stopped", "completed", "failed"}
_INSIDE = {"task", "agent", "phase"}


@attrs.define
class _Session:
    """What a client believes after the events so far."""

    status: str = "unknown"
    phase: str | None = None
    tasks: dict[str, str] = attrs.field(factory=dict)
    agents: set[str] = attrs.field(factory=set)


def contradictions(events: Iterable[Event]) -> list[str]:
    """Say in words what each event contradicts; nothing if all of them can be believed."""
    sessions: dict[str, _Session] = {}
    found = []
    for event in events:
        session = sessions.setdefault(event.session_id, _Session())
        kind, _, word = event.type.partition(":")
        problem = None
        if kind in _INSIDE and session.status not in {"running", "paused"}:
            problem = f"while the session is {session.status}"
        match kind:
            case "session":
                problem = _session(session, word)
            case "task":
                problem = problem or _task(session, word, event)
            case "agent":
                problem = problem or _agent(session, word, str(event.data["agentId"]))
            case "phase":
                problem = problem or _phase(session, word, event)
        if problem is not None:
            found.append(f"{event.id} {event.type} {event.data}: {problem}")
    return found


def _session(session: _Session, word: str) -> str | None:
    before = session.status
    allowed = {
        "started": {"unknown", *_ENDS},
        "paused": {"running"},
        "resumed": {"paused"},
    }.get(word, {"running", "paused"})
    session.status = word if word in _ENDS | {"paused"} else "running"
    if word == "started":
        session.phase = None
    if word in _ENDS and session.agents:
        return f"with agents at work: {session.agents}"
    return None if before in allowed else f"when it is {before}"


def _task(session: _Session, word: str, event: Event) -> str | None:
    name, status = event.data["taskId"], event.data["status"]
    before = session.tasks.get(name)
    session.tasks[name] = status
    if (word == "created") == (before is not None):
        return f"when it is {before}"
    if word == "created":
        return None if status == "pending" else "created at work"
    return f"when it is {before}" if before == status else None


def _agent(session: _Session, word: str, name: str) -> str | None:
    if (word == "spawned") == (name in session.agents):
        return f"with {session.agents} at work"
    session.agents.symmetric_difference_update({name})
    return None


def _phase(session: _Session, word: str, event: Event) -> str | None:
    phase, before = event.data["phase"], session.phase
    if word != "started":
        return None if phase == before else f"in phase {before}"
    session.phase = phase
    previous = event.data.get("previousPhase")
    if phase == before or (previous is not None and previous != before):
        return f"in phase {before}"
    return None
