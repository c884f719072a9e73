"""What opencode asks: permissions and questions, and how its answers are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Asked, Output, Withdrawn, Write
from loki_twisted.agents.providers.opencode.parts import flushed
from loki_twisted.agents.providers.opencode.state import (
    Ask,
    Fields,
    State,
    Told,
    agent_of,
    items,
    name_of,
    replaced,
    tidy,
    with_entry,
    without_entries,
    words_of,
)
from loki_twisted.agents.providers.programs import OPENCODE
from loki_twisted.agents.providers.telling import MAIN, text
from loki_twisted.model.inputs import Answer, Effect, InputKind, Option

PERMISSION: Final = "permission"
QUESTION: Final = "question"
REJECT: Final = "reject"

_MOST_QUESTIONS: Final = 20
_MOST_OPTIONS: Final = 50
_MOST_PATTERNS: Final = 50
_MOST_LABEL: Final = 500
_MOST_ANSWER: Final = 4096

_encode: Final = msgspec.json.Encoder().encode


def order(do: str, **rest: Any) -> Write:
    """An order for the bridge."""
    return Write(_encode({"do": do, **rest}).decode() + "\n")


def read_permission(state: State, request: Fields) -> Told:
    """It wants to do something."""
    name, session = name_of(request.get("id")), name_of(request.get("sessionID"))
    key = f"{PERMISSION}:{name}"
    if not name or key in state.asks:
        return state, ()
    state, outputs = flushed(state, session)
    what = name_of(request.get("permission")) or name_of(request.get("type")) or "a tool"
    pattern = request.get("pattern")  # as older versions say it: one, or several
    patterns = items(request.get("patterns")) or (
        pattern if isinstance(pattern, list) else [pattern]
    )
    told = [text(each)[:_MOST_LABEL] for each in patterns[:_MOST_PATTERNS] if words_of(each)]
    title = text(words_of(request.get("title")))
    always = [
        text(each) for each in items(request.get("always"))[:_MOST_PATTERNS] if words_of(each)
    ]
    details = {
        "tool": what,
        "patterns": told,
        "arguments": tidy(request.get("metadata")),
        "always": always,
    }
    asked = Asked(
        key=key,
        kind=InputKind.PERMISSION,
        prompt=title
        or ": ".join(filter(None, (f"{OPENCODE} wants to use {what}", ", ".join(told)))),
        details={field: value for field, value in details.items() if value},
        options=_choices(always),
        agent_id=_sub_agent(state, session),
    )
    ask = Ask(PERMISSION, session, name)
    return with_entry(state, "asks", key, ask), [*outputs, asked]


def _choices(always: Sequence[str]) -> Sequence[Option]:
    from_now_on = f"Until it ends, also for {', '.join(always)}"[:_MOST_LABEL] if always else None
    return (
        Option(value="once", label="Allow once", effect=Effect.ALLOW),
        Option(value="always", label="Always allow", description=from_now_on, effect=Effect.ALLOW),
        Option(value=REJECT, label="Reject", effect=Effect.DENY),
    )


def read_permission_reply(state: State, properties: Fields) -> Told:
    """It was answered, by us or by somebody else."""
    name = name_of(properties.get("requestID")) or name_of(properties.get("permissionID"))
    reply = name_of(properties.get("reply")) or name_of(properties.get("response"))
    if reply == REJECT and name_of(properties.get("sessionID")) == state.session:
        state = replaced(state, refused=True)
    return _gone(state, PERMISSION, name, f"It was answered elsewhere: {reply or 'unknown how'}.")


def read_question(state: State, request: Fields) -> Told:
    """It asks one thing or several at a time. Each is put to people by itself."""
    name, session = name_of(request.get("id")), name_of(request.get("sessionID"))
    if not name or any(
        each.word == QUESTION and each.request == name for each in state.asks.values()
    ):
        return state, ()
    questions = [each for each in items(request.get("questions")) if isinstance(each, dict)]
    if not questions or len(questions) != len(items(request.get("questions"))):
        return state, [order(REJECT, id=f"{QUESTION}:{name}", request=name)]
    if len(questions) > _MOST_QUESTIONS:
        return state, [order(REJECT, id=f"{QUESTION}:{name}", request=name)]
    state, outputs = flushed(state, session)
    told: list[Output] = list(outputs)
    for number, question in enumerate(questions):
        key = f"{QUESTION}:{name}:{number}"
        told.append(_asked(key, question, _sub_agent(state, session)))
        state = with_entry(state, "asks", key, Ask(QUESTION, session, name))
    return state, told


def _asked(key: str, question: Fields, agent_id: str | None) -> Asked:
    options: dict[str, Option] = {}
    for each in items(question.get("options"))[:_MOST_OPTIONS]:
        label = words_of(each.get("label")) if isinstance(each, dict) else words_of(each)
        value = text(label)[:_MOST_LABEL]
        if value:
            description = text(words_of(each.get("description"))) if isinstance(each, dict) else ""
            options[value] = Option(value=value, label=value, description=description or None)
    header = text(words_of(question.get("header")))
    return Asked(
        key=key,
        kind=InputKind.QUESTION,
        prompt=text(words_of(question.get("question"))) or header or "It asks something.",
        details={"header": header} if header else {},
        options=list(options.values()),
        multiple=question.get("multiple") is True,
        takes_text=question.get("custom") is not False,
        agent_id=agent_id,
    )


def read_question_reply(state: State, properties: Fields) -> Told:
    """It was answered or turned down, by us or by somebody else."""
    name = name_of(properties.get("requestID"))
    return _gone(state, QUESTION, name, "It was answered elsewhere.")


def answered(state: State, key: str, answer: Answer) -> Told:
    """
    Give an answer to opencode; of several questions that were put together with the last of them.

    :param key: One that is not known is passed over.
    """
    ask = state.asks.get(key)
    if ask is None or ask.answer is not None:
        return state, ()
    if ask.word == PERMISSION:
        value = answer.values[0] if answer.values else REJECT
        said = {"message": answer.message} if answer.message else {}
        written = order(
            PERMISSION, id=key, session=ask.session, request=ask.request, reply=value, **said
        )
        state = replaced(state, refused=True) if value == REJECT else state
        return without_entries(state, "asks", [key]), [written]
    values = tuple(each[:_MOST_ANSWER] for each in answer.values)
    state = with_entry(state, "asks", key, replaced(ask, answer=values))
    together = {
        name: each
        for name, each in state.asks.items()
        if each.word == QUESTION and each.request == ask.request
    }
    answers = [each.answer for each in together.values()]
    if None in answers:
        return state, ()
    written = order(QUESTION, id=key, request=ask.request, answers=answers)
    return without_entries(state, "asks", together), [written]


def _gone(state: State, word: str, name: str, why: str) -> Told:
    keys = [key for key, each in state.asks.items() if each.word == word and each.request == name]
    gone = [Withdrawn(key, why) for key in keys if state.asks[key].answer is None]
    return without_entries(state, "asks", keys), gone


def _sub_agent(state: State, session: str) -> str | None:
    agent_id = agent_of(state, session)[0]
    return None if agent_id == MAIN else agent_id
