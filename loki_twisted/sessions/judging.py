"""
What the files of a state directory of Loki Mode mean together.

Pure, and of the files as they are: so what was watched from the beginning and what is read for
the first time come to the same. The only memory is in what is passed on as it was: agents,
of which the files say nothing for most of the time.

=============  =====================================================================================
of a session   by
=============  =====================================================================================
status         ``run_status.py``
tasks          ``run_tasks.py``
phase          the orchestrator's, and where that names none the last that a ``phase_change`` in
               ``events.jsonl`` has named; ``completed`` and ``failed`` only when the run has
               written its ending, since a new run finds those of the one before
agents         those that are active in ``agents.json``. An empty list says nothing while files
               change: the status monitor writes one every 2.5 s over what the agent has
               written. None when no iteration is at work
usage          the sum over the iterations of this run; those beyond its count are older
notes          all that files have for people
=============  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from loki_twisted.model.runs import Note, RunAgents, RunCost, RunNotes, RunPhase, RunPhaseChange
from loki_twisted.model.sessions import SessionStatus, Usage
from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.tasks import Task
from loki_twisted.sessions.run_files import Run, RunFiles, provider_of
from loki_twisted.sessions.run_status import Liveness, Standing, is_ending, standing_of
from loki_twisted.sessions.run_tasks import tasks_of
from loki_twisted.state.interface import AgentSeen

AGENTS_FORGOTTEN: Final = 6.0
"""Seconds without a change after which an empty list of agents is believed."""

_ENDS_OF_PHASES: Final = frozenset({"completed", "failed"})
_NOTES_OF_MARKERS: Final[Mapping[str, str]] = {
    "PAUSE": "A pause is asked for; the run looks between iterations.",
    "STOP": "A stop is asked for; the run looks between iterations.",
}


@attrs.frozen(slots=True, kw_only=True)
class Judgement:
    """
    What is known of one run now.

    :ivar session_id: Of the session that it is to be told as.
    :ivar agents: Who is at work; None if nothing says.
    :ivar recheck: Seconds after which it may be another although no file changes, or None.
    """

    run: Run
    standing: Standing
    session_id: str
    provider: str | None = None
    prd_path: str | None = None
    phase: str | None = None
    tasks: Sequence[Task] = ()
    agents: Sequence[AgentSeen] | None = ()
    usage: Usage = attrs.field(factory=Usage)
    notes: Mapping[str, Note] = attrs.field(factory=dict)
    recheck: float | None = None

    @property
    def status(self) -> SessionStatus:
        """Where the run stands."""
        return self.standing.status


def judge(
    files: RunFiles,
    run: Run,
    session_id: str,
    liveness: Liveness,
    quiet: float,
    *,
    is_current: bool,
) -> Judgement:
    """
    Say what the files mean for one run.

    :param quiet: Seconds since anything in the directory changed.
    :param is_current: Whether what is there once for the directory is this run's.
    """
    standing = standing_of(files, run, liveness, quiet)
    said = Judgement(
        run=run,
        standing=standing,
        session_id=session_id,
        provider=provider_of(files),
        prd_path=run.progress.prd_path if run.progress else None,
        recheck=standing.recheck,
    )
    if not is_current:
        return said
    agents, recheck = _agents(files, run, standing.status, quiet)
    return attrs.evolve(
        said,
        phase=_phase(files, run, standing.status),
        tasks=tasks_of(files, run, standing.status, session_id),
        agents=agents,
        usage=_usage(files, run),
        notes=_notes(files),
        recheck=min((r for r in (standing.recheck, recheck) if r is not None), default=None),
    )


def _phase(files: RunFiles, run: Run, status: SessionStatus) -> str | None:
    found = files.one(RunPhase)
    change = files.one(RunPhaseChange)
    phase = (found.phase if found else None) or (change.phase if change else None)
    is_over = status.is_final or (run.progress is not None and is_ending(run.progress.status))
    return None if phase in _ENDS_OF_PHASES and not is_over else phase


def _agents(
    files: RunFiles, run: Run, status: SessionStatus, quiet: float
) -> tuple[Sequence[AgentSeen] | None, float | None]:
    found = files.one(RunAgents)
    in_iteration = run.progress is not None and run.progress.status == "running"
    if status.is_final or status is SessionStatus.PAUSED or not in_iteration:
        return (), None
    if found is None or not found.agents:
        rest = AGENTS_FORGOTTEN - quiet
        return (None, rest) if rest > 0 else ((), None)
    active = [a for a in found.agents if a.is_active]
    return [AgentSeen(a.id, a.type, a.model, a.task) for a in active], None


def _usage(files: RunFiles, run: Run) -> Usage:
    count = run.progress.iteration if run.progress else 0
    by_iteration: dict[int, RunCost] = {}
    for cost in files.all(RunCost):
        known = by_iteration.get(cost.iteration)
        if 0 < cost.iteration <= count and (known is None or not known.is_exact):
            by_iteration[cost.iteration] = cost
    costs = by_iteration.values()
    is_known = any(cost.cost is not None for cost in costs)
    return Usage(
        tokens_used=sum(cost.tokens or 0 for cost in costs),
        cost=round(sum(cost.cost or 0.0 for cost in costs), 6),
        cost_origin=CostOrigin.REPORTED if is_known else CostOrigin.UNKNOWN,
    )


def _notes(files: RunFiles) -> Mapping[str, Note]:
    notes = {note.key: note for said in files.all(RunNotes) for note in said.notes}
    for name, words in _NOTES_OF_MARKERS.items():
        if files.has(name):
            data = {"level": "info", "message": words, "source": "loki-mode"}
            notes[f"asked {name}"] = Note(f"asked {name}", "", "log:info", data)
    return notes
