"""
What an agent of the Agent Client Protocol asks people for, and their answers in its words.

A permission has the options that the agent gives. It can always be denied, also where none of them
says so: then the answer is that it was cancelled.

A form (``elicitation/create``) is asked field by field, and answered when all of them are. It can
be declined by any of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from loki_twisted.agents.outputs import Asked
from loki_twisted.agents.providers.acp_content import short, text_of_call
from loki_twisted.agents.providers.acp_state import Call, Field, Question
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.objects import MAX_NUMBER
from loki_twisted.agents.providers.telling import arguments_of, text
from loki_twisted.model.inputs import Answer, Effect, InputKind, Option

CANCELLED: Final[Mapping[str, Any]] = {"outcome": {"outcome": "cancelled"}}
"""The answer to a permission that nobody decides any more."""

NOT_ANSWERED: Final[Mapping[str, Any]] = {"action": "cancel"}
"""The answer to a form that nobody fills in any more."""

DECLINED: Final[Mapping[str, Any]] = {"action": "decline"}

CANCEL: Final = "(cancel)"
"""The value of our own option of a permission."""

DECLINE: Final = "(decline)"
"""The value of our own option of a field of a form."""

ACCEPT: Final = "(accept)"
"""The value of our own option of a form without fields."""

_MOST_OPTIONS: Final = 32
_MOST_FIELDS: Final = 8
_MOST_OF_FIELD: Final = 128
"""Bytes of the name of a field."""

_MOST_OF_CONTENT: Final = 16 * 1024

_EFFECTS: Final[Mapping[str, Effect]] = {
    # In this order: the policy takes the first of an effect, which is to go least far.
    "allow_once": Effect.ALLOW,
    "allow_always": Effect.ALLOW,
    "reject_once": Effect.DENY,
    "reject_always": Effect.DENY,
}

_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array"})
_WORDS: Final = frozenset({"string", "number", "integer"})
"""Types of fields that take any text, where the form names no values."""


def permission(key: str, params: Mapping[str, Any], call: Call, call_id: str) -> Asked:
    """
    Ask for a permission.

    :param call: What is known of the call that it is for.
    """
    about = params.get("toolCall")
    about = about if isinstance(about, dict) else {}
    details: dict[str, Any] = {"tool": call.tool, "callId": call_id}
    arguments = about.get("rawInput")
    if arguments:
        told = arguments_of(arguments)
        details["arguments"] = told.get("input", told["output"])
    content = text_of_call({"content": about.get("content")})
    if content:
        details["content"] = cut(content, _MOST_OF_CONTENT)
    return Asked(
        key=key,
        kind=InputKind.PLAN if about.get("kind") == "switch_mode" else InputKind.PERMISSION,
        prompt=_prompt_of(call, arguments),
        details=details,
        options=_permission_options(params.get("options")),
    )


def _prompt_of(call: Call, arguments: Any) -> str:
    """The title of a call, and the command that it runs, where some are titled by their purpose."""
    title = call.title or call.tool
    command = short(arguments.get("command")) if isinstance(arguments, dict) else ""
    return title if command in title else f"{title}: {command}"


def _permission_options(given: Any) -> Sequence[Option]:
    known = [each for each in _items(given) if isinstance(each, dict) and _value(each, "optionId")]
    ranks = list(_EFFECTS)
    known.sort(key=lambda each: _rank(ranks, each.get("kind")))
    options = [
        Option(
            value=each["optionId"],
            label=short(each.get("name")) or each["optionId"],
            effect=_EFFECTS.get(short(each.get("kind"))),
        )
        for each in known
    ]
    if all(each.effect is not Effect.DENY for each in options):
        options.append(Option(value=CANCEL, label="Cancel", effect=Effect.DENY))
    return options


def _rank(ranks: Sequence[str], kind: Any) -> int:
    return ranks.index(kind) if kind in ranks else len(ranks)


def permission_result(answer: Answer) -> Mapping[str, Any]:
    """Say what was decided."""
    if not answer.values or answer.values[0] == CANCEL:
        return CANCELLED
    return {"outcome": {"outcome": "selected", "optionId": answer.values[0]}}


def form(key: str, params: Mapping[str, Any]) -> tuple[Question, Sequence[Asked]] | None:
    """
    Ask for what a form wants.

    :returns: What is to be remembered of it, and each question; None for a form that cannot be
        asked: it is none, has too many fields, or fields of unknown types.
    """
    schema = params.get("requestedSchema")
    properties = schema.get("properties", {}) if isinstance(schema, dict) else None
    if params.get("mode") != "form" or not isinstance(properties, dict):
        return None
    fields = [(name, each) for name, each in properties.items() if _is_field(name, each)]
    if len(fields) != len(properties) or len(fields) > _MOST_FIELDS:
        return None
    message = text(params.get("message"))
    if not fields:
        return Question(form=()), [_confirmation(key, message)]
    known = tuple(Field(name, each["type"]) for name, each in fields)
    asked = [
        _question(field_key(key, number), message, name, each, len(fields) == 1)
        for number, (name, each) in enumerate(fields)
    ]
    return Question(form=known), asked


def field_key(request_id: str, number: int) -> str:
    """The key of a field's question."""
    return f"{request_id}/{number}"


def form_keys(request_id: str, question: Question) -> Sequence[str]:
    """The keys of all questions of a request: one, or one of each field of its form."""
    if not question.form:
        return [request_id]
    return [field_key(request_id, number) for number in range(len(question.form))]


def field_value(field: Field, answer: Answer) -> Any:
    """Say what an answer means in a field; None for one that declines, or means nothing there."""
    if not answer.values or answer.values[0] == DECLINE:
        return None
    match field.type:
        case "array":
            return list(answer.values)
        case "boolean":
            return answer.values[0] == "true"
        case "string":
            return answer.values[0]
    return _maybe_number(answer.values[0], is_whole=field.type == "integer")


def confirmation_result(answer: Answer) -> Mapping[str, Any]:
    """Say whether a form without fields was accepted."""
    is_accepted = bool(answer.values) and answer.values[0] == ACCEPT
    return {"action": "accept", "content": {}} if is_accepted else DECLINED


def _maybe_number(value: str, *, is_whole: bool) -> int | float | None:
    try:
        number = int(value) if is_whole else float(value)
    except ValueError:
        return None
    return number if abs(number) < MAX_NUMBER else None


def form_result(question: Question) -> Mapping[str, Any]:
    """Say what was filled in."""
    fields = question.form or ()
    content = {each.name: question.given[str(n)] for n, each in enumerate(fields)}
    return {"action": "accept", "content": content}


def _confirmation(key: str, message: str) -> Asked:
    """A form without fields wants to know only whether one agrees."""
    options = [
        Option(value=ACCEPT, label="Accept", effect=Effect.ALLOW),
        Option(value=DECLINE, label="Decline", effect=Effect.DENY),
    ]
    return Asked(key=key, kind=InputKind.PERMISSION, prompt=message or "Go on?", options=options)


def _question(key: str, message: str, name: str, field: Mapping[str, Any], is_only: bool) -> Asked:
    options = _field_options(field)
    title = short(field.get("title")) or name
    default = field.get("default")
    if isinstance(default, bool):
        default = "true" if default else "false"
    elif isinstance(default, int | float):
        default = str(default)
    return Asked(
        key=key,
        kind=InputKind.QUESTION,
        prompt=message if is_only and message else f"{message} {title}".strip(),
        details={"field": title, "description": text(field.get("description"))},
        options=[*options, Option(value=DECLINE, label="Decline", effect=Effect.DENY)],
        multiple=field["type"] == "array",
        takes_text=not options and field["type"] in _WORDS,
        default=default if isinstance(default, str) and _is_name(default) else None,
    )


def _field_options(field: Mapping[str, Any]) -> list[Option]:
    """The values that a field names, with their titles."""
    if field["type"] == "boolean":
        return [Option(value="true", label="Yes"), Option(value="false", label="No")]
    source = field.get("items") if field["type"] == "array" else field
    source = source if isinstance(source, dict) else {}
    named = [each for each in _items(source.get("enum")) if _is_name(each)]
    if named:
        return [Option(value=each, label=each) for each in named]
    titled = _items(source.get("oneOf")) or _items(source.get("anyOf"))
    return [
        Option(
            value=each["const"],
            label=short(each.get("title")) or each["const"],
            description=short(each.get("description")) or None,
        )
        for each in titled
        if isinstance(each, dict) and _value(each, "const")
    ]


def _is_field(name: str, field: Any) -> bool:
    if not isinstance(field, dict) or short(field.get("type")) not in _TYPES:
        return False
    return _is_name(name) and len(name.encode()) <= _MOST_OF_FIELD


def _items(value: Any) -> list[Any]:
    return value[:_MOST_OPTIONS] if isinstance(value, list) else []


def _value(option: Mapping[str, Any], name: str) -> bool:
    """Whether an option has a value that can be shown, and given back, as it is."""
    return _is_name(option.get(name))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and short(value) == value
