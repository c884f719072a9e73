"""
Requests that ask for as much as they may: some for each operation of the API.

They are bytes, as they go over the connection, and say nothing that a client of ours would not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

MEGABYTE: Final = 1_048_576
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


@attrs.frozen
class Places:
    """
    What the requests are about.

    :ivar session: One that runs, and has printed and asked a lot.
    :ivar asked: An input of it that is open.
    :ivar task: A task of an other session, which stands in ``listed``.
    :ivar listed: The session with as many tasks as one may have.
    :ivar token: The last one of a file of as many as there may be.
    """

    session: str
    asked: str
    task: str
    listed: str
    token: str


Ask = Callable[[Places], bytes]


def get(path: str, *headers: str) -> Ask:
    """A request without a body. Names in braces are those of :class:`Places`."""
    return lambda places: _head("GET", path, places, *headers)


def send(path: str, body: bytes, kind: str = JSON, method: str = "POST") -> Ask:
    """A request with a body."""

    def request(places: Places) -> bytes:
        about = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
        return _head(method, path, places, *about) + body

    return request


def chunked(path: str, count: int) -> Ask:
    """A body in very many very small pieces."""

    def request(places: Places) -> bytes:
        about = (f"Content-Type: {JSON}", "Transfer-Encoding: chunked")
        head = _head("POST", path, places, *about)
        return head + b"1\r\n \r\n" * count + b"2\r\n{}\r\n0\r\n\r\n"

    return request


def _head(method: str, path: str, places: Places, *headers: str) -> bytes:
    target = path.format_map(attrs.asdict(places))
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Authorization: Bearer {places.token}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


DEEP: Final = b'{"prompt": ' + b"[" * 500_000 + b"]" * 500_000 + b"}"
FIELDS: Final = json.dumps({f"field{number}": number for number in range(50_000)}).encode()
AGAIN: Final = b"{" + b",".join([b'"prompt": "x"'] * 60_000) + b"}"
NUMBER: Final = b'{"options": {"timeout": 1' + b"0" * 900_000 + b"}}"
VALUES: Final = b'{"command": [' + b",".join([b"1"] * 500_000) + b"]}"
NAMES: Final = b'{"values": [' + b",".join([b'"x"'] * 250_000) + b"]}"
LISTS: Final = b'{"options": [' + b",".join([b"[]"] * 330_000) + b"]}"
PROMPT: Final = json.dumps({"prompt": "\u00e9" * 170_000}).encode()
ESCAPES: Final = json.dumps({"input": "\x01" * 170_000}).encode()
ODD: Final = json.dumps({"input": "\x1b]" * 130_000}).encode()
BROKEN: Final = b"x" * 1_000_000
PARTS: Final = b"a=b&" * (MEGABYTE // 4)

_MANY: Final = "&".join(["limit=1"] * 1_500)
_COMMAS: Final = "log:info," * 1_600
_SESSION: Final = "/api/sessions/{session}"

REQUESTS: Final[Mapping[str, Sequence[tuple[str, Ask]]]] = {
    "getHealth": [("", get("/health"))],
    "getReadiness": [("", get("/health/ready"))],
    "getLiveness": [
        ("95 headers", get("/health/live", *[f"X-{n}: {'y' * 100}" for n in range(95)]))
    ],
    "getStatus": [("", get("/api/status"))],
    "listProviders": [("", get("/api/providers"))],
    "getMetrics": [("", get("/metrics"))],
    "startSession": [
        ("deep", send("/api/sessions", DEEP)),
        ("50,000 fields", send("/api/sessions", FIELDS)),
        ("one field 60,000 times", send("/api/sessions", AGAIN)),
        ("a number of 900,000 digits", send("/api/sessions", NUMBER)),
        ("500,000 numbers", send("/api/sessions", VALUES)),
        ("330,000 lists", send("/api/sessions", LISTS)),
        ("a long prompt", send("/api/sessions", PROMPT)),
        ("no JSON", send("/api/sessions", BROKEN)),
        ("a form", send("/api/sessions", PARTS, FORM)),
        ("4,000 chunks", chunked("/api/sessions", 4_000)),
    ],
    "continueSession": [("a long prompt", send("/api/sessions/{listed}/continue", PROMPT))],
    "listSessions": [
        ("all", get("/api/sessions")),
        ("1,000", get("/api/sessions?limit=1000")),
        ("running", get("/api/sessions?status=running&provider=claude")),
    ],
    "getSession": [("", get(_SESSION))],
    "stopSession": [("fields", send(_SESSION + "x/stop", FIELDS))],
    "pauseSession": [("fields", send(_SESSION + "/pause", FIELDS))],
    "resumeSession": [("fields", send(_SESSION + "/resume", FIELDS))],
    "interruptSession": [("", send(_SESSION + "/interrupt", b"{}"))],
    "deleteSession": [("", send("/api/sessions/{listed}x", b"", method="DELETE"))],
    "listOpenInputs": [("all", get("/api/inputs"))],
    "listInputs": [("1,000", get(_SESSION + "/inputs?limit=1000"))],
    "getInput": [("", get(_SESSION + "/inputs/{asked}"))],
    "answerInput": [("250,000 values", send(_SESSION + "/inputs/{asked}", NAMES))],
    "giveInput": [
        ("escapes", send(_SESSION + "/input", ESCAPES)),
        ("steering a terminal", send(_SESSION + "/input", ODD)),
    ],
    "listMessages": [("1,000", get(_SESSION + "/messages?limit=1000"))],
    "readOutput": [("all", get(_SESSION + "/output"))],
    "listSessionTasks": [
        ("1,000", get("/api/sessions/{listed}/tasks?limit=1000")),
        ("behind 9,000", get("/api/sessions/{listed}/tasks?limit=1000&offset=9000")),
    ],
    "getTask": [("", get("/api/sessions/{listed}/tasks/{task}"))],
    "listTasks": [
        ("1,000", get("/api/tasks?limit=1000")),
        ("behind 50,000", get("/api/tasks?limit=1000&offset=50000")),
        ("1,500 parameters", get("/api/tasks?" + _MANY)),
    ],
    "listActiveTasks": [("all", get("/api/tasks/active"))],
    "listQueuedTasks": [("all", get("/api/tasks/queue"))],
    "getUsage": [
        (by, get(f"/api/usage?by={by}&limit=1000"))
        for by in ("session", "project", "provider", "model", "day", "turn")
    ],
    "streamEvents": [
        ("10,000", get("/api/events?history=10000")),
        ("all", get("/api/events?lastEventId=earliest")),
    ],
    "listEvents": [
        ("1,000", get("/api/events/history?limit=1000&after=earliest")),
        ("1,000 of a session", get("/api/events/history?limit=1000&sessionId={session}")),
        ("a long list of types", get("/api/events/history?types=" + _COMMAS)),
        ("errors", get("/api/events/history?limit=1000&minLevel=error&types=log:*")),
        ("none", get("/api/events/history?limit=1000&types=metrics:update")),
    ],
    "getEventStats": [("", get("/api/events/stats"))],
    "createTicket": [("fields", send("/api/events/ticket", FIELDS))],
    "getDocument": [("", get("/openapi.json"))],
}
"""By operation, each with what it says."""

OTHERS: Final[Sequence[tuple[str, Ask]]] = [
    ("the page", get("/")),
    ("a file of the page", get("/page/style.css")),
    ("a form to nowhere", send("/nowhere", PARTS, FORM)),
    ("a path of 15 KB", get("/api/sessions/" + "%2e" * 5_000)),
]
"""Requests for what is no operation."""
