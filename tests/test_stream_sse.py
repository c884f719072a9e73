"""The bytes of the stream that are no events."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.client.sse_parser import SSEParser
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.events import Event, Fact
from loki_twisted.stream import sse
from tests.fakes_log import START_MS
from tests.fakes_stream import SESSION, calm, frames_of


def test_greeting() -> None:
    """A stream begins with a comment and with how long to wait before coming back."""
    assert sse.GREETING == b": connected to loki-mode event stream\n\nretry: 2000\n\n"


def test_comment_of_several_lines() -> None:
    """Each line of a comment is one, so that no text can become an event."""
    assert sse.comment("one\nevent: two\r\nthree") == b": one\n: event: two\n: three\n\n"


def test_reset() -> None:
    """A reset says what was asked and what there is, and moves no client's last event id."""
    frame = sse.reset("evt_9_1", "evt_1_5", None, "future")
    assert frame == (
        b"event: stream:reset\n"
        b'data: {"asked":"evt_9_1","oldest":"evt_1_5","newest":null,"reason":"future"}\n\n'
    )


def test_bye() -> None:
    """The end says where to resume, and moves no client's last event id."""
    told = b'retry: 1500\n\nevent: stream:bye\ndata: {"lastEventId":%b}\n\n'
    assert sse.bye("evt_9_1", 1500) == told % b'"evt_9_1"'
    assert sse.bye(None, 1500) == told % b"null"


def test_heartbeat() -> None:
    """A heartbeat is a whole event, but no cursor can point at it."""
    frame = sse.heartbeat(SESSION, START_MS + 42, {"uptime": 7, "activeAgents": 1})
    assert not any(line.startswith(b"id") for line in frame.split(b"\n"))
    (dispatched,) = frames_of(frame)
    assert dispatched.event == "heartbeat"
    assert dispatched.data == {
        "id": f"hb_{START_MS + 42}",
        "type": "heartbeat",
        "timestamp": "2025-11-23T12:13:20.042Z",
        "sessionId": SESSION,
        "data": {"uptime": 7, "activeAgents": 1},
    }
    assert msgspec.convert(dispatched.data, Event).session_id == SESSION


def test_place() -> None:
    """A place is a frame that dispatches nothing, and the id that clients keep."""
    parser = SSEParser()
    assert parser.feed(sse.GREETING + sse.place("evt_7_5") + sse.KEEP_ALIVE) == []
    assert parser.last_event_id == "evt_7_5"


def test_last_id() -> None:
    """The id of a block's last event is what its frame says."""
    block = block_of_facts(11, START_MS, SESSION, [Fact("log:info", {"id": "x"})] * 3)
    assert sse.last_id(block) == f"evt_13_{START_MS}"


@calm
@given(st.text(st.characters(codec=None)))
def test_what_a_client_asked_for_cannot_break_the_stream(asked: str) -> None:
    """Whatever id a client sends, the reset that quotes it is one frame of bounded size."""
    frame = sse.reset(sse.harmless(asked), None, None, "unknown")
    assert frame.count(b"\n\n") == 1
    assert frame.count(b"\n") == 3
    assert b"\r" not in frame
    assert len(frame) < 600
