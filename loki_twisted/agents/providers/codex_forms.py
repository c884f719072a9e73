"""
Forms that MCP servers ask codex's client to fill in: each of their fields is put as a question.

A form is filled in when all of them are answered. It is declined as a whole by one who declines any
of them, and where a field that is required is left empty or cannot be what its type says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from loki_twisted.agents.outputs import Asked
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.members import list_of, object_of, text_of
from loki_twisted.model.inputs import Effect, InputKind, Option

REFUSED: Final = "(decline)"
"""The answer that declines the whole form. No field of a sound mind has it as a value."""

_MOST_FIELDS: Final = 20
_MOST_CHOICES: Final = 100
_MOST_PROMPT: Final = 4096
_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Something that is asked for.

    :ivar type: As JSON Schema calls it.
    """

    name: str
    type: str = "string"
    is_required: bool = False


@attrs.frozen(slots=True)
class Question:
    """
    A field as it is put to people.

    :ivar options: Empty where any text will do.
    """

    field: Field
    words: str
    options: Sequence[Option]
    default: str | None


def questions_of_schema(schema: Mapping[str, Any]) -> Sequence[Question] | None:
    """
    Read what a form asks for.

    :returns: Nothing where the form only wants a yes; None where it is more than people fill in.
    """
    properties = object_of(schema, "properties")
    required = list_of(schema, "required")
    if len(properties) > _MOST_FIELDS:
        return None
    return [_question(name, properties, name in required) for name in properties]


def _question(name: str, properties: Mapping[str, Any], is_required: bool) -> Question:
    said = object_of(properties, name)
    field = Field(name, text_of(said, "type") or "string", is_required)
    title, description = text_of(said, "title") or name, text_of(said, "description")
    default = said.get("default")
    return Question(
        field,
        f"{title}: {description}" if description else title,
        _options(field, said),
        _as_answer(default) if isinstance(default, str | int | float) else None,
    )


def _options(field: Field, said: Mapping[str, Any]) -> Sequence[Option]:
    if field.type == "boolean":
        return [Option(value="true", label="Yes"), Option(value="false", label="No")]
    source = object_of(said, "items") if field.type == "array" else said
    titles = list_of(source, "enumNames")
    plain = [each for each in list_of(source, "enum") if isinstance(each, str)]
    named = [
        (text_of(each, "const"), text_of(each, "title"))
        for each in (*list_of(source, "oneOf"), *list_of(source, "anyOf"))
    ]
    pairs = [*zip(plain, titles if len(titles) == len(plain) else plain, strict=True), *named]
    return [
        Option(value=value, label=telling.name(label or value))
        for value, label in pairs[:_MOST_CHOICES]
        if value
    ]


def asked_of_form(
    questions: Sequence[Question],
    keys: Sequence[str],
    prompt: str,
    details: Mapping[str, Any],
    agent_id: str | None,
) -> Sequence[Asked]:
    """
    Put the questions of a form.

    :param keys: One for each of them.
    :param prompt: What the form is about.
    """
    refuse = Option(value=REFUSED, label="Decline", effect=Effect.DENY)
    return [
        Asked(
            key=key,
            kind=InputKind.QUESTION,
            prompt=cut(telling.text(f"{prompt}\n{each.words}"), _MOST_PROMPT),
            details=details,
            options=[*each.options, refuse],
            multiple=each.field.type == "array",
            takes_text=not each.options,
            default=each.default,
            agent_id=agent_id,
        )
        for key, each in zip(keys, questions, strict=True)
    ]


def content_of(fields: Sequence[Field], given: Sequence[Sequence[str]]) -> Mapping[str, Any] | None:
    """
    Fill in a form.

    :param given: The values of the answer to each field.
    :returns: None for a form that is declined.
    """
    content: dict[str, Any] = {}
    for field, values in zip(fields, given, strict=True):
        if REFUSED in values:
            return None
        value = _as_type(field.type, values)
        if value is not None:
            content[field.name] = value
        elif field.is_required:
            return None
    return content


def _as_type(kind: str, values: Sequence[str]) -> Any:
    """An answer as its type wants it, or None where it cannot be that."""
    if kind == "array":
        return list(values)
    said = values[0] if values else ""
    if kind == "boolean":
        return {"true": True, "false": False}.get(said)
    if kind in {"integer", "number"}:
        return _as_number(said, is_whole=kind == "integer")
    return said or None


def _as_number(said: str, *, is_whole: bool) -> float | None:
    if is_whole:
        return int(said) if _WHOLE.fullmatch(said) else None
    try:
        number = float(said)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _as_answer(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
