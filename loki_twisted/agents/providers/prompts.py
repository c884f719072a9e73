"""What a session is about, as one text that no command line takes for anything else."""

from __future__ import annotations

from typing import Final

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.model.errors import InvalidRequest

MAX_ARGUMENT: Final = 120_000
"""Limit of a text on a command line, in bytes; Linux has 131,071 for one argument."""


def check_texts(request: LaunchRequest) -> None:
    """
    Make sure that what a request says can stand on a command line.

    :raises InvalidRequest: naming all fields that cannot.
    """
    faults = []
    command = enumerate(request.command or ())
    for field, value in (
        ("prompt", request.prompt),
        ("prdPath", request.prd_path),
        ("model", request.model),
        *((f"command.{index}", word) for index, word in command),
    ):
        problem = None if value is None else _problem_of(value)
        if problem is not None:
            faults.append((field, problem))
    if request.model is not None and request.model.startswith("-"):
        faults.append(("model", f"{request.model!r} begins with '-', as no model does"))
    if faults:
        raise InvalidRequest.of(faults)


def _problem_of(value: str) -> str | None:
    if "\0" in value:
        return "holds a NUL character"
    try:
        size = len(value.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return "holds a character that is none (a lone surrogate)"
    if size > MAX_ARGUMENT:
        return f"has {size} bytes, where a command line takes {MAX_ARGUMENT}; put it into a file"
    return None


def maybe_prompt(request: LaunchRequest) -> str | None:
    """The prompt of a request, or None where it says nothing."""
    said = (request.prompt or "").strip()
    return as_argument(said) if said else None


def prompt_of(request: LaunchRequest) -> str:
    """
    Make the prompt for an agent that works on one.

    :raises InvalidRequest: if the request has neither prompt nor PRD.
    """
    said, prd = maybe_prompt(request), request.prd_path
    if said is not None and prd is not None:
        return f"{said}\n\nThe product requirements document is {prd}: read it first."
    if said is not None:
        return said
    if prd is not None:
        return (
            f"Read the product requirements document {prd} and implement what it asks for "
            "in the current directory."
        )
    raise InvalidRequest.of(
        [("prompt", f"{request.provider} needs a prompt or a prdPath to work on")]
    )


def as_argument(text: str) -> str:
    """
    Make sure that a text is taken for a text.

    A parser of options takes what begins with a dash for an option, many take a single word for
    a sub-command (``update``), and some a word for a path. A few words in front cost nothing.
    """
    if text.startswith("-") or not any(character.isspace() for character in text):
        return f"Your task: {text}"
    return text
