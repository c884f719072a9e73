"""What is answered about sessions, and to orders for them."""

from __future__ import annotations

from loki_twisted.model.sessions import AgentCounts, Session, SessionStatus
from loki_twisted.model.wire.shapes import Shape


class SessionOrder(Shape, frozen=True, kw_only=True):
    """An order to a session was given: which session, where it stands now, in words."""

    session_id: str
    status: SessionStatus
    message: str


class SessionMessage(Shape, frozen=True, kw_only=True):
    """Something was done for a session."""

    session_id: str
    message: str


class SessionSummary(Shape, frozen=True, kw_only=True):
    """Counts of a session's tasks by status."""

    total: int
    pending: int
    running: int
    completed: int
    failed: int


class SessionDetail(Shape, frozen=True, kw_only=True):
    """One session with the counts of what it works on."""

    session: Session
    tasks: SessionSummary
    agents: AgentCounts


class SessionList(Shape, frozen=True, kw_only=True):
    """Sessions, newest first; how many match in all, and how many of all run."""

    sessions: list[Session]
    total: int
    running: int
