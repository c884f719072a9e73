"""
What the files of a Loki Mode run say, one value for each kind of file.

A *run* is one ``loki start``. Its files speak of different sides of it, and are written
by several programs at different moments; so a value stands for one file as it is now, and what
all of them mean together is judged in ``sessions/judging.py``. Fields that a file does not say
are None. Times are ISO 8601 UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs

from loki_twisted.model.tasks import TaskStatus


@attrs.frozen(slots=True, kw_only=True)
class RunProgress:
    """
    ``autonomy-state.json``: how far a run is.

    :ivar status: Loki's own word, in lower case.
    :ivar iteration: From 1; 0 before the first.
    :ivar last_run: When this was written.
    """

    status: str
    pid: int | None = None
    iteration: int = 0
    prd_path: str | None = None
    last_run: str | None = None


@attrs.frozen(slots=True)
class RunPid:
    """``loki.pid``: the process of the run. The file is there while the run is."""

    pid: int


@attrs.frozen(slots=True)
class RunStamp:
    """
    ``loki.pgid``: what tells the process apart from a later one with its number.

    :ivar boot: When the machine was started, seconds since the Unix epoch.
    :ivar started: When the process was.
    """

    pid: int
    boot: int | None
    started: int | None


@attrs.frozen(slots=True)
class RunWrapper:
    """``pids/PID.json`` of a run: when it began."""

    pid: int
    started_at: str | None


@attrs.frozen(slots=True)
class RunCheckout:
    """``checkout-runs/PID``: the last process that was about to run here."""

    pid: int


@attrs.frozen(slots=True)
class RunPhase:
    """``state/orchestrator.json``. ``began_at`` is when the first run of the directory began."""

    phase: str | None
    began_at: str | None


@attrs.frozen(slots=True)
class RunPhaseChange:
    """The last ``phase_change`` in ``events.jsonl``: it comes seconds later than the file above."""

    phase: str


@attrs.frozen(slots=True)
class RunProvider:
    """``state/provider``."""

    name: str


@attrs.frozen(slots=True)
class RunOutcome:
    """``state/completion.json``: what became of a run, or why it waits."""

    outcome: str
    error: str | None
    at: str | None


@attrs.frozen(slots=True)
class RunTermination:
    """``state/termination.json``: a run that its supervisor ended."""

    reason: str | None
    exit_code: int | None
    at: str | None


class Shelf(StrEnum):
    """Which file of the queue a task stands in."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    CURRENT = "current-task"
    COMPLETED = "completed"
    FAILED = "failed"
    DEAD_LETTER = "dead-letter"


@attrs.frozen(slots=True, kw_only=True)
class ListedTask:
    """
    One task of a queue file.

    :ivar status: As the entry says, or else as its file means.
    """

    id: str
    title: str
    status: TaskStatus
    description: str | None = None
    priority: int | str | None = None
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    agent: str | None = None
    output: Any = None
    error: Any = None


@attrs.frozen(slots=True)
class RunTasks:
    """A file of ``queue/``."""

    shelf: Shelf
    tasks: Sequence[ListedTask]


@attrs.frozen(slots=True, kw_only=True)
class ListedAgent:
    """One agent of ``state/agents.json``."""

    id: str
    type: str
    is_active: bool
    model: str | None = None
    task: str | None = None


@attrs.frozen(slots=True)
class RunAgents:
    """``state/agents.json``. An empty list says nothing: a second writer makes it so."""

    agents: Sequence[ListedAgent]


@attrs.frozen(slots=True, kw_only=True)
class RunCost:
    """
    What one iteration has used.

    :ivar is_exact: Whether the provider said so itself (``metrics/result-cost-N.json``).
    :ivar tokens: None where it is not known, like ``cost`` (US dollars).
    """

    iteration: int
    is_exact: bool
    tokens: int | None
    cost: float | None


@attrs.frozen(slots=True)
class RunMarker:
    """A file that says something by being there: ``PAUSE``, ``STOP``, ``PAUSED.md``."""

    name: str


@attrs.frozen(slots=True)
class Note:
    """
    Something to be told once.

    :ivar key: What it is about; two notes of one key replace each other.
    :ivar mark: The same for the same news: what has the mark that was told is not told again.
    :ivar type: Of the event.
    :ivar data: Of the event.
    """

    key: str
    mark: str
    type: str
    data: Mapping[str, Any]


@attrs.frozen(slots=True)
class RunNotes:
    """What a file says beside the course of the run, for people: budget, gates, votes."""

    notes: Sequence[Note]


@attrs.frozen(slots=True)
class RunBeat:
    """``dashboard-state.json``: a sign of life, every 2.5 s."""

    at: str | None


RunFact = (
    RunProgress
    | RunPid
    | RunStamp
    | RunWrapper
    | RunCheckout
    | RunPhase
    | RunPhaseChange
    | RunProvider
    | RunOutcome
    | RunTermination
    | RunTasks
    | RunAgents
    | RunCost
    | RunMarker
    | RunNotes
    | RunBeat
)
