"""
The lines of the bridges (``agents/bridges/``), as drivers see them.

A bridge says its own lines with a key, which its first line tells. A line with another key is
something that its program printed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from loki_twisted.agents import bridges
from loki_twisted.agents.bridges.voice import MARK
from loki_twisted.agents.driving import IMachine
from loki_twisted.agents.outputs import Write
from loki_twisted.agents.providers.members import Fields, maybe_text

BEGIN: Final = "begin"
"""The kind of the first line."""

_PROGRAM: Final = str(Path(bridges.__file__).with_name("__main__.py"))

_decode: Final = msgspec.json.Decoder().decode


def bridged(machine: IMachine, name: str, *arguments: str, argv: Sequence[str]) -> Sequence[str]:
    """
    Say how a program is run behind a bridge.

    :param name: Of the bridge.
    :param arguments: Of the bridge.
    :param argv: The absolute path of the program, and its arguments; empty if it runs none.
    """
    program = ["--", *argv] if argv else []
    return [machine.python, "-I", "-S", _PROGRAM, name, *arguments, *program]


def maybe_fields(text: str) -> Fields | None:
    """Read a line as a JSON object; None if it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def key_of(found: Fields, key: str) -> str | None:
    """
    Say whether a line is the bridge's.

    :param found: What the line holds.
    :param key: As it was told; empty before that.
    :returns: The key; None if the line is not the bridge's.
    """
    said = maybe_text(found, "key")
    if not said or MARK not in found:
        return None
    if key:
        return key if said == key else None
    return said if found[MARK] == BEGIN else None


def order(**fields: Any) -> Write:
    """An order to a bridge."""
    return Write(json.dumps(fields) + "\n")
