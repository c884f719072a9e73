"""The route of the figures, and what is counted of requests."""

from __future__ import annotations

from loki_twisted.web.metering import RequestMeter
from tests.fakes_web import TOKEN, WITH_TOKEN, Server, session


def counted(server: Server) -> dict[tuple[str, str, int], int]:
    """What was counted."""
    return {key: tally.count for key, tally in server.api.meter.tallies.items()}


def test_the_page() -> None:
    """It is answered as Prometheus wants it."""
    answer = Server().ask("GET", "/metrics")

    assert answer.status == 200
    assert answer.headers["content-type"] == ["text/plain; version=0.0.4; charset=utf-8"]
    assert answer.body == b"loki_ready 1.0\n"


def test_it_needs_a_token() -> None:
    """Who may not read does not get to know what goes on here."""
    server = Server(WITH_TOKEN)
    assert server.ask("GET", "/metrics").status == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert server.ask("GET", "/metrics", headers=headers).status == 200


def test_requests_are_counted_by_what_they_ask_for() -> None:
    """By the route as it is declared, the method, and the status; streams when they begin."""
    server = Server()
    server.sessions.records["session_1_aaaaaaaa"] = session()
    server.ask("GET", "/health/live")
    server.ask("HEAD", "/health/live")
    server.ask("GET", "/api/sessions/session_1_aaaaaaaa")
    server.ask("GET", "/api/sessions/session_1_cccccccc")
    server.ask("POST", "/api/sessions", body={"nonsense": 1})
    stream = server.connect()
    stream.send(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert counted(server) == {
        ("/health/live", "GET", 200): 1,
        ("/health/live", "HEAD", 200): 1,
        ("/api/sessions/{sessionId}", "GET", 200): 1,
        ("/api/sessions/{sessionId}", "GET", 404): 1,
        ("/api/sessions", "POST", 422): 1,
        ("/api/events", "GET", 200): 1,
    }


def test_nobody_can_make_the_counts_many() -> None:
    """Paths, methods and lines that are made up come to the same few entries."""
    server = Server()
    for number in range(20):
        server.ask("GET", f"/made/up/{number}")
        server.connect().send(f"MAKE{number} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        server.connect().send(f"nonsense{number}\r\n\r\n".encode())

    assert counted(server) == {
        ("", "GET", 404): 20,
        ("", "other", 501): 20,
        ("", "other", 400): 20,
    }


def test_what_is_refused_at_the_gate_is_counted() -> None:
    """It has come to no route."""
    server = Server(WITH_TOKEN)
    server.ask("GET", "/api/sessions")
    assert counted(server) == {("", "GET", 401): 1}


def test_how_long_it_took() -> None:
    """Durations are counted under their bounds."""
    meter = RequestMeter()
    for seconds in (0.0001, 0.03, 30.0):
        meter.note("/x", b"GET", 200, seconds)
    (tally,) = meter.tallies.values()

    assert tally.count == 3
    assert tally.total == 30.0301
    assert dict(tally.cumulative())[0.05] == 2
