"""The event stream parser against the standard."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_twisted.client.sse_parser import EventTooLarge, SSEParser, StreamEvent

VECTORS = {
    "two data lines": (b"data: a\ndata: b\n\n", [("message", "a\nb", "")]),
    "the example of the standard with ids": (
        (
            b": test stream\n\ndata: first event\nid: 1\n\n"
            b"data:second event\nid\n\ndata:  third event\n\n"
        ),
        [
            ("message", "first event", "1"),
            ("message", "second event", ""),
            ("message", " third event", ""),
        ],
    ),
    "an event that is not ended is not told": (
        b"data\n\ndata\ndata\n\ndata:",
        [("message", "", ""), ("message", "\n", "")],
    ),
    "a byte order mark, and CR LF": (b"\xef\xbb\xbfevent: e\r\ndata: 1\r\n\r\n", [("e", "1", "")]),
    "a byte order mark counts once": (
        b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\ndata: 2\n\n",
        [("message", "2", "")],
    ),
    "CR alone": (b"event: e\rdata: 1\r\rdata: 2\r\r", [("e", "1", ""), ("message", "2", "")]),
    "all line ends mixed": (b"data: 1\r\ndata: 2\rdata: 3\n\r\n", [("message", "1\n2\n3", "")]),
    "an id with NUL is ignored": (b"id: 7\nid: a\0b\ndata: 1\n\n", [("message", "1", "7")]),
    "other line separators are text": (
        b"data: \xe2\x80\xa8x\xc2\x85y\x0bz\x1c\x0c\n\n",
        [("message", "\u2028x\x85y\x0bz\x1c\x0c", "")],
    ),
    "an event without data is none, and its type is forgotten": (
        b"event: only\n\ndata: q\n\n",
        [("message", "q", "")],
    ),
    "an id without data moves on": (b"id: 5\n\ndata: q\n\n", [("message", "q", "5")]),
    "broken UTF-8 is replaced": (
        b"data: \xff\xe2\x82\ndata: \xf0\x9f\x98\n\n",
        [("message", "\ufffd\ufffd\n\ufffd", "")],
    ),
    "only one space is cut": (b"data:  a \ndata:\tb\n\n", [("message", " a \n\tb", "")]),
    "unknown fields and comments are ignored": (
        b"foo: 1\n:data: 2\ndata2: 3\nDATA: 4\n\nevent\ndata: 5\n\n",
        [("message", "5", "")],
    ),
    "a colon in the value": (b"data: a:b: c\nid:: x\n\n", [("message", "a:b: c", ": x")]),
}


def parse(pieces: Iterable[bytes]) -> list[tuple[str, str, str]]:
    parser = SSEParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [(event.type, event.data, event.last_event_id) for event in events]


@pytest.mark.parametrize(("raw", "events"), VECTORS.values(), ids=VECTORS.keys())
def test_vectors_at_every_two_cuts(raw: bytes, events: list[tuple[str, str, str]]) -> None:
    """What the standard says comes out, wherever the bytes are cut in three."""
    for first in range(len(raw) + 1):
        for second in range(first, len(raw) + 1):
            assert parse([raw[:first], raw[first:second], raw[second:]]) == events


@pytest.mark.parametrize("raw", [raw for raw, _ in VECTORS.values()], ids=VECTORS.keys())
def test_vectors_byte_by_byte(raw: bytes) -> None:
    """Single bytes give what the whole gives."""
    assert parse(raw[at : at + 1] for at in range(len(raw))) == parse([raw])


@given(
    st.lists(
        st.sampled_from(
            b"\r|\n|\r\n|data|data:| x|id: 3|id|event: e|:|\xef\xbb\xbf|\xe2\x82|\xac|\xff|\0|"
            b"retry: 9|data: y\n\n".split(b"|")
        ),
        max_size=20,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=300, deadline=None)
def test_cuts_make_no_difference(parts: list[bytes], random) -> None:
    """Any bytes give the same events, however they are cut."""
    raw = b"".join(parts)
    cuts = sorted(random.randint(0, len(raw)) for _ in range(5))
    edges = [0, *cuts, len(raw)]
    pieces = [raw[start:end] for start, end in itertools.pairwise(edges)]

    assert parse(pieces) == parse([raw])


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])),
            st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])),
        ),
        max_size=5,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
@settings(max_examples=200, deadline=None)
def test_what_was_written_is_read(events: list[tuple[str, str]], end: str) -> None:
    """Any text and any id come back as they were written, with every line end."""
    raw = "".join(f"data: {data}{end}id: {name}{end}{end}" for data, name in events)

    assert parse([raw.encode()]) == [("message", data, name) for data, name in events]


def test_the_last_event_id_begins_where_it_is_told() -> None:
    """A stream that gives no ids stays where it was resumed."""
    parser = SSEParser("evt_7_7")

    events = parser.feed(b"data: x\n\n")

    assert events == [StreamEvent("message", "x", "evt_7_7")]


def test_an_id_counts_when_its_event_is_whole() -> None:
    """A connection that breaks between the id and the end of its event has not come so far."""
    parser = SSEParser("1")
    parser.feed(b"id: 2\ndata: x\n")
    assert parser.last_event_id == "1"

    parser.feed(b"\n")
    assert parser.last_event_id == "2"


def test_an_event_is_told_at_once() -> None:
    """The second CR of CR CR ends the event; what might follow is not waited for."""
    parser = SSEParser()

    assert len(parser.feed(b"data: x\r\r")) == 1
    assert parser.feed(b"\n") == []


@pytest.mark.parametrize(
    ("line", "milliseconds"),
    [
        (b"retry: 10", 10),
        (b"retry:0", 0),
        (b"retry: 1x", None),
        (b"retry: -1", None),
        (b"retry", None),
        ("retry: \u0661".encode(), None),
        (b"retry: " + b"9" * 5000, 999_999_999),
    ],
)
def test_retry(line: bytes, milliseconds: int | None) -> None:
    """A retry of ASCII digits counts, even a huge one; anything else is ignored."""
    parser = SSEParser()
    parser.feed(line + b"\n")

    assert parser.retry_ms == milliseconds


def test_a_line_without_end_is_refused() -> None:
    """A line cannot make the parser keep more than its limit."""
    parser = SSEParser(most_bytes=100)
    parser.feed(b"data: " + b"x" * 90)

    with pytest.raises(EventTooLarge):
        parser.feed(b"x" * 10)


def test_an_event_without_end_is_refused() -> None:
    """An event of many lines cannot either."""
    parser = SSEParser(most_bytes=100)
    assert parser.feed(b"data: x\n" * 50) == []

    with pytest.raises(EventTooLarge):
        parser.feed(b"data: x\n")


def test_many_events_are_not_one() -> None:
    """The limit is one event's, not the stream's."""
    parser = SSEParser(most_bytes=100)

    assert sum(len(parser.feed(b"data: " + b"x" * 80 + b"\n\n")) for _ in range(50)) == 50
