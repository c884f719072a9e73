"""
Lines that we write to Claude Code.

Only what JSON can say in ASCII, so that no character of a text is taken for the end of a line.
"""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID, uuid5

from loki_twisted.agents.outputs import Write
from loki_twisted.model.messages import Delivery

_MESSAGES: Final = UUID("0d4c7f6e-5b0a-4c55-9f6b-6b2f9a1e7d30")
"""The name space of our messages' ids."""

_OURS: Final = "loki-"
"""What the ids of our requests begin with."""

_PRIORITIES: Final = {
    # Its ``now`` breaks off what it is doing. With ``next`` it takes a message between two uses of
    # tools, and with ``later`` when its turn is over.
    Delivery.NOW: "next",
    Delivery.NEXT: "later",
}


def uuid_of(message_id: str) -> str:
    """The id under which Claude Code knows a message: it takes no two of one id."""
    return str(uuid5(_MESSAGES, message_id))


def prompt_line(text: str) -> Write:
    """
    Something that it is to do, beside the messages.

    Without an id: the prompts of two runs may be the same, and are to be taken twice.
    """
    return _line(_user(text))


def message_line(message_id: str, text: str, delivery: Delivery) -> Write:
    """A message."""
    known = {"uuid": uuid_of(message_id), "priority": _PRIORITIES[delivery]}
    return _line({**_user(text), **known})


def request_line(number: int, request: dict[str, Any]) -> Write:
    """
    A request of ours.

    :param number: Of our requests, from 1.
    """
    request_id = f"{_OURS}{number}"
    return _line({"type": "control_request", "request_id": request_id, "request": request})


def is_ours(request_id: str) -> bool:
    """Whether a request is one of ours."""
    return request_id.startswith(_OURS)


def response_line(request_id: str, response: dict[str, Any]) -> Write:
    """The answer to a request of its."""
    return _response({"subtype": "success", "request_id": request_id, "response": response})


def refusal_line(request_id: str, error: str) -> Write:
    """The answer to a request that we cannot serve. Without one it would wait for ever."""
    return _response({"subtype": "error", "request_id": request_id, "error": error})


def _user(text: str) -> dict[str, Any]:
    message = {"role": "user", "content": text}
    return {"type": "user", "session_id": "", "parent_tool_use_id": None, "message": message}


def _response(response: dict[str, Any]) -> Write:
    return _line({"type": "control_response", "response": response})


def _line(line: dict[str, Any]) -> Write:
    return Write(json.dumps(line, separators=(",", ":")) + "\n")
