"""Questions of agents: which one is meant, what an answer in words means. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from loki_twisted.command.colours import Palette
from loki_twisted.command.formatting import duration, plain
from loki_twisted.command.names import NoSuchName, fits, short
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.inputs import Input, Option
from loki_twisted.model.timestamps import ms_from_iso

_MOST_DETAIL: Final = 300
_TOLD_ELSEWHERE: Final = frozenset({"options", "choices", "prompt"})


def choose_question(name: str, questions: Sequence[Input]) -> Input:
    """
    Find the open question that a name means.

    :param name: Of the question, or of the session that asks.
    :param questions: All that are open.
    :raises NoSuchName: with one line that says what to do.
    """
    whole = [each for each in questions if name in {each.id, each.session_id}]
    fitting = whole or [
        each for each in questions if fits(name, each.id) or fits(name, each.session_id)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise NoSuchName(f"{name!r} is no open question; see which there are: lokictl inbox")
    some = ", ".join(short(each.id) for each in fitting)
    raise NoSuchName(f"{name!r} fits {len(fitting)} questions; name one: {some}")


def read_answer(asked: Input, words: Sequence[str]) -> str | list[str]:
    """
    Read an answer.

    :param words: For each answer the value, the label or the number of an option, or a text.
        Several words are one text, unless several options may be chosen.
    :returns: What to send.
    :raises InvalidRequest: if it is none of those that there are.
    """
    text = " ".join(words).strip()
    option = maybe_option(asked, text)
    if option is not None:
        return [option.value] if asked.multiple else option.value
    if asked.multiple:
        parts = [part for word in words for part in word.replace(",", " ").split()]
        chosen = [maybe_option(asked, part) for part in parts]
        values = [option.value for option in chosen if option is not None]
        if values and len(values) == len(parts):
            return values
    if text and (asked.takes_text or not asked.options):
        return text
    raise InvalidRequest(f"{text!r} is none of the answers: {', '.join(_choices(asked))}")


def maybe_option(asked: Input, text: str) -> Option | None:
    """Find the option that a text means: by its value, its label, or its number from 1."""
    folded = text.casefold()
    for option in asked.options:
        if text == option.value:
            return option
    for option in asked.options:
        if folded in {option.value.casefold(), option.label.casefold()}:
            return option
    is_number = text.isascii() and text.isdigit() and len(text) <= len("999")
    number = int(text) if is_number else 0
    return asked.options[number - 1] if 0 < number <= len(asked.options) else None


def _choices(asked: Input) -> Iterator[str]:
    for number, option in enumerate(asked.options, 1):
        same = option.label.casefold() == option.value.casefold()
        yield f"{number} {option.value}" + ("" if same else f" ({option.label})")


def question_lines(asked: Input, now_ms: int, palette: Palette) -> list[str]:
    """Write a question as lines: whose it is, what it is, what it is about, what can be said."""
    name = palette.paint("bold", plain(short(asked.id)))
    head = f"{name} {palette.paint('magenta', asked.kind.value)}"
    left = time_left(asked, now_ms)
    asker = f"by {short(asked.session_id)}"
    lines = [" ".join(part for part in (head, plain(asker), left) if part)]
    lines.append(f"  {plain(asked.prompt)}")
    about = {name: asked.details[name] for name in asked.details if name not in _TOLD_ELSEWHERE}
    lines.extend(f"  {plain(name)}: {_detail(value)}" for name, value in about.items())
    lines.extend(f"    {line}" for line in option_lines(asked))
    return lines


def option_lines(asked: Input) -> Iterator[str]:
    """Write what can be answered, a line each."""
    for choice, option in zip(_choices(asked), asked.options, strict=True):
        more = [option.description, "(default)" if option.value == asked.default else None]
        yield plain(" - ".join(part for part in (choice, *more) if part))
    if asked.multiple:
        yield "or several of these"
    if asked.takes_text or not asked.options:
        yield "or any words" if asked.options else "any words"


def time_left(asked: Input, now_ms: int) -> str:
    """Say how long it may still be answered; nothing if that is for ever."""
    if asked.expires_at is None:
        return ""
    try:
        return f"({duration(ms_from_iso(asked.expires_at) - now_ms)} left)"
    except ValueError:
        return ""


def _detail(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = plain(text)
    return line if len(line) <= _MOST_DETAIL else f"{line[:_MOST_DETAIL]}..."
