"""
Forms that an MCP server of Claude Code wants filled in: an object of plain values.

Each value is a question of its own, and each can be answered with a refusal of the whole form.
Where there is no form, there is only the choice to go on or not.
"""

from __future__ import annotations

import json
from typing import Any, Final

from loki_twisted.agents.outputs import Asked
from loki_twisted.agents.providers.claude_memory import Memory, OpenRequest, Purpose
from loki_twisted.agents.providers.claude_reading import Line
from loki_twisted.agents.providers.members import object_of, objects_of, text_of, texts_of
from loki_twisted.agents.providers.telling import name, text
from loki_twisted.model.inputs import Answer, Effect, InputKind, Option

_ACCEPT: Final = "accept"
_DECLINE: Final = "decline"
_YES: Final = "yes"

_MOST_FIELDS: Final = 10
_MOST_KEPT: Final = 2 * 1024
"""Bytes of the names of the fields."""

_DECLINES: Final = Option(value=_DECLINE, label="Decline", effect=Effect.DENY)


def ask_form(
    memory: Memory, request_id: str, request: Line
) -> tuple[OpenRequest, list[Asked]] | None:
    """
    Ask for each value.

    :returns: None if there are too many.
    """
    message = text(text_of(request, "message")) or "An MCP server asks for something."
    details = {
        field: text(text_of(request, said))
        for field, said in (("server", "mcp_server_name"), ("url", "url"))
        if text_of(request, said)
    }
    properties = object_of(object_of(request, "requested_schema"), "properties")
    fields = [(each, schema) for each, schema in properties.items() if isinstance(schema, dict)]
    kept = json.dumps([[each, text_of(schema, "type")] for each, schema in fields])
    is_short = len(fields) <= _MOST_FIELDS and len(kept) <= _MOST_KEPT
    if not is_short or not memory.has_room(kept):
        return None
    if not fields:
        asked = [_whole(request_id, message, details)]
    else:
        asked = [
            _field(f"{request_id}#{part}", message, details, *each)
            for part, each in enumerate(fields)
        ]
    return OpenRequest(request_id, Purpose.FORM, len(asked), kept), asked


def _whole(request_id: str, message: str, details: dict[str, Any]) -> Asked:
    return Asked(
        key=f"{request_id}#0",
        kind=InputKind.QUESTION,
        prompt=message,
        details=details,
        options=[_DECLINES, Option(value=_ACCEPT, label="Accept", effect=Effect.ALLOW)],
        default=_DECLINE,
    )


def _field(key: str, message: str, details: dict[str, Any], field: str, schema: Line) -> Asked:
    title = name(text_of(schema, "title") or field)
    description = text(text_of(schema, "description"))
    choices = _choices(schema)
    return Asked(
        key=key,
        kind=InputKind.QUESTION,
        prompt=f"{message} ({title})",
        details={**details, "field": name(field), "description": description},
        options=[*choices, _DECLINES],
        multiple=schema.get("type") == "array",
        takes_text=not choices,
        default=_DECLINE,
    )


def _choices(schema: Line) -> list[Option]:
    if schema.get("type") == "boolean":
        return [Option(value=_YES, label="Yes"), Option(value="no", label="No")]
    listed = object_of(schema, "items") if schema.get("type") == "array" else schema
    values = texts_of(listed, "enum")
    titles = texts_of(listed, "enumNames")
    if not values:
        named = objects_of(listed, "oneOf") or objects_of(listed, "anyOf")
        values = [text_of(each, "const") for each in named]
        titles = [text_of(each, "title") for each in named]
    labels = dict(zip(values, titles, strict=False))
    return [
        Option(value=name(each), label=name(labels.get(each) or each))
        for each in dict.fromkeys(values)
        if each and each != _DECLINE
    ]


def is_declined(answer: Answer) -> bool:
    """Whether an answer refuses the whole form."""
    return _DECLINE in answer.values


def response_of_form(request: OpenRequest) -> dict[str, Any]:
    """Say what was filled in."""
    if any(is_declined(answer) for _, answer in request.answers):
        return {"action": "decline"}
    fields = json.loads(request.input)
    content = {
        fields[part][0]: _value(fields[part][1], answer)
        for part, answer in request.answers
        if part < len(fields)
    }
    return {"action": "accept", "content": content}


def _value(kind: str, answer: Answer) -> Any:
    """A value as its schema wants it; as it is, where it is none of that: the server says so."""
    said = answer.values[0] if answer.values else ""
    if kind == "array":
        return list(answer.values)
    if kind == "boolean":
        return said == _YES
    if kind in ("integer", "number"):
        try:
            return int(said) if kind == "integer" else json.loads(said)
        except ValueError:
            return said
    return said
