"""What a bridge prints: whole lines of its program, and its own between them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.bridges.voice import MARK, MOST_LINE, Voice, bounded

HALF = 64 * 1024

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=40),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


class Spool:
    """A voice that writes into a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.voice = Voice(self._file)

    @property
    def data(self) -> bytes:
        return self._path.read_bytes()

    def close(self) -> None:
        os.close(self._file)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool")
    yield made
    made.close()


def test_whole_lines_are_passed_on_as_they_are(spool: Spool) -> None:
    """Also what is no text; the rest of a line waits for its end."""
    spool.voice.pass_on(b"one\n\xff\x00two\r\nthr")
    assert spool.data == b"one\n\xff\x00two\r\n"
    spool.voice.pass_on(b"ee\n")
    assert spool.data == b"one\n\xff\x00two\r\nthree\n"


def test_a_line_of_its_own_never_cuts_one_of_the_program(spool: Spool) -> None:
    """It stands before a line whose beginning has come, and behind one that is under way."""
    spool.voice.pass_on(b"begin")
    spool.voice.say("first")
    spool.voice.pass_on(b"x" * HALF)
    spool.voice.say("second")
    assert spool.voice.is_waiting
    spool.voice.pass_on(b"end\nnext")
    assert not spool.voice.is_waiting
    first, program, second = spool.data.splitlines()
    assert json.loads(first)[MARK] == "first"
    assert program == b"begin" + b"x" * HALF + b"end"
    assert json.loads(second)[MARK] == "second"


def test_the_last_line_is_ended(spool: Spool) -> None:
    """A program that leaves its last line open does not spoil what comes behind it."""
    spool.voice.pass_on(b"no end")
    spool.voice.end_line()
    spool.voice.end_line()
    spool.voice.say("word")
    assert spool.data.startswith(b'no end\n{"loki.bridge": "word"')


def test_each_voice_has_a_key_of_its_own(tmp_path: Path) -> None:
    """So what a program prints cannot be taken for the bridge's."""
    keys = set()
    for name in "ab":
        made = Spool(tmp_path / name)
        made.voice.say("begin")
        made.close()
        keys.add(json.loads(made.data)["key"])
    assert len(keys) == 2
    assert all(len(key) == 16 for key in keys)


@given(VALUES)
def test_whatever_is_said_is_a_line_that_others_can_read(value: object) -> None:
    """Of bounded length, and JSON for a strict reader too."""
    reading, writing = os.pipe()
    voice = Voice(writing)
    voice.say("word", value=value)
    os.close(writing)
    with open(reading, "rb") as file:
        line = file.read()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= MOST_LINE + 1
    found = msgspec.json.decode(line)
    assert found[MARK] == "word"


@pytest.mark.parametrize("character", ["x", "ü", "𝄞", "\ud800"])
def test_long_texts_are_shortened(spool: Spool, character: str) -> None:
    """A line that would be too long says less, and that it does."""
    spool.voice.say("word", texts=[character * 10_000] * 60, name="n")
    line = spool.data
    assert len(line) <= MOST_LINE + 1
    found = msgspec.json.decode(line)
    assert found["name"] == "n"
    assert found["texts"][0].endswith("characters in all]")
    assert found["texts"][-1] == "… [10 more]"


def test_values_are_bounded() -> None:
    """In depth and number; numbers that are none to others are left out or are texts."""
    assert bounded({"a": {"b": {"c": 1}}}, 10, 2) == {"a": {"b": "…"}}
    assert bounded([float("nan"), float("inf"), 1.5, 2**70, True], 10, 2) == [
        None,
        None,
        1.5,
        str(2**70),
        True,
    ]
    assert bounded(dict.fromkeys(map(str, range(52)), 0), 10, 2)["…"] == "… [2 more]"
