"""
The steps that a session may take.

Everything that decides where a session stands is in the table below. A step
that the table does not have for a status is a conflict, and nothing happens.
What ends in ``stopped``, ``failed`` or ``completed`` stays there: for a session
of ours that is the one ending, and its event is told once.

A session that we only observe goes where its files say, in any order, also from an end
back to work when somebody runs it again; :func:`facts_between` says what
events such a jump means, so that none contradicts the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from loki_twisted.model.errors import Conflict
from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import SessionStatus


class Step(StrEnum):
    """What can happen to a session. The value completes "A session cannot be ..."."""

    TURN = "given its turn"
    LAUNCH = "launched"
    PAUSE = "paused"
    RESUME = "resumed"
    STOP = "stopped"
    SUCCEED = "completed"
    FAIL = "failed"
    QUIT = "ended by somebody else"


_S = SessionStatus

TABLE: Final[Mapping[SessionStatus, Mapping[Step, SessionStatus]]] = {
    _S.QUEUED: {Step.TURN: _S.STARTING, Step.STOP: _S.STOPPED, Step.FAIL: _S.FAILED},
    _S.STARTING: {
        Step.LAUNCH: _S.RUNNING,
        Step.STOP: _S.STOPPING,
        # Its launch could not be put on record, but it ran.
        Step.SUCCEED: _S.COMPLETED,
        Step.FAIL: _S.FAILED,
        Step.QUIT: _S.STOPPED,
    },
    _S.RUNNING: {
        Step.PAUSE: _S.PAUSED,
        Step.STOP: _S.STOPPING,
        Step.SUCCEED: _S.COMPLETED,
        Step.FAIL: _S.FAILED,
        Step.QUIT: _S.STOPPED,
    },
    _S.PAUSED: {
        Step.RESUME: _S.RUNNING,
        Step.STOP: _S.STOPPING,
        Step.SUCCEED: _S.COMPLETED,
        Step.FAIL: _S.FAILED,
        Step.QUIT: _S.STOPPED,
    },
    # However an agent ends after it was told to, it was stopped. Telling it
    # again, or launching what was told to stop while it started, changes nothing.
    _S.STOPPING: {
        Step.LAUNCH: _S.STOPPING,
        Step.STOP: _S.STOPPING,
        Step.SUCCEED: _S.STOPPED,
        Step.FAIL: _S.STOPPED,
        Step.QUIT: _S.STOPPED,
    },
    _S.STOPPED: {},
    _S.FAILED: {},
    _S.COMPLETED: {},
}

_ENTERING: Final[Mapping[SessionStatus, str]] = {
    _S.PAUSED: "session:paused",
    _S.STOPPED: "session:stopped",
    _S.FAILED: "session:failed",
    _S.COMPLETED: "session:completed",
}

_AT_WORK: Final = frozenset({_S.RUNNING, _S.PAUSED, _S.STOPPING})


def next_status(status: SessionStatus, step: Step) -> SessionStatus:
    """
    Take a step.

    :raises Conflict: if it is not legal.
    """
    following = TABLE[status].get(step)
    if following is None:
        msg = f"A session that is {status} cannot be {step}."
        raise Conflict(msg, {"status": str(status)})
    return following


def observed_status(before: SessionStatus, said: SessionStatus) -> SessionStatus:
    """
    Say where a session stands that we only observe.

    Files are believed, but for one thing: what is at work cannot go back to
    a time before its start without an end between.
    """
    if before in _AT_WORK and said in {_S.QUEUED, _S.STARTING}:
        return before
    return said


def facts_between(
    before: SessionStatus | None,
    after: SessionStatus,
    message: str | None = None,
    exit_code: int | None = None,
) -> list[Fact]:
    """
    Say which events a change of status means.

    :param before: None for a session that nobody knew before.
    :param message: For the last of them, a sentence.
    :param exit_code: For the last of them, if it is an ending.
    :returns: ``session:*`` facts: none if the status stays, or if there is no event for it.
    """
    if before == after:
        return []
    facts = []
    was_at_work = before in _AT_WORK
    if after is _S.RUNNING:
        word = "resumed" if before is _S.PAUSED else "started"
        if before is not _S.STOPPING:
            facts.append(Fact(f"session:{word}", {"status": str(after)}))
    else:
        if after in {_S.PAUSED, _S.STOPPING} and not was_at_work:
            # It was started behind our back before this could happen to it.
            facts.append(Fact("session:started", {"status": str(_S.RUNNING)}))
        if before is _S.PAUSED and after is _S.STOPPING:
            # Stopping is told by no event of its own, and a run that is stopping goes on.
            facts.append(Fact("session:resumed", {"status": str(_S.RUNNING)}))
        if after in _ENTERING:
            facts.append(Fact(_ENTERING[after], {"status": str(after)}))
    if facts and (message is not None or exit_code is not None):
        last = dict(facts[-1].data)
        if message is not None:
            last["message"] = message
        if exit_code is not None and after.is_final:
            last["exitCode"] = exit_code
        facts[-1] = Fact(facts[-1].type, last)
    return facts
