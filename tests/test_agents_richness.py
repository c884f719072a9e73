"""How many values a line has, however it comes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents import spool as spool_module
from loki_twisted.agents.lines import CUT_MARK, LINE_LIMIT, Cursor, cut_lines
from loki_twisted.agents.richness import VALUE_LIMIT, Richness
from loki_twisted.agents.spool import Spool
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
        line = '{"a": [' + ",".join(["[]"] * (VALUE_LIMIT + 1)) + "]}"
        self.write(f"before\n{line}\nbehind\n".encode())
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == ["before", line[:LINE_LIMIT] + CUT_MARK, "behind"]

    def test_a_long_text(self) -> None:
        """The commas and brackets in a text are none of values: it is given whole."""
        line = json.dumps({"text": '[{,\\"]}' * VALUE_LIMIT})
        self.write(f"{line}\nbehind\n".encode())
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == [line, "behind"]


def rich(values: int) -> bytes:
    """A line of so many values, that comes with one read or with two."""
    return b'{"a":"' + b"x" * 100_000 + b'","b":[' + b",".join([b"1"] * (values - 2)) + b"]}"


@pytest.mark.promise("R27")
@pytest.mark.parametrize("limit", [10, VALUE_LIMIT])
@pytest.mark.parametrize("size", [2**20, 100_000, 70_001])
def test_the_limit_is_a_value_exact(
    limit: int, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the limit is whole; one with a value more is cut, however few reads it takes."""
    monkeypatch.setattr(spool_module, "READ_SIZE", size)
    fits, over = rich(limit), rich(limit + 1)
    path = tmp_path / "stdout"
    path.write_bytes(b"\n".join([fits, over, fits + b"\r", over + b"\r", over]))
    spool = Spool(str(path), Cursor(), is_growing=True, line_limit=2**20, value_limit=limit)
    lines: list[str] = []
    while (piece := spool.read(is_last=True)) is not None:
        lines += piece.lines
        spool.pass_over(piece)
    spool.close()
    whole, cut = fits.decode(), over[:LINE_LIMIT].decode() + CUT_MARK
    assert lines == [whole, cut, whole, cut, cut]


def test_no_short_line_is_too_rich() -> None:
    """A line of 64 KiB is never cut for its values."""
    line = b"[" * LINE_LIMIT
    assert cut_lines(Cursor(), line + b"\n")[0] == [line.decode()]
