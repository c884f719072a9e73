"""What an agent asks people for: a permission, an answer, the approval of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs
import msgspec


class InputKind(StrEnum):
    """What is asked for."""

    PERMISSION = "permission"
    """To do something, with a tool most of the time."""
    QUESTION = "question"
    """An answer, out of some or in words."""
    PLAN = "plan"
    """To go on with a plan."""


class InputStatus(StrEnum):
    """Where an input stands. Only what is open changes."""

    OPEN = "open"
    ANSWERED = "answered"
    """By somebody, or by the policy for what nobody answers in time."""
    WITHDRAWN = "withdrawn"
    """The agent no longer wants to know, or is gone."""


class Effect(StrEnum):
    """What an option means, where it means one of these to everybody."""

    ALLOW = "allow"
    DENY = "deny"


class Option(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    One of the answers that can be chosen.

    :ivar value: What an answer says to choose it.
    :ivar label: What people read.
    """

    value: str
    label: str
    description: str | None = None
    effect: Effect | None = None


class Answer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    An answer to an input. Two equal ones are the same answer.

    :ivar values: Of the options that were chosen, or one text where no option was.
    :ivar message: Words beside that, for example why not.
    """

    values: tuple[str, ...]
    message: str | None = None


class Input(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    Something that an agent asks for, as it is stored and as it is on the wire.

    :ivar id: ``input_<ms>_<8 hex>``.
    :ivar prompt: The question, in words.
    :ivar details: What it is about: ``tool``, ``arguments``, ``path``, ``reason`` and the like.
    :ivar options: What can be chosen; empty where any text is an answer.
    :ivar multiple: Whether several may be chosen.
    :ivar takes_text: Whether a text that is none of the options is an answer too.
    :ivar default: The value that stands for "as you like", where the agent named one.
    :ivar created_at: ISO 8601 UTC with milliseconds; so are ``expires_at`` and ``answered_at``.
    :ivar expires_at: When the policy answers in people's place; None for never.
    :ivar answered_by: Who answered: the name of a token, ``local`` for who needs none, or
        ``policy``.
    :ivar reason: Why it was withdrawn, or what the policy went by, in words.
    """

    id: str
    session_id: str
    kind: InputKind
    prompt: str
    created_at: str
    status: InputStatus = InputStatus.OPEN
    details: Mapping[str, Any] = {}
    options: tuple[Option, ...] = ()
    multiple: bool = False
    takes_text: bool = False
    default: str | None = None
    agent_id: str | None = None
    expires_at: str | None = None
    answer: Answer | None = None
    answered_by: str | None = None
    answered_at: str | None = None
    reason: str | None = None


@attrs.frozen(slots=True)
class InputPage:
    """
    A page of inputs, newest first.

    :ivar total: How many there are in all.
    """

    inputs: tuple[Input, ...]
    total: int
