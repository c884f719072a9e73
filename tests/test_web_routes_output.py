"""What agents print, over HTTP: as it is, as it comes, and only as fast as the client takes it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs

from loki_twisted.model.errors import StorageFailed
from loki_twisted.sessions.interface import OutputStream
from loki_twisted.stream.patience import PATIENCE
from loki_twisted.web.output_bodies import LiveOutput
from loki_twisted.web.places import WAIT_SECONDS
from loki_twisted.web.routes_output import MOST_OUTPUTS, SHORT_BYTES
from tests.fakes_output import FakeOutput
from tests.fakes_stream import dechunked
from tests.fakes_web import Connection, FakeSessions, Response, Server, request_bytes, session

ID = "session_1_aaaaaaaa"
TARGET = f"/api/sessions/{ID}/output"
BYTES = bytes(range(256)) + b"\r\n\0\xff \xf0\x9f\x98"
LARGE = BYTES * 4_000


class Printing(Server):
    """
    A server with a session whose agent prints.

    :ivar out: What it prints.
    """

    def __init__(self, data: bytes = b"", *, is_over: bool = False) -> None:
        super().__init__(sessions=FakeSessions([session(ID), session("session_2_bbbbbbbb")]))
        self.out = FakeOutput(data, is_over=is_over)
        self.sessions.outputs = {
            (ID, OutputStream.STDOUT): self.out,
            (ID, OutputStream.STDERR): FakeOutput(b"trouble\n"),
        }

    def begin(self, target: str, **more: Any) -> Connection:
        """Ask, on a connection that stays."""
        connection = self.connect()
        connection.send(request_bytes("GET", target, **more))
        return connection

    def begin_slowly(self, target: str) -> Connection:
        """Ask, on a connection that takes no more than some bytes until it is resumed."""
        connection = self.connect()
        transport = connection.transport
        write = transport.write

        def write_or_pause(data: bytes) -> None:
            write(data)
            if len(transport.value()) > 65_536:
                transport.producer.pauseProducing()

        transport.write = write_or_pause
        transport.writeSequence = lambda parts: write_or_pause(b"".join(parts))
        connection.send(request_bytes("GET", target))
        return connection


def resume(connection: Connection) -> None:
    """Take everything from now on."""
    transport = connection.transport
    del transport.write, transport.writeSequence
    if transport.producer is not None:
        transport.producer.resumeProducing()


def body_of(connection: Connection) -> bytes:
    """What has come of an answer in chunks."""
    return dechunked(connection.response().body)


def check_head(response: Response, size: int, next_offset: int | None) -> None:
    """Each answer says what it is, and that no browser is to guess at it."""
    assert response.status == 200
    assert response.header("content-type") == "application/octet-stream"
    assert response.header("x-content-type-options") == "nosniff"
    assert response.header("cache-control") == "no-store"
    assert response.header("x-output-size") == str(size)
    wanted = None if next_offset is None else str(next_offset)
    assert response.header("x-next-offset") == wanted


# What is there


def test_all_of_it_byte_for_byte() -> None:
    """The answer is what was printed, whatever bytes it is made of, with its length."""
    here = Printing(BYTES)
    response = here.ask("GET", TARGET)
    check_head(response, len(BYTES), len(BYTES))
    assert response.header("content-length") == str(len(BYTES))
    assert response.body == BYTES
    assert here.out.closed > 0


def test_the_other_stream() -> None:
    """Each stream is asked for by itself."""
    here = Printing(BYTES)
    assert here.ask("GET", f"{TARGET}?stream=stderr").body == b"trouble\n"
    assert here.ask("GET", f"{TARGET}?stream=stdout").body == BYTES


def test_part_after_part() -> None:
    """Whoever goes on after the offset of the answer before reads all, once; then nothing."""
    here = Printing(LARGE)
    read, after = b"", 0
    while after < len(LARGE):
        response = here.ask("GET", f"{TARGET}?after={after}&limit=100000")
        after += 100_000
        check_head(response, len(LARGE), min(after, len(LARGE)))
        read += response.body
    assert read == LARGE
    response = here.ask("GET", f"{TARGET}?after={len(LARGE)}")
    check_head(response, len(LARGE), len(LARGE))
    assert (response.body, response.header("content-length")) == (b"", "0")


def test_nothing_is_there_yet() -> None:
    """What an agent has not printed anything to is empty, and no error."""
    response = Printing().ask("GET", TARGET)
    check_head(response, 0, 0)
    assert response.body == b""


def test_a_long_one_is_read_as_the_client_takes_it() -> None:
    """What a client does not take is not read, and in the end it has all."""
    here = Printing(LARGE)
    connection = here.begin_slowly(TARGET)
    assert sum(here.out.reads) < 200_000
    here.clock.advance(30)
    assert sum(here.out.reads) < 200_000

    resume(connection)

    assert connection.response().body == LARGE
    assert max(here.out.reads) <= 65_536
    assert not connection.is_closed
    connection.close()
    assert len(here.outputs) == 0
    assert here.clock.getDelayedCalls() == []


def test_a_client_that_takes_nothing_is_cut() -> None:
    """After a minute without a byte its place is free, and the output closed."""
    here = Printing(LARGE)
    connection = here.begin_slowly(TARGET)
    here.clock.pump([1] * int(PATIENCE.stall_seconds + 2))
    assert connection.is_closed
    assert here.out.closed > 0
    assert len(here.outputs) == 0


def test_what_is_taken_back_on_the_way_is_cut() -> None:
    """An agent can empty its output: nobody takes what there was of it for all."""
    here = Printing(LARGE)
    connection = here.begin_slowly(TARGET)
    here.out.empty()
    with capturedLogs() as captured:
        resume(connection)
    assert connection.is_closed
    assert [event["log_level"].name for event in captured] == ["info"]


def test_a_disk_that_fails_on_the_way() -> None:
    """The connection is cut, and the reason logged."""
    here = Printing(LARGE)
    connection = here.begin_slowly(TARGET)
    here.out.failure = StorageFailed("The disk is gone.")
    with capturedLogs() as captured:
        resume(connection)
    assert connection.is_closed
    assert [type(event["log_failure"].value) for event in captured] == [StorageFailed]


def test_head() -> None:
    """Only the headers come, with the length, and nothing is read."""
    here = Printing(LARGE)
    response = here.ask("HEAD", f"{TARGET}?limit=100000")
    assert (response.status, response.header("x-next-offset")) == (200, "100000")
    assert here.out.reads == []
    assert here.out.closed > 0
    assert len(here.outputs) == 0


# What is wrong


@pytest.mark.parametrize(
    ("query", "path", "complaint"),
    [
        ("stream=stdin", "stream", "must be one of stdout, stderr"),
        ("after=-1", "after", "must be from 0"),
        ("after=x", "after", "must be a whole number"),
        ("limit=0", "limit", "must be from 1"),
        ("limit=1.5", "limit", "must be a whole number"),
        ("follow=yes", "follow", "must be true or false"),
        ("offset=1", "offset", "is no parameter"),
        (f"after={len(BYTES) + 1}", "after", f"there are {len(BYTES)} bytes"),
        (f"after={len(BYTES) + 1}&follow=true", "after", f"there are {len(BYTES)} bytes"),
    ],
)
def test_parameters_that_are_wrong(query: str, path: str, complaint: str) -> None:
    """Each is named, also an offset beyond the end; then nothing is left open."""
    here = Printing(BYTES)
    response = here.ask("GET", f"{TARGET}?{query}")
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    (error,) = response.json["details"]["errors"]
    assert error["path"] == path
    assert complaint in error["message"]
    assert here.out.waiting == []
    assert len(here.outputs) == 0


def test_how_much_there_is_beyond_which_nothing_is() -> None:
    """Who asks for too much is told from where on there will be more."""
    response = Printing(BYTES).ask("GET", f"{TARGET}?after=1000000")
    assert response.json["details"]["size"] == len(BYTES)


def test_sessions_without_output() -> None:
    """Neither a session that is not there nor one that somebody else started has any."""
    here = Printing(BYTES)
    for session_id, code in (
        ("session_3_cccccccc", "SESSION_NOT_FOUND"),
        ("session%20x", "SESSION_NOT_FOUND"),
        ("session_2_bbbbbbbb", "NOT_FOUND"),
    ):
        response = here.ask("GET", f"/api/sessions/{session_id}/output")
        assert (response.status, response.code) == (404, code)


# What comes


def test_what_comes_is_sent_as_it_comes_until_the_session_has_ended() -> None:
    """The head comes at once, then what there is, what comes, and after the last byte the end."""
    here = Printing(b"one\n")
    connection = here.begin(f"{TARGET}?follow=true&after=2")
    check_head(connection.response(), 4, None)
    assert connection.response().header("transfer-encoding") == "chunked"
    assert body_of(connection) == b"e\n"
    here.out.write(b"two\n")
    assert body_of(connection) == b"e\ntwo\n"
    here.clock.advance(2 * PATIENCE.stall_seconds)  # who waits for nothing is not cut
    here.out.write(BYTES)
    assert body_of(connection) == b"e\ntwo\n" + BYTES
    assert not connection.transport.value().endswith(b"0\r\n\r\n")

    here.out.data += b"last"
    here.out.end()

    assert connection.transport.value().endswith(b"last\r\n0\r\n\r\n")
    assert not connection.is_closed
    connection.close()
    assert here.out.closed > 0
    assert len(here.outputs) == 0
    assert here.clock.getDelayedCalls() == []


def test_a_session_that_has_ended_is_followed_to_its_end() -> None:
    """Of one that prints nothing more all is sent, and that is the end."""
    here = Printing(LARGE, is_over=True)
    connection = here.begin(f"{TARGET}?follow=true")
    assert body_of(connection) == LARGE
    assert connection.transport.value().endswith(b"\r\n0\r\n\r\n")
    connection.close()


def test_the_head_comes_before_there_is_anything() -> None:
    """Whoever follows a silent agent knows that it does."""
    here = Printing()
    connection = here.begin(f"{TARGET}?follow=true")
    check_head(connection.response(), 0, None)
    connection.close()
    assert len(here.outputs) == 0


def test_at_most_so_much() -> None:
    """A limit ends what is followed too."""
    here = Printing(b"one\n")
    connection = here.begin(f"{TARGET}?follow=true&limit=6")
    here.out.write(b"two\n")
    assert body_of(connection) == b"one\ntw"
    assert connection.transport.value().endswith(b"0\r\n\r\n")
    connection.close()


def test_an_old_client_follows_too() -> None:
    """Over HTTP/1.0 the end of the connection is the end."""
    here = Printing(b"one\n")
    connection = here.connect()
    request = request_bytes("GET", f"{TARGET}?follow=true").replace(b"HTTP/1.1", b"HTTP/1.0")
    connection.send(request)
    here.out.end()
    assert connection.is_closed
    assert connection.transport.value().endswith(b"\r\n\r\none\n")


def test_no_more_is_read_than_a_follower_takes() -> None:
    """However much an agent prints, what its follower does not take stays on the disk."""
    here = Printing()
    connection = here.begin_slowly(f"{TARGET}?follow=true")
    for _ in range(10):
        here.out.write(LARGE)
    assert sum(here.out.reads) < 200_000
    here.out.end()
    resume(connection)
    assert body_of(connection) == LARGE * 10
    connection.close()


def test_a_follower_that_leaves() -> None:
    """The output is closed, and nobody waits for more."""
    here = Printing(b"one\n")
    connection = here.begin(f"{TARGET}?follow=true")
    connection.close()
    assert here.out.closed > 0
    reads = len(here.out.reads)
    here.out.write(b"two\n")
    assert len(here.out.reads) == reads
    assert len(here.outputs) == 0
    assert here.clock.getDelayedCalls() == []


def test_a_slow_follower_that_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let go of, though a transport stops who writes to it before it says that it is gone."""
    some, asked = LiveOutput.some, []

    async def counted(body: LiveOutput) -> bytes:
        asked.append(body)
        assert len(asked) < 10  # else without end
        return await some(body)

    monkeypatch.setattr(LiveOutput, "some", counted)
    here = Printing(LARGE)
    connection = here.begin_slowly(f"{TARGET}?follow=true")
    before = len(asked)
    connection.transport.producer.stopProducing()
    connection.close()
    assert len(asked) == before
    assert here.out.closed
    assert len(here.outputs) == 0


def test_one_that_is_emptied_while_it_is_followed() -> None:
    """The connection is cut: the offsets of the client mean nothing any more."""
    here = Printing(b"one\n")
    connection = here.begin(f"{TARGET}?follow=true")
    with capturedLogs():
        here.out.empty()
    assert connection.is_closed
    assert not connection.transport.value().endswith(b"0\r\n\r\n")


# How many, and the end of the server


def test_there_may_be_some_at_once_and_short_ones_always() -> None:
    """Who comes when all places are taken waits for one; what is short needs none."""
    here = Printing(b"x" * (SHORT_BYTES + 1))
    following = [here.begin(f"{TARGET}?follow=true") for _ in range(MOST_OUTPUTS)]
    assert all(each.response().status == 200 for each in following)
    assert here.ask("GET", f"{TARGET}?limit={SHORT_BYTES}").status == 200
    waiting, next_one = here.begin(TARGET), here.begin(f"{TARGET}?follow=true")
    assert waiting.responses() == []
    following.pop().close()
    assert len(waiting.response().body) == SHORT_BYTES + 1
    assert next_one.response().status == 200
    refused = here.begin(f"{TARGET}?follow=true")
    here.clock.advance(WAIT_SECONDS)
    assert (refused.response().status, refused.response().code) == (503, "SERVICE_UNAVAILABLE")
    for each in [*following, waiting, next_one, refused]:
        each.close()
    assert len(here.outputs) == 0
    assert here.clock.getDelayedCalls() == []


def test_the_end_of_the_server_cuts_who_follows() -> None:
    """Nobody takes that for the end of the session; who reads what is there may finish."""
    here = Printing(LARGE)
    following = here.begin(f"{TARGET}?follow=true")
    reading = here.begin_slowly(TARGET)
    ended = here.outputs.close()
    assert following.is_closed
    assert not following.transport.value().endswith(b"0\r\n\r\n")
    resume(reading)
    here.clock.pump([0.1] * 3)
    assert reading.response().body == LARGE
    assert ended.called
    assert here.ask("GET", f"{TARGET}?follow=true").status == 503
    reading.close()
