"""
Where a run stands, by its own words and by whether its process is there.

====================  =================================  ====================================
``loki.pid``          ``status`` of the run              session
====================  =================================  ====================================
there                 none of its own, ``running``,      running (stopping while ``STOP`` is
                      ``exited``, an ending              there)
there                 ``paused``, ``budget_exceeded``    paused, until an iteration begins
there, but dead       an ending                          as below
there, but dead       anything else                      failed: it died without a word
gone                  an ending that is a success        completed
gone                  ``stopped``, ``interrupted``       stopped
gone                  any other ending                   failed
gone                  no ending                          as ``completion.json`` says; else
                                                         failed if another run took its
                                                         place, else stopped (by ``loki stop``)
never there           none                               starting, and failed after a while
====================  =================================  ====================================

A run that has written its ending still cleans up for seconds; its session has ended when it is
gone. Whether it is dead is a matter of its process (:class:`Liveness`) and of time: files that go
on changing are written by somebody, whatever ``/proc`` says of a number, which may be that of
another machine or container.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

from loki_twisted.model.sessions import SessionStatus
from loki_twisted.sessions.run_files import (
    Run,
    RunFiles,
    outcome_of,
    termination_of,
    was_replaced,
)
from loki_twisted.sessions.run_tasks import has_begun_after
from loki_twisted.sessions.run_words import AT_WORK, HALTS, PAUSES, SUCCESSES


class Liveness(StrEnum):
    """What ``/proc`` says about the process of a run."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


_OUTCOMES: Final[Mapping[str, SessionStatus]] = {
    "complete": SessionStatus.COMPLETED,
    "completed": SessionStatus.COMPLETED,
    "stopped": SessionStatus.STOPPED,
    "intervention": SessionStatus.STOPPED,
}
"""Of ``completion.json``; any other is a failure."""

WRAPPED_UP: Final = 6.0
"""Seconds without a change after which a run that wrote its ending is taken for gone."""

DEAD_FOR: Final = 5.0
"""Seconds without a change after which a run without process is taken for dead: two beats."""

UNHEARD_FOR: Final = 30.0
"""Seconds without a change after which a run whose process nobody can look at is."""


@attrs.frozen(slots=True, kw_only=True)
class Standing:
    """
    Where a run stands.

    :ivar reason: Why, in words, where that is not obvious.
    :ivar exit_code: Where the run says it.
    :ivar recheck: Seconds after which it may stand elsewhere although no file changes, or None.
    """

    status: SessionStatus
    reason: str | None = None
    exit_code: int | None = None
    recheck: float | None = None


def is_ending(word: str) -> bool:
    """Whether a run that says this has nothing more to do."""
    return word not in AT_WORK | PAUSES


def standing_of(files: RunFiles, run: Run, liveness: Liveness, quiet: float) -> Standing:
    """
    Say where a run stands.

    :param quiet: Seconds since anything in its directory changed.
    """
    word = run.progress.status if run.progress else None
    if run.has_pid_file:
        patience = _patience(word, liveness)
        if patience is None or quiet < patience:
            recheck = None if patience is None else patience - quiet
            return Standing(status=_at_work(files, run), recheck=recheck)
    elif run.progress is None and run.pid is None:
        if quiet < WRAPPED_UP:
            return Standing(status=SessionStatus.STARTING, recheck=WRAPPED_UP - quiet)
        reason = "It ended before its first iteration."
        return Standing(status=SessionStatus.FAILED, reason=reason)
    return _end(files, run, word)


def _patience(word: str | None, liveness: Liveness) -> float | None:
    """Say how long a run may be quiet before its process is taken for gone; None for ever."""
    is_over = word is not None and is_ending(word)
    match liveness:
        case Liveness.ALIVE:
            return None
        case Liveness.DEAD:
            return 0.0 if is_over else DEAD_FOR
        case Liveness.UNKNOWN:
            return WRAPPED_UP if is_over else UNHEARD_FOR


def _at_work(files: RunFiles, run: Run) -> SessionStatus:
    progress = run.progress
    # A run that goes on says so a moment after it has taken up its next iteration.
    if (
        progress is not None
        and progress.status in PAUSES
        and not has_begun_after(files, progress.last_run or "")
    ):
        return SessionStatus.PAUSED
    return SessionStatus.STOPPING if files.has("STOP") else SessionStatus.RUNNING


def _end(files: RunFiles, run: Run, word: str | None) -> Standing:
    termination = termination_of(files, run)
    exit_code = termination.exit_code if termination else None
    if word is not None and is_ending(word):
        return _ending(files, run, word, exit_code)
    outcome = outcome_of(files, run)
    if run.has_pid_file:
        reason = "It ended without a word: its process is gone."
        return Standing(status=SessionStatus.FAILED, reason=reason, exit_code=exit_code)
    if outcome is not None:
        status = _OUTCOMES.get(outcome.outcome, SessionStatus.FAILED)
        words = None if status is SessionStatus.COMPLETED else f"Outcome: {outcome.outcome}."
        return Standing(status=status, reason=outcome.error or words, exit_code=exit_code)
    if was_replaced(files, run):
        reason = "It ended without a word, and another run took its place."
        return Standing(status=SessionStatus.FAILED, reason=reason, exit_code=exit_code)
    reason = "It was ended from outside."
    return Standing(status=SessionStatus.STOPPED, reason=reason, exit_code=exit_code)


def _ending(files: RunFiles, run: Run, word: str, exit_code: int | None) -> Standing:
    if word in SUCCESSES:
        return Standing(status=SessionStatus.COMPLETED, exit_code=exit_code)
    if word in HALTS:
        termination = termination_of(files, run)
        why = termination.reason if termination else None
        return Standing(
            status=SessionStatus.STOPPED, reason=why or f"{word.capitalize()}.", exit_code=exit_code
        )
    outcome = outcome_of(files, run)
    brief = outcome.error if outcome is not None else None
    words = word.replace("_", " ").capitalize()
    reason = f"{words}: {brief}" if brief else f"{words}."
    return Standing(status=SessionStatus.FAILED, reason=reason, exit_code=exit_code)
