"""A session: one run of one agent in one project directory."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from loki_twisted.model.spending import CostOrigin


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


class ReasonCode(StrEnum):
    """Why a session stands where it stands, for programs; ``reason`` says it in words."""

    QUEUED = "queued"
    """It waits for a slot."""
    WAITING_FOR_INPUT = "waiting_for_input"
    """A question of its agent is open."""
    WAITING_FOR_MESSAGE = "waiting_for_message"
    """Its agent has done its work, and stays for more."""
    RATE_LIMITED = "rate_limited"
    """Its provider lets it do no more until ``reason_until``."""
    RETRYING = "retrying"
    """Its agent tries something again."""
    STALLED = "stalled"
    """Its agent has said nothing for long, and no question of it is open."""
    REQUESTED = "requested"
    """What was asked for has not happened yet."""
    NOT_STARTED = "not_started"
    """Its agent could not be started."""
    EXIT_CODE = "exit_code"
    """Its agent ended with an exit code that is no success."""
    SIGNAL = "signal"
    """A signal ended its agent."""
    LOST = "lost"
    """Nobody knows how its agent ended."""
    SAID_SO = "said_so"
    """Its agent said how it ended."""
    NEVER_SAID = "never_said"
    """Its agent ended without a word about its work."""
    TIMED_OUT = "timed_out"
    """It ran longer than it may."""
    OVER_BUDGET = "over_budget"
    """It spent more than it may."""


class Usage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """
    What a session has used so far.

    :ivar tokens_used: All tokens; the others say of which kind they were, as far as is known.
    :ivar cost: US dollars.
    :ivar cost_origin: Where that comes from.
    """

    tokens_used: int = 0
    api_calls: int = 0
    cost: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_origin: CostOrigin = CostOrigin.UNKNOWN


class AgentCounts(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """How many (sub-)agents a session has now, had in all, and has seen end."""

    active: int = 0
    spawned: int = 0
    completed: int = 0


# As with tasks, the garbage collector does not look at what there may be tens of thousands of; none
# refers to another.
class Session(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """
    One session, as it is stored and as it is on the wire.

    :ivar id: See :data:`loki_twisted.model.identifiers.SESSION_ID`.
    :ivar started_at: ISO 8601 UTC with milliseconds; so is ``updated_at``.
    :ivar pid: The agent's process, while it runs and where we know it.
    :ivar exit_code: The agent's exit code; 128 + n where signal n ended it; None before.
    :ivar reason: Why it stands where it stands, in words, where that is not obvious.
    :ivar reason_code: The same for programs, where there is a code for it.
    :ivar reason_until: Until when, where that is known.
    :ivar driven_by: The provider whose language its agent speaks; ``loki`` for what Loki Mode runs.
    :ivar conversation: The provider's own name for what was said, by which it can be continued.
    :ivar continues: The id of the session whose conversation it goes on with.
    :ivar priority: Which of those that wait comes first: the higher one.
    :ivar open_inputs: How many questions of its agent are open.
    :ivar queued_messages: How many messages wait for its agent.
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
    reason_code: ReasonCode | None = None
    reason_until: str | None = None
    usage: Usage = Usage()
    origin: Origin = Origin.STARTED
    accepts_input: bool = False
    agents: AgentCounts = AgentCounts()
    steered_by: Steering | None = None
    driven_by: str | None = None
    conversation: str | None = None
    continues: str | None = None
    priority: int = 0
    open_inputs: int = 0
    queued_messages: int = 0
