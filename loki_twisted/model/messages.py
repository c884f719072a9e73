"""What people tell an agent while it works: messages, which wait until it can take them."""

from __future__ import annotations

from enum import StrEnum

import attrs
import msgspec


class Delivery(StrEnum):
    """When a message is wanted to reach the agent."""

    NOW = "now"
    """At once, into what it is doing, if it can take that; else as ``next``."""
    NEXT = "next"
    """When it has done what it is doing."""


class MessageStatus(StrEnum):
    """Where a message stands."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    """The agent has it."""
    DROPPED = "dropped"
    """The agent will never have it; ``reason`` says why."""


class Message(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    One message, as it is stored and as it is on the wire.

    :ivar id: ``message_<ms>_<8 hex>``.
    :ivar created_at: ISO 8601 UTC with milliseconds; so is ``settled_at``.
    :ivar settled_at: When it was delivered or dropped.
    :ivar sent_by: Who sent it: the name of a token, or ``local`` for who needs none.
    """

    id: str
    session_id: str
    text: str
    created_at: str
    delivery: Delivery = Delivery.NEXT
    status: MessageStatus = MessageStatus.QUEUED
    settled_at: str | None = None
    sent_by: str | None = None
    reason: str | None = None


@attrs.frozen(slots=True)
class MessagePage:
    """
    A page of messages, newest first.

    :ivar total: How many there are in all.
    """

    messages: tuple[Message, ...]
    total: int
