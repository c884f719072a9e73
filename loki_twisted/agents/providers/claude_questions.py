"""Questions of Claude Code: its tool for them is a permission that is given with the answers."""

from __future__ import annotations

import json
from typing import Any, Final

from loki_twisted.agents.outputs import Asked
from loki_twisted.agents.providers.claude_memory import Memory, OpenRequest, Purpose
from loki_twisted.agents.providers.claude_reading import Line
from loki_twisted.agents.providers.members import object_of, objects_of, text_of
from loki_twisted.agents.providers.telling import name, text
from loki_twisted.agents.providers.tidying import is_longer
from loki_twisted.model.inputs import InputKind, Option

QUESTIONS: Final = "AskUserQuestion"
"""The tool."""

_MOST_QUESTIONS: Final = 10
_MOST_INPUT: Final = 16 * 1024
"""Bytes of questions that are asked. They have to be sent back with the answers."""


def ask_questions(
    memory: Memory, request_id: str, request: Line
) -> tuple[OpenRequest, list[Asked]] | None:
    """
    Ask each question.

    :returns: None if there are none, or if they are too many or too long.
    """
    arguments = object_of(request, "input")
    if is_longer(arguments, _MOST_INPUT):
        return None
    questions = _questions_of(arguments)
    kept = json.dumps(arguments)
    is_short = len(questions) <= _MOST_QUESTIONS and len(kept) <= _MOST_INPUT
    if not questions or not is_short or not memory.has_room(kept):
        return None
    opened = OpenRequest(request_id, Purpose.QUESTIONS, len(questions), kept)
    return opened, [_asked(opened.key(part), each) for part, each in enumerate(questions)]


def _questions_of(arguments: Line) -> list[dict[str, Any]]:
    return [each for each in objects_of(arguments, "questions") if text_of(each, "question")]


def _asked(key: str, question: Line) -> Asked:
    header = text(text_of(question, "header"))
    return Asked(
        key=key,
        kind=InputKind.QUESTION,
        prompt=text(text_of(question, "question")),
        details={"tool": QUESTIONS, **({"header": header} if header else {})},
        options=list(_options(question).values()),
        multiple=question.get("multiSelect") is True,
        takes_text=True,
    )


def _options(question: Line) -> dict[str, Option]:
    """What can be chosen, by its value; of two of a value the first."""
    options: dict[str, Option] = {}
    for each in objects_of(question, "options"):
        value = name(text_of(each, "label")).strip()
        if value:
            description = text(text_of(each, "description")) or None
            options.setdefault(value, Option(value=value, label=value, description=description))
    return options


def response_of_questions(request: OpenRequest) -> dict[str, Any]:
    """Say what was answered, in its own words for what could be chosen."""
    arguments = json.loads(request.input)
    questions = _questions_of(arguments)
    answers: dict[str, str] = {}
    for part, answer in sorted(request.answers, key=lambda each: each[0]):
        question = questions[part]
        labels = {
            name(text_of(each, "label")).strip(): text_of(each, "label")
            for each in reversed(objects_of(question, "options"))
        }
        chosen = ", ".join(labels.get(value, value) for value in answer.values)
        answers[text_of(question, "question")] = (
            f"{chosen}. {answer.message}" if answer.message else chosen
        )
    return {"behavior": "allow", "updatedInput": {**arguments, "answers": answers}}
