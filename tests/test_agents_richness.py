"""How many values a line has, however it comes."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.lines import CUT_MARK, LINE_LIMIT
from loki_twisted.agents.richness import MOST_VALUES, Richness
from tests.driver_laws import ANY_JSON
from tests.test_agents_long_lines import LongLineCase


def counted(value: Any) -> int:
    """Brackets and commas of a value, counted one by one."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return 1 + max(0, len(value) - 1) + sum(map(counted, parts))
    return 0


@given(ANY_JSON, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_wherever_it_is_cut(value: Any, sizes: list[int]) -> None:
    """It is known wherever the pieces end, whatever stands in strings."""
    line = json.dumps(value).encode()
    richness, at = Richness(), 0
    for size in itertools.cycle(sizes):
        richness.add(line[at : at + size])
        at += size
        if at >= len(line):
            break
    assert richness.values == counted(value)


@given(st.lists(st.binary(max_size=12), max_size=8))
def test_what_is_no_json(pieces: list[bytes]) -> None:
    """Any bytes are counted somehow."""
    richness = Richness()
    for each in pieces:
        richness.add(each)
    assert 0 <= richness.values <= sum(map(len, pieces))


class RichLineTests(LongLineCase):
    """Through a tail."""

    def test_millions_of_values(self) -> None:
        """A line that would take seconds to read is cut, as one that is too long."""
        line = '{"a": [' + ",".join(["[]"] * (MOST_VALUES + 1)) + "]}"
        self.write(f"before\n{line}\nbehind\n".encode())
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == ["before", line[:LINE_LIMIT] + CUT_MARK, "behind"]

    def test_a_long_text(self) -> None:
        """The commas and brackets in a text are none of values: it is given whole."""
        line = json.dumps({"text": '[{,\\"]}' * MOST_VALUES})
        self.write(f"{line}\nbehind\n".encode())
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == [line, "behind"]


@pytest.mark.parametrize("part", [b"[", b'{"', b"1,", b'"",'])
def test_one_read_has_never_too_many(part: bytes) -> None:
    """So it does not matter whether a line came with one read or with two."""
    richness = Richness()
    richness.add((part * MOST_VALUES)[: 256 * 1024])
    assert not richness.is_too_rich
