"""Tests of :mod:`loki_twisted.web.routes_events`, through a connection in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from loki_twisted.log.interface import Batch, IEventLog
from loki_twisted.model.errors import StorageFailed
from loki_twisted.model.events import Fact
from tests.fakes_log import FakeLog
from tests.fakes_web import AT_MS, Server, request_bytes

ONE, TWO = "session_1_aaaaaaaa", "session_2_bbbbbbbb"
BLOCKS = (
    (ONE, ["session:started", "log:info", "task:created"]),
    (TWO, ["log:debug", "log:error"]),
    (ONE, ["task:started"]),
    (ONE, ["log:warn", "task:completed", "session:completed"]),
)


def server(blocks: Sequence[tuple[str, list[str]]] = BLOCKS) -> Server:
    """A server whose log holds nine events in four blocks, at four moments."""
    here = Server()
    for moment, (session_id, types) in enumerate(blocks):
        facts = [Fact(each, {"n": number}) for number, each in enumerate(types)]
        here.log.append(Batch(session_id=session_id, at_ms=AT_MS + moment, facts=facts))
    return here


def history(here: Server, query: str = "") -> list[int]:
    """The numbers of the events that a query gives."""
    response = here.ask("GET", f"/api/events/history?{query}")
    assert response.status == 200, response.body
    assert response.json["count"] == len(response.json["events"])
    return [int(each["id"].split("_")[1]) for each in response.json["events"]]


def test_the_stand_in_is_one() -> None:
    """The log that these tests use is such as the routes expect."""
    assert verifyObject(IEventLog, FakeLog())


def test_history_is_what_the_log_holds() -> None:
    """Events come as they were stored: id, type, time, session and data."""
    response = server().ask("GET", "/api/events/history?limit=1")
    assert response.json == {
        "events": [
            {
                "id": f"evt_9_{AT_MS + 3}",
                "type": "session:completed",
                "timestamp": "2023-11-14T22:13:20.003Z",
                "sessionId": ONE,
                "data": {"n": 2},
            }
        ],
        "count": 1,
        "completeFrom": 1,
    }


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("limit=4", [6, 7, 8, 9]),
        ("limit=1000", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (f"sessionId={TWO}", [4, 5]),
        ("sessionId=session_3_cccccccc", []),
        ("types=task:created,task:completed", [3, 8]),
        ("types=task:*", [3, 6, 8]),
        ("types=task:*,%20log:warn", [3, 6, 7, 8]),
        ("types=log:*&minLevel=warn", [5, 7]),
        ("minLevel=error", [1, 3, 5, 6, 8, 9]),
        ("types=task:*&minLevel=error", [3, 6, 8]),
        ("after=earliest", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("after=evt_0_0", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("after=earliest&limit=2", [1, 2]),
        ("after=earliest&types=task:*&limit=2", [3, 6]),
        ("after={2}", [3, 4, 5, 6, 7, 8, 9]),
        ("after={2}&limit=3", [3, 4, 5]),
        ("after={9}", []),
        ("before={5}", [1, 2, 3, 4]),
        ("before={5}&limit=2", [3, 4]),
        ("before={1}", []),
        ("before={8}&types=log:*", [2, 4, 5, 7]),
        ("after={2}&before={8}", [3, 4, 5, 6, 7]),
        ("after={2}&before={8}&limit=2", [3, 4]),
        ("after={8}&before={2}", []),
        ("after={2}&before={3}", []),
        (f"after={{1}}&sessionId={TWO}", [4, 5]),
        ("since=2023-11-14", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("since=2023-11-14T22:13:20.002Z", [6, 7, 8, 9]),
        ("since=2023-11-14T22:13:20.001Z&limit=3", [4, 5, 6]),
        ("since=2023-11-14T22:13:20.001Z&types=task:*", [6, 8]),
        (f"since=2023-11-14T22:13:20Z&sessionId={TWO}", [4, 5]),
        ("since=2023-11-14T22:13:20.001Z&before={6}", [4, 5]),
        ("since=2023-11-14T22:13:20.003Z&before={6}", []),
        ("since=2023-11-14T22:13:20.004Z", []),
    ],
)
@pytest.mark.parametrize("page_blocks", [1, 2, 10])
def test_history(query: str, numbers: list[int], page_blocks: int) -> None:
    """The last events, those behind one or before one, or those since a time; filtered."""
    here = server()
    here.log.page_blocks = page_blocks
    ids = {str(number): here.log.id_of(number) for number in range(1, 10)}
    for number, name in ids.items():
        query = query.replace(f"{{{number}}}", name)
    assert history(here, query) == numbers


@given(
    blocks=st.lists(
        st.tuples(
            st.sampled_from([ONE, TWO]),
            st.lists(st.sampled_from(["log:info", "task:created"]), min_size=1, max_size=4),
        ),
        max_size=5,
    ),
    limit=st.integers(1, 12),
    types=st.sampled_from(["", "types=task:*&", "types=log:info&"]),
)
def test_pages_put_together_are_the_whole(
    blocks: list[tuple[str, list[str]]], limit: int, types: str
) -> None:
    """Walking forwards, or backwards, page by page gives every event once and in order."""
    here = server(blocks)
    whole = history(here, f"{types}limit=1000")
    forwards: list[int] = []
    position = "earliest"
    while page := history(here, f"{types}limit={limit}&after={position}"):
        forwards += page
        position = here.log.id_of(page[-1])
    backwards: list[int] = []
    query = f"{types}limit={limit}"
    while page := history(here, query):
        backwards = page + backwards
        query = f"{types}limit={limit}&before={here.log.id_of(page[0])}"
    assert forwards == backwards == whole


@pytest.mark.threat("T28")
@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=abc",
        "limit=1001",
        "types=",
        "types=nonsense",
        "types=task:created,",
        "types=task:created,nope:*",
        "minLevel=fatal",
        "minLevel=INFO",
        "sessionId=../x",
        "sessionId=",
        "after=",
        "after=latest",
        "after=evt_1",
        "after=evt_0_1",
        "after=evt_01_1",
        "after=evt_99999999999999999999_1",
        "after=1",
        "before=earliest",
        "before=hb_1",
        "since=",
        "since=10m",
        "since=2023-02-30",
        "since=2023-11-14T22:13:20",
        "since=2023-11-14&after=earliest",
        "history=5",
        "lastEventId=earliest",
    ],
)
def test_a_query_that_is_wrong(query: str) -> None:
    """Nothing is guessed from it: the parameter is named."""
    response = server().ask("GET", f"/api/events/history?{query}")
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    assert {each["path"] for each in response.json["details"]["errors"]} == {
        query.split("=", maxsplit=1)[0]
    }


def test_types_that_are_wrong_are_all_named() -> None:
    """An unknown type would else be a silence that looks like peace."""
    response = server().ask("GET", "/api/events/history?types=a,task:*,b&limit=x")
    assert [each["path"] for each in response.json["details"]["errors"]] == [
        "types",
        "types",
        "limit",
    ]


@pytest.mark.parametrize(
    "name", [f"evt_2_{AT_MS + 1}", "evt_2_1", f"evt_10_{AT_MS + 3}", f"evt_1_{AT_MS}"]
)
@pytest.mark.parametrize("place", ["after", "before"])
def test_an_event_that_the_log_does_not_hold(name: str, place: str) -> None:
    """An id of another log, of the future, or of what was dropped, is no place in the history."""
    here = server()
    here.log.drop_first_block()
    response = here.ask("GET", f"/api/events/history?{place}={name}")
    assert (response.status, response.code) == (410, "EVENT_ID_EXPIRED")
    assert response.json["details"] == {
        "errors": [{"path": place, "message": "is no event that the log holds"}],
        "oldest": here.log.id_of(4),
        "newest": here.log.id_of(9),
    }
    assert response.headers["x-oldest-event-id"] == [here.log.id_of(4)]


def test_two_ids_that_are_wrong_are_both_told() -> None:
    """All that is wrong, not the first; and an empty log has no oldest event."""
    response = Server().ask("GET", "/api/events/history?after=evt_1_1&before=evt_2_2")
    assert (response.status, response.code) == (410, "EVENT_ID_EXPIRED")
    details = response.json["details"]
    assert [each["path"] for each in details["errors"]] == ["after", "before"]
    assert (details["oldest"], details["newest"]) == (None, None)
    assert "x-oldest-event-id" not in response.headers


def test_an_empty_history() -> None:
    """A log without events has an empty one."""
    here = Server()
    assert history(here) == history(here, "after=earliest") == []


def test_stats() -> None:
    """How much there is, and who listens."""
    here = server()
    connection = here.connect()
    connection.send(request_bytes("GET", "/api/events"))
    stats = here.ask("GET", "/api/events/stats").json
    assert stats["subscribers"] == 1
    assert stats["historySize"] == 9
    assert stats["oldestEventId"] == here.log.id_of(1)
    assert stats["newestEventId"] == here.log.id_of(9)
    assert stats["lag"] == 0
    assert stats["eventsPerSecond"] > 0
    connection.close()
    assert here.ask("GET", "/api/events/stats").json["subscribers"] == 0


def test_stats_of_an_empty_log() -> None:
    """There is no oldest and no newest event."""
    stats = Server().ask("GET", "/api/events/stats").json
    assert (stats["historySize"], stats["oldestEventId"], stats["newestEventId"]) == (0, None, None)


# The stream


def stream(here: Server, target: str, **headers: str) -> Any:
    """Open a stream; a name's underscores stand for hyphens."""
    connection = here.connect()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.send(request_bytes("GET", target, headers=named))
    here.clock.advance(0)
    return connection


def types_in(connection: Any) -> list[str]:
    """The types of the events that a stream has carried so far."""
    data = connection.transport.value()
    return [line[7:].decode() for line in data.split(b"\n") if line.startswith(b"event: ")]


def test_a_stream_is_never_stored_and_carries_our_headers() -> None:
    """It has the headers of a stream, those of every response, and goes on."""
    here = server()
    connection = stream(here, "/api/events", X_Request_ID="mine")
    response = connection.response()
    assert response.status == 200
    assert response.header("content-type") == "text/event-stream"
    assert response.header("cache-control") == "no-cache, no-transform"
    assert response.header("x-request-id") == "mine"
    assert response.header("x-response-time") == "0ms"
    assert response.header("x-content-type-options") == "nosniff"
    assert response.header("content-length") is None
    here.log.append(Batch(session_id=ONE, at_ms=AT_MS, facts=[Fact("task:failed", {})]))
    assert types_in(connection) == ["task:failed"]
    connection.close()


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("", []),
        ("history=0", []),
        ("history=2", ["task:completed", "session:completed"]),
        ("history=2&types=log:*", ["log:error", "log:warn"]),
        ("history=10&minLevel=error&types=log:*", ["log:error"]),
        (f"history=5&sessionId={TWO}", ["log:debug", "log:error"]),
        (f"lastEventId=evt_8_{AT_MS + 3}", ["session:completed"]),
        ("lastEventId=earliest&types=session:*", ["session:started", "session:completed"]),
        ("lastEventId=nonsense&types=session:*", None),
    ],
)
def test_where_a_stream_begins(query: str, types: list[str] | None) -> None:
    """With the last events, behind an event, or with what happens next."""
    connection = stream(server(), f"/api/events?{query}")
    expected = ["stream:reset", "session:started", "session:completed"] if types is None else types
    assert types_in(connection) == expected
    connection.close()


def test_the_header_beats_the_parameter() -> None:
    """A browser that comes back sends the header along with its first URL."""
    connection = stream(
        server(), "/api/events?lastEventId=earliest", Last_Event_ID=f"evt_8_{AT_MS + 3}"
    )
    assert types_in(connection) == ["session:completed"]
    connection.close()


@pytest.mark.parametrize(
    "asked", ["\xff" * 256, "}{" * 4000, f"evt_{'9' * 3000}_1", "\t\x7f", "evt_1_1, evt_2_2"]
)
def test_a_header_that_can_be_no_id_of_ours(asked: str) -> None:
    """Whatever it holds the stream begins, with the reason why it does not go on."""
    connection = stream(server(), "/api/events?types=session:*", Last_Event_ID=asked)
    assert types_in(connection) == ["stream:reset", "session:started", "session:completed"]
    assert b'"reason":"unknown"' in connection.transport.value()
    connection.close()


def test_of_several_headers_the_last_counts() -> None:
    """They are no error, and the id that is the last is where the stream goes on."""
    here = server()
    connection = here.connect()
    lines = f"Last-Event-ID: evt_1_{AT_MS}\r\nLast-Event-ID: evt_8_{AT_MS + 3}\r\n"
    request = request_bytes("GET", "/api/events")
    connection.send(request.replace(b"\r\n", b"\r\n" + lines.encode("ascii"), 1))
    here.clock.advance(0)
    assert types_in(connection) == ["session:completed"]
    connection.close()


@pytest.mark.promise("R6")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("asked", "is_told"),
    [
        ("nonsense", True),
        (f"evt_1_{AT_MS}", True),
        (f"evt_8_{AT_MS}", True),
        (f"evt_10_{AT_MS + 3}", True),
        ("evt_0_0", True),
        (f"evt_3_{AT_MS}", False),
        (f"evt_8_{AT_MS + 3}", False),
        ("earliest", False),
        ("", False),
    ],
)
def test_what_is_gone_is_told_by_a_header(method: str, asked: str, is_told: bool) -> None:
    """Who cannot go on where it was is told the oldest event before the body begins."""
    here = server()
    here.log.drop_first_block()
    headers = {"Last-Event-ID": asked, "Origin": "http://localhost:5173"}
    response = here.ask(method, "/api/events", headers=headers)
    assert response.status == 200
    assert response.header("x-oldest-event-id") == (here.log.id_of(4) if is_told else None)
    assert "X-Oldest-Event-ID" in (response.header("access-control-expose-headers") or "")


@pytest.mark.promise("R6")
def test_an_empty_log_has_no_oldest_event() -> None:
    """Then there is no such header, and the stream begins with its reset all the same."""
    connection = stream(Server(), "/api/events", Last_Event_ID=f"evt_1_{AT_MS}")
    assert connection.response().header("x-oldest-event-id") is None
    assert types_in(connection) == ["stream:reset"]
    connection.close()


def test_a_read_ahead_that_fails_is_no_error_of_the_stream() -> None:
    """A browser would never come back from one: the stream begins, and looks again itself."""
    here = server()
    here.log.holding = True
    connection = here.connect()
    headers = {"Last-Event-ID": f"evt_8_{AT_MS + 3}"}
    connection.send(request_bytes("GET", "/api/events", headers=headers))
    assert connection.responses() == []
    here.log.holding = False
    here.log.fail(StorageFailed("the disk has an error"))
    here.clock.advance(0)
    assert connection.response().status == 200
    assert types_in(connection) == ["session:completed"]
    connection.close()


def test_who_leaves_while_its_place_is_looked_up_is_no_reader() -> None:
    """Nobody is subscribed for a client that has gone."""
    here = server()
    here.log.holding = True
    connection = here.connect()
    headers = {"Last-Event-ID": "nonsense"}
    connection.send(request_bytes("GET", "/api/events", headers=headers))
    connection.close()
    here.log.holding = False
    here.log.answer(here.log.waiting)
    assert here.hub.subscriber_count == 0


def test_an_empty_header_is_none() -> None:
    """Then the parameter counts."""
    here = server()
    target = f"/api/events?lastEventId=evt_8_{AT_MS + 3}"
    connection = stream(here, target, Last_Event_ID="")
    assert types_in(connection) == ["session:completed"]
    connection.close()


@pytest.mark.threat("T28")
@pytest.mark.parametrize(
    "query",
    [
        "types=nonsense",
        "minLevel=x",
        "sessionId=%00",
        "history=-1",
        "history=abc",
        "history=10001",
        "limit=5",
        "lastEventId=",
        "lastEventId=a%0Ab",
        "lastEventId=" + "x" * 257,
        "types=log:*&types=task:*",
    ],
)
def test_a_stream_that_is_asked_for_wrongly(query: str) -> None:
    """It is refused with what is wrong; the old server began an empty one."""
    here = server()
    response = here.ask("GET", f"/api/events?{query}")
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    assert here.hub.subscriber_count == 0


def test_head_of_a_stream() -> None:
    """Only the headers come, and nobody is subscribed."""
    here = server()
    connection = here.connect()
    connection.send(request_bytes("HEAD", "/api/events"))
    response = connection.response()
    assert (response.status, response.body) == (200, b"")
    assert response.header("content-type") == "text/event-stream"
    assert here.hub.subscriber_count == 0
    connection.close()


def test_no_stream_is_begun_while_the_server_ends() -> None:
    """It is refused in our envelope, not cut."""
    here = server()
    here.hub.close()
    response = here.ask("GET", "/api/events")
    assert (response.status, response.code) == (503, "SERVICE_UNAVAILABLE")
    assert response.header("cache-control") == "no-store"
