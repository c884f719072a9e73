"""What a driver says of lines, and what is made of that before it changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from twisted.logger import Logger

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import Freed, Hindered, Output
from loki_twisted.model.events import Fact

_log = Logger()

_ERROR_LINES: Final = 5
_ERROR_CHARACTERS: Final = 300


def outputs_of(driver: IDriver, stream: str, lines: Iterable[str], session_id: str) -> list[Output]:
    """Ask a driver; a line that it cannot bear is a log line, and holds up no others."""
    outputs: list[Output] = []
    for line in lines:
        try:
            outputs += driver.line(stream, line)
        except Exception:  # noqa: BLE001 (a driver may be anybody's)
            _log.failure("The driver of {session} failed on a line.", session=session_id)
            level = "info" if stream == "stdout" else "error"
            outputs.append(Fact(f"log:{level}", {"level": level, "message": line}))
    return outputs


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
