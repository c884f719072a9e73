"""What agents print, as the client reads it, from a server that is played."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from loki_twisted.client import ClientError, LokiClient, OutputPart, OutputTail, ServerUnreachable
from loki_twisted.client.output import MOST_AHEAD_BYTES

BYTES = bytes(range(256))


class PlayedOutput(Resource):
    """
    Answers each request with a head, and leaves the rest to the test.

    :ivar asked: Path and query of each request.
    :ivar requests: All of them that were answered.
    :ivar headers: Of the answers.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.requests: list[Request] = []
        self.headers = {
            "content-type": "application/octet-stream",
            "x-output-size": "300",
            "x-next-offset": "256",
        }
        self.problem: tuple[int, bytes] | None = None

    def render(self, request: Request) -> int | bytes:
        """Begin to answer."""
        path, _, query = request.uri.decode().partition("?")
        self.asked.append((path, parse_qs(query)))
        for name, value in self.headers.items():
            request.setHeader(name, value)
        if self.problem is not None:
            request.setResponseCode(self.problem[0])
            return self.problem[1]
        request.write(b"")
        self.requests.append(request)
        return NOT_DONE_YET


class OutputCase(SynchronousTestCase):
    """A client and a server in memory."""

    def setUp(self) -> None:
        self.server = PlayedOutput()
        self.agent = RequestTraversalAgent(self.server)
        self.clock = Clock()
        self.client = LokiClient("http://localhost", reactor=self.clock, agent=self.agent)
        self.addCleanup(self.nothing_is_left)

    def nothing_is_left(self) -> None:
        """After the end of the client nothing is timed."""
        closing = self.client.close()
        self.agent.flush()
        self.successResultOf(closing)
        assert self.clock.getDelayedCalls() == []

    @property
    def request(self) -> Request:
        """The last one."""
        return self.server.requests[-1]

    def write(self, data: bytes) -> None:
        """Send some of the answer."""
        self.request.write(data)
        self.agent.flush()

    def finish(self) -> None:
        """End the answer in order."""
        self.request.finish()
        self.agent.flush()

    def cut(self) -> None:
        """Cut the connection."""
        self.request.transport.loseConnection()
        self.agent.flush()


class PartTests(OutputCase):
    """A stretch of it."""

    def read(self, **wanted: Any) -> Deferred[OutputPart]:
        reading = self.client.read_output("session_1", **wanted)
        self.agent.flush()
        return reading

    def test_a_part_is_bytes_and_where_to_go_on(self) -> None:
        """All of it is given as it is, with the numbers of the head."""
        reading = self.read(stream="stderr", after=7, limit=500)
        self.write(BYTES)
        self.finish()
        assert self.successResultOf(reading) == OutputPart(BYTES, next_offset=256, size=300)
        assert self.server.asked == [
            (
                "/api/sessions/session_1/output",
                {"stream": ["stderr"], "after": ["7"], "limit": ["500"]},
            )
        ]

    def test_one_that_is_cut_off_is_none(self) -> None:
        """Half a part is not taken for a whole one."""
        reading = self.read()
        self.write(BYTES)
        self.cut()
        self.failureResultOf(reading, ServerUnreachable)

    def test_a_server_that_refuses(self) -> None:
        """Its error is the client's."""
        self.server.headers = {"content-type": "application/json"}
        self.server.problem = (404, b'{"error": "No.", "code": "SESSION_NOT_FOUND"}')
        error = self.failureResultOf(self.read(), ClientError).value
        assert (error.code, error.status) == ("SESSION_NOT_FOUND", 404)

    def test_what_is_no_output_is_refused(self) -> None:
        """Neither another type nor a head without its numbers is taken for an answer."""
        right = self.server.headers
        for changes in (
            {"content-type": "text/html"},
            {"x-output-size": "many"},
            {"x-next-offset": "-1"},
            {"x-next-offset": "٣"},
        ):
            self.server.headers = {**right, **changes}
            reading = self.read()
            if self.request.channel is not None:  # else the client has seen enough
                self.finish()
            error = self.failureResultOf(reading, ClientError).value
            assert error.code == "UNEXPECTED_ANSWER"

    def test_the_end_of_the_client_ends_it(self) -> None:
        """Who waits for a part is told that there will be none."""
        reading = self.read()
        closing = self.client.close()
        self.agent.flush()
        self.successResultOf(closing)
        self.failureResultOf(reading)


class TailTests(OutputCase):
    """What comes."""

    def follow(self, **wanted: Any) -> OutputTail:
        return self.client.follow_output("session_1", **wanted)

    def next(self, tail: OutputTail) -> Deferred[bytes]:
        """Ask for the next piece."""
        piece = Deferred.fromCoroutine(tail.__anext__())
        self.agent.flush()
        return piece

    def test_pieces_as_they_come_until_the_end(self) -> None:
        """Each is given when it comes, and the offset says where one is."""
        tail = self.follow(after=10)
        waiting = self.next(tail)
        self.assertNoResult(waiting)
        self.write(b"one\n")
        assert self.successResultOf(waiting) == b"one\n"
        self.write(BYTES)
        assert self.successResultOf(self.next(tail)) == BYTES
        assert tail.offset == 10 + 4 + 256
        last = self.next(tail)
        self.finish()
        self.failureResultOf(last, StopAsyncIteration)
        self.failureResultOf(self.next(tail), StopAsyncIteration)
        assert tail.has_ended
        assert self.server.asked == [
            (
                "/api/sessions/session_1/output",
                {"stream": ["stdout"], "after": ["10"], "follow": ["true"]},
            )
        ]

    def test_what_came_before_the_end_is_given_first(self) -> None:
        """Nothing that was read is lost because it was the last."""
        tail = self.follow()
        waiting = self.next(tail)
        self.write(b"one\n")
        self.write(b"two\n")
        self.finish()
        assert self.successResultOf(waiting) == b"one\n"
        assert self.successResultOf(self.next(tail)) == b"two\n"
        self.failureResultOf(self.next(tail), StopAsyncIteration)

    def test_one_that_is_cut_off_is_no_end(self) -> None:
        """Who follows is told, and knows where to go on."""
        tail = self.follow()
        waiting = self.next(tail)
        self.write(b"one\n")
        self.successResultOf(waiting)
        waiting = self.next(tail)
        self.cut()
        self.failureResultOf(waiting, ServerUnreachable)
        assert (tail.offset, tail.has_ended) == (4, True)
        self.failureResultOf(self.next(tail), StopAsyncIteration)

    def test_a_server_that_refuses(self) -> None:
        """Its error ends the iteration."""
        self.server.headers = {"content-type": "application/json"}
        self.server.problem = (404, b'{"error": "No.", "code": "SESSION_NOT_FOUND"}')
        tail = self.follow()
        error = self.failureResultOf(self.next(tail), ClientError).value
        assert error.code == "SESSION_NOT_FOUND"
        self.failureResultOf(self.next(tail), StopAsyncIteration)

    def test_what_is_not_taken_is_not_read(self) -> None:
        """A consumer that is slow holds the server back, and loses nothing by it."""
        tail = self.follow()
        waiting = self.next(tail)
        self.write(b"x")
        assert self.successResultOf(waiting) == b"x"
        pieces = [bytes([number]) * 50_000 for number in range(10)]
        transport = tail._pieces.transport
        paused: list[bool] = []
        self.patch(transport, "pauseProducing", lambda: paused.append(True))
        self.patch(transport, "resumeProducing", lambda: paused.append(False))
        for number, piece in enumerate(pieces, 1):
            self.write(piece)
            assert (True in paused) == (number * 50_000 > MOST_AHEAD_BYTES)
        assert False not in paused
        for piece in pieces:
            assert self.successResultOf(self.next(tail)) == piece
        assert paused[-1] is False

    def test_closing(self) -> None:
        """After aclose nothing is given, the connection is closed, and again does nothing."""
        tail = self.follow()
        waiting = self.next(tail)
        self.write(b"one\n")
        self.successResultOf(waiting)
        waiting = self.next(tail)
        for _ in range(2):
            closing = Deferred.fromCoroutine(tail.aclose())
            self.agent.flush()
            self.successResultOf(closing)
        self.failureResultOf(waiting, StopAsyncIteration)
        self.failureResultOf(self.next(tail), StopAsyncIteration)
        assert self.request.channel is None

    def test_the_end_of_the_client_ends_it(self) -> None:
        """Who waits for the next piece is told that there will be none."""
        tail = self.follow()
        waiting = self.next(tail)
        closing = self.client.close()
        self.agent.flush()
        self.successResultOf(closing)
        self.failureResultOf(waiting, StopAsyncIteration)

    def test_it_is_closed_by_with(self) -> None:
        """Leaving the block closes the connection."""

        async def take_one() -> bytes:
            async with self.follow() as tail:
                async for piece in tail:
                    return piece
            return b""

        taking = Deferred.fromCoroutine(take_one())
        self.agent.flush()
        self.write(b"one\n")
        assert self.successResultOf(taking) == b"one\n"
        assert self.request.channel is None


def test_names_that_are_none() -> None:
    """What cannot be the id of a session is not sent."""
    client = LokiClient(
        "http://localhost", reactor=Clock(), agent=RequestTraversalAgent(Resource())
    )
    failures: list[object] = []
    client.read_output("..").addErrback(failures.append)
    assert len(failures) == 1
