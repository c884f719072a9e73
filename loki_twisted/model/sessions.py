"""A session: one run of one agent in one project directory."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class SessionStatus(StrEnum):
    """Where a session stands. ``sessions/lifecycle.py`` says which steps are legal."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    COMPLETED = "completed"

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it."""
        return self in FINAL


FINAL: Final = frozenset({SessionStatus.STOPPED, SessionStatus.FAILED, SessionStatus.COMPLETED})


class Origin(StrEnum):
    """Who started a session: this server, or somebody else whose state directory we read."""

    STARTED = "started"
    OBSERVED = "observed"


class Steering(StrEnum):
    """How orders reach the agent of a session: at once, or when it looks for them."""

    SIGNALS = "signals"
    FILES = "files"


class Usage(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    What a session has used so far, as its agent reported it.

    :ivar cost: US dollars.
    """

    tokens_used: int = 0
    api_calls: int = 0
    cost: float = 0.0


class AgentCounts(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """How many (sub-)agents a session has now, had in all, and has seen end."""

    active: int = 0
    spawned: int = 0
    completed: int = 0


class Session(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    One session, as it is stored and as it is on the wire.

    :ivar id: See :data:`loki_twisted.model.identifiers.SESSION_ID`.
    :ivar started_at: ISO 8601 UTC with milliseconds; so is ``updated_at``.
    :ivar pid: The agent's process, while it runs and where we know it.
    :ivar exit_code: The agent's exit code; 128 + n where signal n ended it; None before.
    :ivar reason: Why it stands where it stands, in words, where that is not obvious.
    :ivar project_dir: Absolute path of the directory that the agent works in.
    :ivar accepts_input: Whether its agent reads what ``POST .../input`` sends.
    :ivar agents: Counts of its (sub-)agents.
    :ivar steered_by: ``files`` for a run of Loki Mode: pause, resume and input are requests then,
        which it looks for before each iteration. None where we do not know.
    """

    id: str
    status: SessionStatus
    provider: str
    project_dir: str
    started_at: str
    updated_at: str
    prd_path: str | None = None
    model: str | None = None
    pid: int | None = None
    current_phase: str | None = None
    task_count: int = 0
    completed_tasks: int = 0
    exit_code: int | None = None
    reason: str | None = None
    usage: Usage = Usage()
    origin: Origin = Origin.STARTED
    accepts_input: bool = False
    agents: AgentCounts = AgentCounts()
    steered_by: Steering | None = None
