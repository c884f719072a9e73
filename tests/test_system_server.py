"""The server as its operator meets it: ends, restarts, and refusals that touch nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system import TIMEOUT, Server
from tests.test_system_sessions import HERE, install_runner


def refused(home: Path, *options: str, **variables: str) -> list[str]:
    """Start a server that shall not start, and ends by itself; gives the lines that it said."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    ended = subprocess.run(
        [sys.executable, "-m", "loki_twisted", "serve", *options],
        cwd=home,
        env={**inherited, "LOKI_DIR": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ended.returncode > 0, (ended.returncode, ended.stderr)
    assert ended.stdout == ""
    return ended.stderr.splitlines()


def test_a_clean_end_says_goodbye_and_the_next_server_goes_on(tmp_path: Path) -> None:
    """SIGTERM ends the stream with its last id, exit code 0; a resumed stream misses nothing."""
    program = HERE / "standins" / "counting.py"
    install_runner(tmp_path, f"exec '{sys.executable}' '{program}' 200 0.02 0")
    with Server(tmp_path) as server:
        session_id = server.start()
        stream = server.stream("lastEventId=earliest&types=log:info")
        seen = [next(stream) for _ in range(10)]
        code = server.stop()
        rest = list(stream)
        assert code == 0
    assert rest[-1].type == "stream:bye"
    assert rest[-1].id is None
    seen += [event for event in rest[:-1] if event.id is not None]
    with Server(tmp_path) as server:
        resume = {"Last-Event-ID": str(seen[-1].id)}
        for event in server.stream("types=log:info,session:*", **resume):
            if event.type == "session:completed":
                break
            seen.append(event)
        lines = [event.data["message"] for event in seen if event.type == "log:info"]
        assert lines == [f"count {number}" for number in range(1, 201)]
        assert server.get(f"/api/sessions/{session_id}")["session"]["status"] == "completed"


def test_the_end_waits_for_no_half_requests(tmp_path: Path) -> None:
    """Clients that keep the rest of theirs to themselves are refused, and nothing is amiss."""
    head = b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\n"
    body = b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
    with Server(tmp_path) as server, ExitStack() as exit_:
        address = ("127.0.0.1", server.port)
        clients = [
            exit_.enter_context(socket.create_connection(address, TIMEOUT)) for _ in range(2)
        ]
        for client, sent in zip(clients, (head[:9], head + body), strict=True):
            client.sendall(sent)
        server.get("/health/live")  # what came before on other connections is read by then
        assert server.stop() == 0
        assert [client.recv(12) for client in clients] == [b"HTTP/1.1 408"] * 2
        assert not [line for line in server.said if "CRITICAL" in line or "Trouble" in line]


def test_an_id_of_another_log_is_told(tmp_path: Path) -> None:
    """A client that comes with somebody else's id is reset, and given all there is."""
    install_runner(tmp_path, "echo hello")
    with Server(tmp_path) as server:
        events = server.until_end(server.start())
        other = "evt_1_1"
        stream = server.stream("", **{"Last-Event-ID": other})
        reset = next(stream)
        assert reset.type == "stream:reset"
        assert reset.id is None
        assert reset.event["asked"] == other
        assert reset.event["reason"] == "unknown"
        assert reset.event["oldest"] == events[0].id
        assert [next(stream).id for _ in events] == [event.id for event in events]


@pytest.mark.promise("R25")
def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    """It says so in one line, and the first one goes on undisturbed."""
    with Server(tmp_path) as server:
        (line,) = refused(tmp_path, "--port", "0")
        assert "in use by another server" in line
        assert server.get("/health/live")["alive"]


@pytest.mark.promise("R25")
def test_a_port_in_use_touches_nothing(tmp_path: Path) -> None:
    """One line names the address, and no file was made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (line,) = refused(tmp_path, "--host", "127.0.0.1", "--port", str(port))
        assert str(port) in line
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_is_not_there_touches_nothing(tmp_path: Path) -> None:
    """Who starts a server by hand that systemd is to give a socket reads that in one line."""
    options = ("--listen", "systemd:domain=INET:index=0")
    (line,) = refused(tmp_path, *options, LOKI_API_TOKEN="a-token-that-is-long")
    assert "No socket was inherited" in line
    assert list(tmp_path.iterdir()) == []


def test_options_that_are_wrong_touch_nothing(tmp_path: Path) -> None:
    """Unknown flags, bad ports and an open server without a token are one line each."""
    for options in (
        ["--nonsense"],
        ["--port", "abc"],
        ["--port", "70000"],
        ["--host", "0.0.0.0"],
        ["--host", "0.0.0.0", "--no-auth"],
        ["--listen", "nonsense:1"],
        ["--max-sessions", "0"],
    ):
        assert len(refused(tmp_path, *options)) == 1, options
    assert list(tmp_path.iterdir()) == []


def test_variables_are_honoured_and_flags_win(tmp_path: Path) -> None:
    """The host is taken from LOKI_API_HOST, from LOKI_DASHBOARD_HOST, and first from --host."""
    for variables in (
        {"LOKI_API_HOST": "0.0.0.0"},
        {"LOKI_DASHBOARD_HOST": "0.0.0.0"},
        {"LOKI_API_HOST": "0.0.0.0", "LOKI_DASHBOARD_HOST": "127.0.0.1"},
    ):
        (line,) = refused(tmp_path, **variables)
        assert "0.0.0.0" in line
        assert "token" in line
    with Server(tmp_path, "--host", "127.0.0.1", LOKI_API_HOST="0.0.0.0") as server:
        assert server.get("/health/live")["alive"]


@pytest.mark.threat("T34")
def test_a_unix_socket_is_private(tmp_path: Path) -> None:
    """A server on a unix socket answers there, and nobody else may open it."""
    path = tmp_path / "loki.sock"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    with subprocess.Popen(
        [sys.executable, "-m", "loki_twisted", "serve", "--listen", f"unix:{path}"],
        env={**inherited, "LOKI_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if str(path) in line:
                break
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(path))
            connection.sendall(
                b"GET /api/sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        process.terminate()
        assert process.wait(TIMEOUT) == 0
