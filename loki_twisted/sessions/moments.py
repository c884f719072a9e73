"""
Moments at which there is something to do for a session, though nothing has come.

Pure: what is known of a session says how long it is until each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final

import attrs

from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.timestamps import ms_from_iso
from loki_twisted.sessions.state import SessionState

_CLOSE: Final = 0.001
"""Seconds that are no time: so much a timer may come too early."""


class Moment(Enum):
    """What there is to do."""

    QUIET = "what the driver holds back is to be said"
    EXPIRY = "the limit of an input has passed"
    WAKE = "what kept the agent from work is over"
    STALL = "the agent has said nothing for long"
    FINISH = "the agent has done its work, and does not end"


@attrs.frozen(slots=True, kw_only=True)
class Patience:
    """
    How long to wait, in seconds.

    :ivar quiet: Until what is held back is said.
    :ivar stall: Until silence is told; None for never.
    :ivar finish: Until an agent that has done its work and does not end is ended.
    """

    quiet: float = 1.0
    stall: float | None = 600.0
    finish: float = 30.0


@attrs.frozen(slots=True)
class Marks:
    """
    What the clock has to do with a session.

    :ivar heard_at: When its agent was heard last, in seconds of the reactor.
    :ivar stirred_at: When there was another sign of it last: something that it wrote to a file, or
        the end of a pause.
    :ivar past: What was done since it was heard.
    """

    heard_at: float = 0.0
    stirred_at: float = 0.0
    past: frozenset[Moment] = frozenset()

    def done(self, moments: frozenset[Moment]) -> Marks:
        """Something was done that is done once in a silence."""
        return attrs.evolve(self, past=self.past | (moments & _ONCE))

    def silence(self, moment: Moment, now: float) -> float:
        """How many seconds of silence count for a moment."""
        if moment is Moment.STALL:
            return now - max(self.heard_at, self.stirred_at)
        return now - self.heard_at


_ONCE: Final = frozenset({Moment.QUIET, Moment.FINISH})


def waits(
    marks: Marks, state: SessionState, patience: Patience, now: float, now_ms: int
) -> Mapping[Moment, float]:
    """Say how many seconds it is until each moment that lies ahead; 0 or less is now."""
    found = {
        **{
            moment: limit - marks.silence(moment, now)
            for moment, limit in _of_silence(state, patience)
        },
        **{moment: (at_ms - now_ms) / 1000 for moment, at_ms in _of_the_clock(state)},
    }
    return {moment: seconds for moment, seconds in found.items() if moment not in marks.past}


def due(waits: Mapping[Moment, float]) -> frozenset[Moment]:
    """Which of them are now."""
    return frozenset(moment for moment, seconds in waits.items() if seconds <= _CLOSE)


def _of_silence(state: SessionState, patience: Patience) -> Iterator[tuple[Moment, float]]:
    talk = state.talk
    yield Moment.QUIET, patience.quiet
    if talk.input_ends and not talk.turn_is_on:
        yield Moment.FINISH, patience.finish
    elif patience.stall is not None and _may_stall(state):
        yield Moment.STALL, patience.stall


def _may_stall(state: SessionState) -> bool:
    """Whether it is the agent's turn to say something."""
    talk = state.talk
    is_waiting = talk.turn > 0 and not talk.turn_is_on
    return not (
        talk.is_stalled
        or state.inputs
        or talk.trouble is not None
        or is_waiting
        or state.session.status is not SessionStatus.RUNNING
    )


def _of_the_clock(state: SessionState) -> Iterator[tuple[Moment, int]]:
    limits = [ms_from_iso(each.expires_at) for each in state.inputs.values() if each.expires_at]
    if limits:
        yield Moment.EXPIRY, min(limits)
    if state.talk.trouble_until is not None:
        yield Moment.WAKE, state.talk.trouble_until
