"""
Why a session that runs does not get on, if it does not: the first row that is true.

====================================  ======================
what is known                         the reason
====================================  ======================
a question is open                    waiting for input
its provider stops it for a time      rate limited
its agent tries something again       retrying
its agent has said nothing for long   stalled
it has done its work, and stays       waiting for a message
====================================  ======================

A session of Loki Mode has reasons of its own, which are about requests to it.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import msgspec

from loki_twisted.agents.outputs import Trouble, Verdict
from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import ReasonCode, Session, SessionStatus
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.sessions.state import SessionState

_TROUBLES: Final = {
    Trouble.RATE_LIMITED: ReasonCode.RATE_LIMITED,
    Trouble.RETRYING: ReasonCode.RETRYING,
}

FLEETING: Final = frozenset(
    {
        ReasonCode.WAITING_FOR_INPUT,
        ReasonCode.WAITING_FOR_MESSAGE,
        ReasonCode.RATE_LIMITED,
        ReasonCode.RETRYING,
        ReasonCode.STALLED,
    }
)
"""The reasons that are made here, and so may be taken back here."""


@attrs.frozen(slots=True)
class Condition:
    """
    A reason.

    :ivar until: ISO 8601.
    """

    code: ReasonCode | None = None
    words: str | None = None
    until: str | None = None


_FINE: Final = Condition()


def condition_of(state: SessionState, *, stays: bool) -> Condition:
    """
    Say why a session that runs does not get on.

    :param stays: Whether it was to stay for more messages when its agent has done its work.
    """
    talk = state.talk
    if state.inputs:
        first = min(state.inputs.values(), key=lambda each: (each.created_at, each.id))
        more = f" And {len(state.inputs) - 1} more." if len(state.inputs) > 1 else ""
        return Condition(ReasonCode.WAITING_FOR_INPUT, f"{first.prompt}{more}", first.expires_at)
    if talk.trouble is not None:
        until = None if talk.trouble_until is None else iso_from_ms(talk.trouble_until)
        return Condition(_TROUBLES[talk.trouble], talk.trouble_words, until)
    if talk.is_stalled:
        return Condition(ReasonCode.STALLED, "Its agent has said nothing for long.")
    if _waits_for_more(state, stays=stays):
        return Condition(
            ReasonCode.WAITING_FOR_MESSAGE, "It has done its work, and stays for more."
        )
    return _FINE


def _waits_for_more(state: SessionState, *, stays: bool) -> bool:
    """
    Whether its agent can have more to do, and has none until people say something.

    One that is not to stay ends in a moment, or goes on by itself; but not one that people told to
    leave off.
    """
    talk = state.talk
    takes_more = state.session.accepts_input and not talk.input_ends
    stays = stays or talk.verdict is Verdict.INTERRUPTED
    return bool(talk.turn and not talk.turn_is_on and takes_more and stays)


def with_condition(state: SessionState, *, stays: bool = False) -> tuple[SessionState, list[Fact]]:
    """
    Put the reason of a session that runs right.

    :param stays: See :func:`condition_of`.
    :returns: The state, and the event for it if the reason is another one now.
    """
    session = state.session
    is_ours = session.reason_code is None and session.reason is None
    if session.status is not SessionStatus.RUNNING or not (
        is_ours or session.reason_code in FLEETING
    ):
        return state, []
    now = condition_of(state, stays=stays)
    if now == Condition(session.reason_code, session.reason, session.reason_until):
        return state, []
    changed = msgspec.structs.replace(
        session, reason=now.words, reason_code=now.code, reason_until=now.until
    )
    return attrs.evolve(state, session=changed), [updated(changed)]


def updated(session: Session) -> Fact:
    """The event that says why a session stands where it stands."""
    said: dict[str, Any] = {
        "status": str(session.status),
        "reason": session.reason,
        "reasonCode": session.reason_code,
    }
    if session.reason_until is not None:
        said["until"] = session.reason_until
    stalled = session.reason_code is ReasonCode.STALLED
    return Fact("session:stalled" if stalled else "session:updated", said)
