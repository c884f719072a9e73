"""What holds for every driver: no line makes it fail, and one made anew goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import Outputs

Lines = Sequence[tuple[str, str]]
"""Streams and texts."""

ANY_TEXT = st.text(st.characters(), max_size=30)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
STRANGE = [
    "",
    "{",
    "[1, 2]",
    "null",
    '{"type": null}',
    "\0",
    "\ud800",
    '{"type": "\\ud800"}',
    '{"a": 1e999}',
    "[" * 10_000,
    '{"a":' * 10_000,
    '{"type":"agent_event","event":' * 200 + "{}" + "}" * 200,
]
STREAMS = st.sampled_from(["stdout", "stderr"])


def _paths(value: Any) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [(k, *rest) for k, each in value.items() for rest in [(), *_paths(each)]]
    return []


@st.composite
def mutated(draw: st.DrawFn, objects: Sequence[Any]) -> str:
    """One of some objects, as JSON, with a value somewhere in it that is something else."""
    found = json.loads(json.dumps(draw(st.sampled_from(objects))))
    paths = _paths(found)
    if paths and draw(st.booleans()):
        *path, last = draw(st.sampled_from(paths))
        inner = found
        for name in path:
            inner = inner[name]
        if draw(st.booleans()):
            inner[last] = draw(ANY_JSON)
        else:
            del inner[last]
    return json.dumps(found)


def lines_like(objects: Sequence[Any], texts: Sequence[str] = ()) -> st.SearchStrategy[Lines]:
    """Any lines, most of them like some that are valid."""
    some = mutated(objects) | st.sampled_from([*STRANGE, *texts]) | ANY_TEXT
    return st.lists(st.tuples(STREAMS, some), max_size=12)


def all_told(driver: IDriver, lines: Lines) -> list[Outputs]:
    """What a driver says, line by line, and at its end."""
    return [*(driver.line(stream, text) for stream, text in lines), driver.ended()]


def told_by_many(make: Callable[[str], IDriver], lines: Lines) -> list[Outputs]:
    """The same of drivers of which each is made anew from the memory of the one before."""
    told, memory = [], ""
    for stream, text in lines:
        driver = make(memory)
        told.append(driver.line(stream, text))
        memory = driver.memory()
        assert len(memory.encode()) <= 256 * 1024
    return [*told, make(memory).ended()]
