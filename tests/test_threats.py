"""
The table of threats: that each row has its tests, and those tests that belong to no room alone.

A test of a row carries its id: ``@pytest.mark.threat("T14")``. The rows and their tests stand in
``docs/security.rst``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address

from loki_twisted.access.interface import Scope
from loki_twisted.access.keyring import Keyring
from loki_twisted.access.tokens import plain_token
from loki_twisted.model.errors import TooManySessions
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.web.gate import GatePolicy
from tests.fakes_web import (
    PUBLIC,
    STRANGER,
    TOKEN,
    WITH_TOKEN,
    FakeSessions,
    session,
)
from tests.fakes_web import Server as ServerInMemory
from tests.registered import documented, marked
from tests.system import TIMEOUT, Server
from tests.test_system_sessions import HERE, install_runner
from tests.test_web_channel import check_common_headers
from tests.test_web_event_stream_sockets import own_pem
from tests.test_web_tickets import token

PACKAGE = HERE.parent / "loki_twisted"
EXTRA = ("T-cfg1", "T-cfg2", "T-log", "T-perm", "T-uid", "B-hdr", "order")
BAD = (*(f"B{number}" for number in (*range(24, 32), *range(57, 60))),)
ROWS = (*(f"T{number}" for number in range(1, 37)), *EXTRA, *BAD)


def test_every_row_has_its_tests() -> None:
    """None is without one, and none is named that is not in the table."""
    assert set(marked("threat")) == set(ROWS)


def test_the_document_names_them() -> None:
    """A reader finds the tests of a row there: all of them, and no others."""
    assert documented("security.rst", r"[TB]\d+|[TB]-\w+|order") == marked("threat")


# The order of the checks


MENDING: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"target": "//nowhere?x=1"}, (400, "BAD_REQUEST")),
    ({"target": "/nowhere?x=1"}, (421, "HOST_NOT_ALLOWED")),
    ({"Host": "localhost"}, (403, "FORBIDDEN")),
    ({"Origin": None}, (401, "UNAUTHORIZED")),
    ({"Authorization": "Bearer reader"}, (404, "NOT_FOUND")),
    ({"target": "/api/sessions?x=1", "method": "DELETE"}, (405, "METHOD_NOT_ALLOWED")),
    ({"method": "POST"}, (403, "FORBIDDEN")),
    ({"Authorization": "Bearer writer"}, (415, "UNSUPPORTED_MEDIA_TYPE")),
    ({"Content-Type": "application/json"}, (400, "BAD_REQUEST")),
    ({"body": b'{"x": 1}'}, (422, "VALIDATION_ERROR")),
    ({"body": b"{}"}, (422, "VALIDATION_ERROR")),
    ({"target": "/api/sessions/nobody/stop"}, (404, "SESSION_NOT_FOUND")),
    ({"target": "/api/sessions/session_0_aaaaaaaa/stop"}, (409, "CONFLICT")),
    ({"target": "/api/sessions"}, (429, "TOO_MANY_SESSIONS")),
]


@pytest.mark.threat("order", "T1", "T8", "T26")
def test_a_request_that_is_wrong_in_every_way_is_mended_step_by_step() -> None:
    """The first fault is the one that is told, from the request line to the state of sessions."""
    done = session("session_0_aaaaaaaa", status=SessionStatus.COMPLETED)
    sessions = FakeSessions([done])
    sessions.failure = TooManySessions("Too many.")
    keyring = Keyring([token("reader", {Scope.READ}), token("writer")])
    server = ServerInMemory(
        GatePolicy(keyring=keyring, local_without_token=False), sessions=sessions
    )
    asked: dict[str, Any] = {
        "method": "POST",
        "body": b"{",
        "Host": "evil.example",
        "Origin": "https://evil.example",
        "Content-Type": "text/plain",
    }
    for mended, told in MENDING:
        asked.update(mended)
        headers = {name: value for name, value in asked.items() if name[0].isupper()}
        answer = server.ask(asked["method"], asked["target"], body=asked["body"], headers=headers)
        assert (answer.status, answer.code) == told, mended
        check_common_headers(answer)
    assert sessions.orders == []


@pytest.mark.threat("order", "T11")
def test_guessing_hides_no_route_and_locks_nobody_out() -> None:
    """After ten wrong tokens a stranger reads 429 everywhere, and who has one what there is."""
    server = ServerInMemory(WITH_TOKEN)
    there = {"here": PUBLIC, "peer": STRANGER}
    wrong = {"Host": "192.0.2.1", "Authorization": "Bearer wrong"}
    for _ in range(10):
        assert server.ask("GET", "/nowhere", headers=wrong, **there).status == 401
    for target in ("/nowhere", "/api/status"):
        assert server.ask("GET", target, headers=wrong, **there).status == 429
    right = {**wrong, "Authorization": f"Bearer {TOKEN}"}
    assert server.ask("GET", "/nowhere", headers=right, **there).status == 404
    assert server.ask("GET", "/api/status", headers=right, **there).status == 200


# Headers


ODD: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/health/live", {}),
    ("GET", "/api/status", {}),
    ("GET", "/api/events/history", {}),
    ("GET", "/openapi.json", {}),
    ("HEAD", "/api/sessions", {}),
    ("OPTIONS", "/api/sessions", {}),
    (
        "OPTIONS",
        "/api/sessions",
        {"headers": {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}},
    ),
    ("POST", "/api/sessions", {"body": {}}),
    ("POST", "/api/sessions", {"body": b"{"}),
    ("POST", "/api/sessions", {"body": b"x", "headers": {"Content-Type": "text/plain"}}),
    ("POST", "/api/sessions", {"body": b"x" * 2_000_000}),
    ("POST", "/api/events/ticket", {"body": {}}),
    ("GET", "/api/events?ticket=wrong", {}),
    ("GET", "/api/events?token=x", {}),
    ("GET", "/api/sessions?limit=abc", {}),
    ("GET", "/api/sessions/none", {}),
    ("GET", "/nowhere", {}),
    ("PUT", "/api/sessions", {}),
    ("get", "/api/sessions", {}),
    ("TRACE", "/api/sessions", {}),
    ("GET", "//api/sessions", {}),
    ("GET", "/api/%2e%2e/x", {}),
    ("GET", "/" + "x" * 20_000, {}),
    ("GET", "/", {"headers": {"X-Long": "x" * 20_000}}),
    ("GET", "/api/status", {"headers": {"Host": "evil.example"}}),
    ("GET", "/api/status", {"headers": {"Host": None}}),
    ("GET", "/api/status", {"headers": {"Origin": "null"}}),
    ("GET", "/api/status", {"headers": {"Sec-Fetch-Site": "cross-site"}}),
    ("GET", "/api/status", {"headers": {"Authorization": "Bearer wrong"}}),
    ("GET", "/api/status", {"headers": {"Cookie": "session=1; token=2"}}),
]


@pytest.mark.threat("B-hdr", "T15", "T31", "T32", "T33")
@pytest.mark.parametrize(("method", "target", "asked"), ODD)
@pytest.mark.parametrize("debug", [False, True])
def test_every_answer_carries_what_keeps_browsers_safe(
    method: str, target: str, asked: dict[str, Any], debug: bool
) -> None:
    """Whatever it is: nothing is guessed, run, framed, stored or set, and no version is told."""
    keyring = Keyring([plain_token("one", TOKEN)])
    server = ServerInMemory(GatePolicy(keyring=keyring, debug=debug))
    answer = server.ask(method, target, **asked)
    check_common_headers(answer)
    if answer.body:
        assert answer.header("content-type") == "application/json"
        assert answer.body.startswith(b"{")
        assert isinstance(answer.json, dict)


# No code out of data


DANGEROUS_CALLS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "pickle.loads",
    "pickle.load",
    "marshal.loads",
    "yaml.load",
}


def calls_in(package: Path) -> Iterator[tuple[Path, ast.Call]]:
    """All calls of a package."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node


@pytest.mark.threat("T18")
def test_nothing_is_made_into_code() -> None:
    """No shell, no evaluation, no program text as an argument, in all of the package."""
    found = []
    for path, call in calls_in(PACKAGE):
        name = ast.unparse(call.func)
        is_shell = any(
            each.arg == "shell" and ast.unparse(each.value) != "False" for each in call.keywords
        )
        words = {each.value for each in ast.walk(call) if isinstance(each, ast.Constant)}
        is_program = "-c" in words and "sys.executable" in ast.unparse(call)
        if name in DANGEROUS_CALLS or is_shell or is_program:
            found.append(f"{path.name}:{call.lineno} {name}")
    assert found == []


IN_STATEMENTS = re.compile(r"_?[A-Z][A-Z_]*|_all_bits\(connection\)")
"""What may be part of the text of a statement: constants, and a number that is made of some."""


@pytest.mark.threat("T18")
def test_no_statement_of_the_database_holds_a_value() -> None:
    """What goes into SQL by its text is ours; all else goes by parameters."""
    found = [
        f"{path.name}:{call.lineno} {ast.unparse(each.value)}"
        for path, call in calls_in(PACKAGE / "log")
        if ast.unparse(call.func).endswith((".execute", ".executemany")) and call.args
        for each in ast.walk(call.args[0])
        if isinstance(each, ast.FormattedValue)
        and not IN_STATEMENTS.fullmatch(ast.unparse(each.value))
    ]
    assert found == []


# With a real server


def rights_below(place: Path) -> dict[str, int]:
    """By name, the mode of each file and directory of a server."""
    return {
        str(each.relative_to(place)): stat.S_IMODE(each.lstat().st_mode)
        for each in (place, *place.rglob("*"))
    }


@pytest.mark.threat("T34", "T-perm")
def test_all_that_a_server_makes_is_private(tmp_path: Path) -> None:
    """Directories are 0700 and files 0600, whatever the umask lets others do."""
    install_runner(tmp_path, "echo hello; sleep 600")
    before = os.umask(0)
    try:
        with Server(tmp_path) as server:
            session_id = server.start()
            server.wait_for(session_id, "log:info")
            found = rights_below(tmp_path / ".loki" / "server")
            server.post(f"/api/sessions/{session_id}/stop")
            server.until_end(session_id)
    finally:
        os.umask(before)
    assert {"log.db", "lock", "audit.jsonl"} <= set(found)
    open_to_others = {name: oct(mode) for name, mode in found.items() if mode & 0o077}
    assert open_to_others == {}


@pytest.mark.threat("T10", "T-uid")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_of_this_machine_needs_a_token(tmp_path: Path) -> None:
    """From loopback, with all that a header can say: 401 without the token, 200 with it."""
    program = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "s = socket.socket(); s.connect(('127.0.0.1', int(sys.argv[1])));"
        "s.sendall(sys.argv[2].encode()); print(s.recv(12).decode())"
    )

    def ask(header: str) -> str:
        request = (
            "POST /api/events/ticket HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            f"Content-Type: application/json\r\n{header}\r\n{{}}"
        )
        return subprocess.run(
            [sys.executable, "-c", program, str(server.port), request],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=True,
        ).stdout.strip()

    with Server(tmp_path, LOKI_API_TOKEN="a-token-of-this-test") as server:
        assert ask("") == "HTTP/1.1 401"
        assert ask("Authorization: Bearer a-token-of-this-test\r\n") == "HTTP/1.1 201"
        assert server.request("GET", "/api/status").status == 200
    record = tmp_path / ".loki" / "server" / "audit.jsonl"
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    assert [entry.get("who") for entry in entries] == [None, "LOKI_API_TOKEN"]


@pytest.mark.threat("T7", "T-cfg1")
def test_a_server_for_all_without_a_token_does_not_start(tmp_path: Path) -> None:
    """Exit code 2, one line, nothing listens and nothing was made."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    for options in (["--host", "0.0.0.0"], ["--host", "::"], ["--listen", f"tcp:{port}"]):
        ended = subprocess.run(
            [sys.executable, "-m", "loki_twisted", "serve", "--port", str(port), *options],
            cwd=tmp_path,
            env={**inherited, "LOKI_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert ended.returncode == 2
        assert ended.stderr.count("\n") == 1
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), TIMEOUT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.threat("T35", "T36")
def test_where_tls_is_meant_there_is_nothing_else(tmp_path: Path) -> None:
    """On an endpoint with TLS plain HTTP gets no answer, and HTTP/2 is not to be had."""
    pem = tmp_path / "key.pem"
    pem.write_bytes(b"".join(own_pem()))
    home = tmp_path / "home"
    home.mkdir()
    options = ["--listen", f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    with subprocess.Popen(
        [sys.executable, "-m", "loki_twisted", "serve", *options],
        env={**inherited, "LOKI_DIR": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = (re.search(r"https://127\.0\.0\.1:(\d+)", line) for line in process.stderr)
        port = int(next(found[1] for found in said if found))
        request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as plain:
            plain.sendall(request)
            assert b"HTTP" not in read_all(plain)
        with (
            socket.create_connection(("127.0.0.1", port), TIMEOUT) as below,
            context.wrap_socket(below) as secure,
        ):
            assert secure.selected_alpn_protocol() in {None, "http/1.1"}
            secure.sendall(request)
            assert read_all(secure).startswith(b"HTTP/1.1 200 ")
        process.terminate()
        process.wait(TIMEOUT)


def read_all(connection: socket.socket) -> bytes:
    """What comes until it is closed, in whatever way."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return data


@pytest.mark.threat("T19")
def test_an_agent_cannot_speak_for_the_server(tmp_path: Path) -> None:
    """What it prints as the server's own events, or to break a frame, is told as its output."""
    forged = [
        json.dumps({"type": "session:failed", "data": {"status": "failed"}}),
        json.dumps({"type": "heartbeat", "data": {}}),
        json.dumps({"type": "stream:bye", "data": {}}),
        json.dumps({"type": "input:answered", "data": {"inputId": "x"}}),
        "x\rid: evt_9_9\revent: session:failed\rdata: {}",
        "\u2028data: {}\u2029id: evt_9_9",
        "\x1b]0;title\x07\x1b[2Jcleared",
    ]
    program = tmp_path / "forging.py"
    program.write_text(f"import sys\nfor line in {forged!r}:\n    sys.stdout.write(line + '\\n')\n")
    install_runner(tmp_path, f"PYTHONUTF8=1 exec '{sys.executable}' '{program}'")
    with Server(tmp_path) as server:
        session_id = server.start()
        events = server.until_end(session_id)
        status = server.get(f"/api/sessions/{session_id}")["session"]["status"]
    kinds = [event.type for event in events]
    assert status == "completed"
    ours = [kind for kind in kinds if not kind.startswith("log:")]
    assert ours == ["session:started", "session:completed"]
    ids = [event.id for event in events]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert "evt_9_9" not in ids
    assert all("\x1b" not in str(event.data) for event in events)


@pytest.mark.threat("T9", "B30")
@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP", "CF-Ray"]
)
def test_what_comes_through_a_proxy_needs_a_token(name: str) -> None:
    """Whatever the header says: also that it comes from here."""
    server = ServerInMemory()
    for value in ("127.0.0.1", "for=127.0.0.1", "localhost", ""):
        answer = server.ask("GET", "/api/status", headers={name: value})
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert server.ask("GET", "/api/status").status == 200


@pytest.mark.threat("T8", "T4")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:57374"])
def test_a_header_makes_nobody_local(host: str) -> None:
    """Who comes from elsewhere is from elsewhere, whatever Host it names."""
    server = ServerInMemory()
    for here in (PUBLIC, IPv4Address("TCP", "127.0.0.1", 57374)):
        answer = server.ask("GET", "/api/status", headers={"Host": host}, here=here, peer=STRANGER)
        assert answer.status == 401
