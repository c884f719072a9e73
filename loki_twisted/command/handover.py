"""
Handing words on to the other ``loki``.

Loki Mode has a command of the same name with some eighty words; ours knows
``serve``. So that both can be installed, every other word goes to the next
``loki`` on PATH that is not ours.

A launcher that only starts us again (a version manager's shim) does not look like ours.
It is recognised by coming back: ``exec`` keeps the process id, so what this very
process was already handed to is not tried a second time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from loki_twisted.agents.providers.programs import maybe_loki_mode

GUARD: Final = "LOKI_TWISTED_HANDED_TO"
"""Environment variable: the process id, and the paths that it was handed to."""

INSTEAD: Final[Mapping[str, str]] = {
    "start": "lokictl start",
    "run": "lokictl start",
    "stop": "lokictl stop ID",
    "pause": "lokictl pause ID",
    "resume": "lokictl resume ID",
    "steer": "lokictl input ID TEXT",
    "status": "lokictl ps",
    "ps": "lokictl ps",
    "logs": "lokictl tail",
    "watch": "lokictl tail",
    "tail": "lokictl tail",
    "cleanup": "lokictl rm ID",
    "doctor": "lokictl health",
    "health": "lokictl health",
    "demo": "lokictl demo",
    "dashboard": "loki serve",
    "api": "loki serve",
}
"""What there is here for words of Loki Mode."""


def other_lokis(search_path: str) -> Iterator[str]:
    """Go through the programs called ``loki`` that are not ours, in the order of PATH."""
    for place in search_path.split(os.pathsep):
        found = maybe_loki_mode(place, sys.executable)
        if found is not None:
            yield found


def already_handed_to(guard: str, process_id: int) -> tuple[str, ...]:
    """
    Read back the guard variable.

    :returns: The paths that this process was handed to; those of another process do not count.
    """
    owner, _, paths = guard.partition(os.pathsep)
    return tuple(paths.split(os.pathsep)) if owner == str(process_id) and paths else ()


def hand_over(arguments: Sequence[str]) -> str:
    """
    Become the next ``loki``, with the same arguments.

    :returns: Only if that was not possible: why, as one line.
    :raises OSError: if there is one that cannot be started.
    """
    tried = already_handed_to(os.environ.get(GUARD, ""), os.getpid())
    for program in other_lokis(os.environ.get("PATH", os.defpath)):
        if program not in tried:
            guard = os.pathsep.join((str(os.getpid()), *tried, program))
            environment = {**os.environ, GUARD: guard}
            os.execve(program, [program, *arguments], environment)  # noqa: S606  # no shell is the point
    return nobody_to_hand_to(arguments[0])


def nobody_to_hand_to(word: str) -> str:
    """Say that there is no other ``loki``, and what there is here instead."""
    known = INSTEAD.get(word)
    instead = f"try: {known}" if known else "see lokictl --help"
    return f"loki: {word!r} is a word of Loki Mode, which is not on PATH; {instead}"
