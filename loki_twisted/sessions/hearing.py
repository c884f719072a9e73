"""What a driver says of lines, and what is made of that before it changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import Freed, Hindered, Output
from loki_twisted.model.events import Fact
from loki_twisted.model.redaction import Redactor
from loki_twisted.sessions.masking import masked
from loki_twisted.sessions.talk import Talk

_ERROR_LINES: Final = 5
_ERROR_CHARACTERS: Final = 300

LINES_LOST: Final = Fact(
    "log:error",
    {"level": "error", "message": "Lines were not understood: they stand in its output alone."},
)
"""What is told of lines that could not be made into anything."""


def heard(
    driver: IDriver, stream: str, lines: Sequence[str], talk: Talk, redactor: Redactor
) -> list[Output]:
    """Ask a driver what lines mean, and take the secrets out of that."""
    ask = driver.line
    outputs = [output for line in lines for output in ask(stream, line)]
    # Who remembers something may tell by these lines what stood in others.
    if talk.memory or driver.memory() or redactor.may_concern(lines):
        outputs = [masked(each, redactor) for each in outputs]
    return freed_by_work(outputs, is_hindered=talk.trouble is not None)


def last_errors(known: Sequence[str], outputs: Iterable[Output]) -> tuple[str, ...]:
    """The last lines of standard error that say something, as they were told."""
    messages = (each.data.get("message") for each in outputs if type(each) is Fact)
    said = [each.strip()[:_ERROR_CHARACTERS] for each in messages if isinstance(each, str)]
    return (*known, *filter(None, said[-_ERROR_LINES:]))[-_ERROR_LINES:]


def freed_by_work(outputs: list[Output], *, is_hindered: bool) -> list[Output]:
    """Say at each place where an agent that was hindered is at work that it gets on again."""
    if not is_hindered and not any(type(each) is Hindered for each in outputs):
        return outputs
    said: list[Output] = []
    for output in outputs:
        if is_hindered and _is_at_work(output):
            said.append(Freed())
            is_hindered = False
        elif isinstance(output, Hindered | Freed):
            is_hindered = isinstance(output, Hindered)
        said.append(output)
    return said


def _is_at_work(output: Output) -> bool:
    return type(output) is Fact and output.type == "agent:output"
