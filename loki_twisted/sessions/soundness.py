"""
Whether what a driver says can be kept.

A driver may be anybody's. What is none of the shapes that are promised for it would not come back
from disk, or not even get there: so it is told from the others before anything is made of it.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from loki_twisted.agents.outputs import Output, Write
from loki_twisted.model.events import KIND_OF_TYPE, Fact

MOST_MEMORY: Final = 256 * 1024
"""Bytes of UTF-8 that a driver may remember."""

MOST_OUTPUT: Final = 512 * 1024
"""Bytes of JSON of an output, but for what is written to the agent: all who listen have it."""

_OUTPUTS: Final = frozenset(get_args(Output))
_encode: Final = msgspec.json.Encoder().encode
_SERVERS_OWN: Final = ("session:", "message:", "heartbeat", "input:answered", "input:withdrawn")


def sound(output: Any) -> Output:
    """
    Look at what a driver says: at the types of its fields, and whether it can be stored.

    :returns: The same, of exactly the types that are promised; or the error that is told instead.
    """
    kind = type(output)
    if kind not in _OUTPUTS:
        return error(f"The driver said what is no output: {kind.__name__}.")
    try:
        size = len(_encode(output))
        # Bytes stand for no text, and numbers are looked at as they are.
        plain = msgspec.to_builtins(output, builtin_types=(bytes, bytearray))
        made: Output = msgspec.convert(plain, kind)
    except Exception as fault:  # noqa: BLE001 (whatever an object of others may do)
        return error(f"The driver said what cannot be kept: {kind.__name__} ({fault}).")
    if size > MOST_OUTPUT and kind is not Write:
        return error(f"The driver said too much at once: {kind.__name__} of {size} bytes.")
    return _sound_fact(made) if isinstance(made, Fact) else made


def error(words: str) -> Fact:
    """Tell what is wrong with a driver."""
    return Fact("log:error", {"level": "error", "message": words})


def _sound_fact(fact: Fact) -> Fact:
    if fact.type not in KIND_OF_TYPE:
        return error(f"The driver told of what is no event: {fact.type[:100]!r}.")
    if fact.type.startswith(_SERVERS_OWN):
        return error(f"The driver told of what only the server says: {fact.type}.")
    return fact


def fault_of_memory(memory: Any) -> str | None:
    """
    Say what is wrong with the memory of a driver.

    :returns: A sentence, or None if nothing is.
    """
    if not isinstance(memory, str):
        return f"its memory is no text, but {type(memory).__name__}"
    try:
        size = len(memory.encode())
    except UnicodeEncodeError:
        return "its memory is no text that can be stored"
    if size > MOST_MEMORY:
        return f"its memory has {size} bytes, of {MOST_MEMORY} that it may have"
    return None
