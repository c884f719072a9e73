"""Tests of what keeps the bridge to opencode small: long texts are cut, events are cut out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.bridges.opencode.frames import MOST_EVENT, MOST_TEXT, Frames
from loki_twisted.agents.bridges.opencode.shortening import Shortener

TEXTS = st.text(max_size=60) | st.sampled_from(["\\" * 30, '"' * 20, "\n" * 30, "é" * 40, "😀" * 9])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def shortened(data: bytes, sizes: list[int], most_text: int) -> str:
    """Put data in by pieces of these sizes, again and again."""
    shortener = Shortener(most_text, 1_000_000)
    at = 0
    while at < len(data):
        for size in sizes:
            shortener.feed(data[at : at + size])
            at += size
    assert shortener.size == len(data)
    return shortener.text()


def fits(value: Any, whole: Any, most: int) -> bool:
    """Whether one value is the other with its long texts cut."""
    if isinstance(whole, str):
        if value == whole:
            return True
        kept, mark, _ = str(value).rpartition(" [cut, ")
        return bool(mark) and whole.startswith(kept) and len(json.dumps(whole)) - 2 > most
    if isinstance(whole, list):
        return len(value) == len(whole) and all(map(fits, value, whole, [most] * len(whole)))
    return bool(value == whole) or isinstance(whole, dict)


@given(VALUES, st.lists(st.integers(1, 40), min_size=1, max_size=5), st.booleans())
def test_it_stays_json(value: Any, sizes: list[int], ascii_only: bool) -> None:
    """However it comes in pieces: what is short stays as it is, what is long is cut."""
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    for most in (10_000, 16):
        found = json.loads(shortened(data, sizes, most))
        assert fits(found, value, most)
        if most > len(data):
            assert found == value


@given(st.binary(max_size=200), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_what_is_no_json(data: bytes, sizes: list[int]) -> None:
    """It does not matter what comes."""
    shortened(data, sizes, 8)


def test_a_large_document_is_small() -> None:
    """Only so much of it is kept, whatever it is made of."""
    shortener = Shortener(1000, 5000)
    for _ in range(1000):
        shortener.feed(b"[1,2,3]" * 100)
    assert shortener.is_too_large
    assert shortener.size == 700_000
    assert len(shortener.text()) < 100_000


FRAMES = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), min_size=1, max_size=5
)


@given(FRAMES, st.integers(1, 30), st.sampled_from(["\n", "\r\n"]))
def test_events_come_out_as_they_went_in(events: list[Any], size: int, end: str) -> None:
    """However the stream comes in pieces, with other fields and comments between."""
    stream = "".join(
        f": hello{end}event: message{end}data: {json.dumps(each)}{end}{end}" for each in events
    ).encode()
    frames = Frames()
    found = [
        json.loads(frame.text())
        for at in range(0, len(stream), size)
        for frame in frames.feed(stream[at : at + size])
    ]
    assert found == events


def test_an_event_of_two_data_lines() -> None:
    """They are one document."""
    (frame,) = Frames().feed(b'data: {"a":\ndata: 1}\n\n')
    assert json.loads(frame.text()) == {"a": 1}


def test_an_event_without_end() -> None:
    """A line of 50 MB is held cut, while it comes."""
    frames = Frames()
    piece = b"x" * 1_000_000
    assert list(frames.feed(b'data: {"a":"')) == []
    for _ in range(50):
        assert list(frames.feed(piece)) == []
    (frame,) = frames.feed(b'"}\n\n')
    assert not frame.is_too_large
    assert len(frame.text()) < MOST_TEXT + 100 < MOST_EVENT
    assert frame.text().endswith('[cut, 50000000 bytes in all]"}')
