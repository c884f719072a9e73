"""
What a session was started for, as it lies with its agent's files.

That is what the log has of it when its agent is started. So where the log is lost, or is a copy of
an earlier day, the session can be put on record again: with what was asked for, and its limits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

import attrs
import msgspec

from loki_twisted.agents.interface import LaunchPlan
from loki_twisted.model.sessions import Origin, Session, SessionStatus
from loki_twisted.model.spending import Spending
from loki_twisted.model.timestamps import bounded_ms, iso_from_ms, ms_from_iso
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.asking import ASKED, asked_of, cursors_of
from loki_twisted.sessions.deadlines import DEADLINE, is_deadline
from loki_twisted.sessions.state import SessionState


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is put on record of a session when its agent is started.

    :ivar session: As it stood then.
    :ivar cursors: What was stored with it: what was asked for, and until when it may run.
    :ivar counters: Totals of the conversation that it continues.
    """

    version: Literal[1] = 1
    session: Session
    cursors: Mapping[str, str]
    counters: Mapping[str, Spending] = {}


def with_intent(
    plan: LaunchPlan, state: SessionState, wanted: StartSession, deadline: Mapping[str, str]
) -> LaunchPlan:
    """
    Have a plan say what it is for.

    :param deadline: What is stored of its time, if it begins now.
    """
    session = state.session
    cursors = {**cursors_of(session.id, wanted, plan), **deadline}
    intent = Intent(session=session, cursors=cursors, counters=state.talk.counters)
    return attrs.evolve(plan, intent=msgspec.json.encode(intent).decode())


def intent_from_text(session_id: str, text: str) -> Intent:
    """
    Read it.

    :raises ValueError: if the text is none, or none of this version, or is about another session.
    """
    try:
        # Without its default: what says nothing of its version is none.
        if "version" not in msgspec.json.decode(text, type=dict[str, msgspec.Raw]):
            msg = "it has no version"
            raise ValueError(msg)
        intent = msgspec.json.decode(text, type=Intent)
        asked_of(session_id, intent.cursors)
    except (msgspec.DecodeError, KeyError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error
    _refuse_cursors(session_id, intent.cursors)
    session = intent.session
    if session.id != session_id:
        msg = f"it is about {session.id}"
        raise ValueError(msg)
    # What people read, order by and open: an agent may have written anything here.
    if iso_from_ms(bounded_ms(ms_from_iso(session.started_at))) != session.started_at:
        msg = "it began at no time"
        raise ValueError(msg)
    if not is_place(session.project_dir):
        msg = "it is about no directory"
        raise ValueError(msg)
    if session.origin is not Origin.STARTED or session.status is not SessionStatus.STARTING:
        msg = "it is not about a session that was being started"
        raise ValueError(msg)
    return intent


def is_place(path: str) -> bool:
    """Whether a path can be that of a project, and be told."""
    return os.path.isabs(path) and "\0" not in path and is_text(path)


def is_text(text: str) -> bool:
    """Whether it can be stored and told: what stands for bytes that are none cannot."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def _refuse_cursors(session_id: str, cursors: Mapping[str, str]) -> None:
    """
    See that cursors are such as :func:`with_intent` wrote. Others would be read as if they were
    ours, at this start and at each one after it.

    :raises ValueError: if not.
    """
    for name, value in cursors.items():
        of, _, part = name.rpartition("/")
        is_ours = part in ASKED or (part == DEADLINE and is_deadline(value))
        if of != session_id or not is_ours:
            msg = "it has places that are not its own"
            raise ValueError(msg)
