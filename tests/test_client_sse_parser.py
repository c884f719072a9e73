"""The event stream parser against the standard."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import pytest
from hypothesis import given
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
    "retries are no part of events": (
        b"retry: 10\nretry: 1x\ndata: \xff\n\n",
        [("message", "\ufffd", "")],
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


class Reference:
    """The standard's own words, carried out on the whole of a stream at once."""

    def __init__(self, raw: bytes) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.retry: int | None = None
        self.last_event_id = ""
        self.type = self.data = self.id = ""
        text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
        # What is behind the last line end is no line.
        for line in re.split("\r\n|\n|\r", text)[:-1]:
            self.line(line)

    def line(self, line: str) -> None:
        """Interpret a line."""
        if not line:
            self.dispatch()
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            self.field(name, value.removeprefix(" "))

    def field(self, name: str, value: str) -> None:
        """Process a field."""
        if name == "event":
            self.type = value
        elif name == "data":
            self.data += value + "\n"
        elif name == "id" and "\0" not in value:
            self.id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            self.retry = int(value)

    def dispatch(self) -> None:
        """Dispatch the event."""
        self.last_event_id = self.id
        if self.data:
            self.events.append((self.type or "message", self.data[:-1], self.id))
        self.type = self.data = ""


PARTS = (
    b"\r|\n|\r\n|data|data:| x|id: 3|id|event: e|:|\xef\xbb\xbf|\xe2\x82|\xac|\xff|\0|"
    b"retry: 9|retry: 09x|\xe2\x80\xa8|\x0b|\xc2\x85|data: y\n\n"
).split(b"|")

anything = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=30).map(b"".join), st.binary(max_size=60)
)
"""Bytes of any kind, many of which mean something."""


@given(anything, st.lists(st.integers(0, 100), max_size=6))
def test_whatever_comes_is_read_as_the_standard_says(raw: bytes, cuts: list[int]) -> None:
    """Any bytes give the events, the retry and the place of the standard, however they are cut."""
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    parser, reference = SSEParser(), Reference(raw)
    events = [
        (event.type, event.data, event.last_event_id)
        for start, end in itertools.pairwise(edges)
        for event in parser.feed(raw[start:end])
    ]

    assert events == reference.events
    assert parser.retry_ms == reference.retry
    assert parser.last_event_id == reference.last_event_id


@pytest.mark.parametrize(("raw", "events"), VECTORS.values(), ids=VECTORS.keys())
def test_the_reference(raw: bytes, events: list[tuple[str, str, str]]) -> None:
    """What the parser is compared with passes the vectors itself."""
    assert Reference(raw).events == events


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
