"""A real server with a file of tokens: what it takes back, what it ends, and what it records."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from loki_twisted.access.tokens import Token, digest_of, line_of
from loki_twisted.command.lokictl import main
from loki_twisted.web.attempts import ALLOWED_FAILURES
from tests.figures import tell
from tests.system import TIMEOUT, Server
from tests.test_system_server import refused
from tests.test_system_sessions import HERE, install_runner, until

SECRET = "SECRETXYZ-" + "0123456789abcdef" * 2


def tokens_file(path: Path, *lines: str) -> Path:
    """Write a file of tokens, all at once."""
    aside = path.with_suffix(".aside")
    aside.write_text("".join(f"{line}\n" for line in lines))
    aside.chmod(0o600)
    aside.rename(path)
    return path


def named(name: str, secret: str, expires_ms: int | None = None) -> str:
    """A line of such a file."""
    return line_of(Token(name=name, digest=digest_of(secret.encode()), expires_ms=expires_ms))


@contextmanager
def open_stream(server: Server, secret: str) -> Iterator[socket.socket]:
    """A stream of events that has begun, as the socket that carries it."""
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as stream:
        stream.sendall(
            b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer " + secret.encode() + b"\r\n\r\n"
        )
        assert stream.recv(12) == b"HTTP/1.1 200"
        yield stream


def end_of(stream: socket.socket) -> float:
    """Read a stream to its end; gives when that was."""
    try:
        while stream.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic()


def record_of(home: Path) -> list[dict[str, object]]:
    """The audit log of a server."""
    lines = (home / ".loki" / "server" / "audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.threat("T27", "B28")
def test_a_token_that_is_revoked_is_gone_with_its_streams(tmp_path: Path, is_full: bool) -> None:
    """Within five seconds, without a restart; the stream of another token goes on."""
    file = tokens_file(tmp_path / "tokens", named("ci", "ci-secret"), "plain-secret")
    with Server(tmp_path, "--token-file", str(file)) as server:
        with open_stream(server, "ci-secret") as mine, open_stream(server, "plain-secret") as other:
            began = time.monotonic()
            assert main(["token", "revoke", "ci", "--file", str(file)]) == 0
            took = end_of(mine) - began
            assert not is_full or took < 5, took
            session_id = server.start(provider="demo")
            while session_id.encode() not in other.recv(65536):
                pass
        for secret, status in (("ci-secret", 401), ("plain-secret", 200)):
            header = {"Authorization": f"Bearer {secret}"}
            assert server.request("GET", "/api/status", **header).status == status


@pytest.mark.threat("B28")
def test_a_hangup_takes_up_the_file_at_once(tmp_path: Path) -> None:
    """SIGHUP does not wait for a file that is touched all the time; streams of old tokens end."""
    file = tokens_file(tmp_path / "tokens", named("ci", "old-secret"))
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(0.1):
            os.utime(file)

    with Server(tmp_path, "--token-file", str(file)) as server:
        touching = threading.Thread(target=touch)
        touching.start()
        try:
            with open_stream(server, "old-secret") as stream:
                tokens_file(file, named("ci", "new-secret"))
                os.kill(server.pid, signal.SIGHUP)
                end_of(stream)
            for secret, status in (("old-secret", 401), ("new-secret", 200)):
                header = {"Authorization": f"Bearer {secret}"}
                assert server.request("GET", "/api/status", **header).status == status
        finally:
            ended.set()
            touching.join(TIMEOUT)


@pytest.mark.threat("T27")
def test_a_token_that_expires_ends_its_streams_by_itself(tmp_path: Path) -> None:
    """Nobody does anything: the time comes, and the stream is over."""
    file = tokens_file(tmp_path / "tokens", named("guest", "guest-secret"))
    with Server(tmp_path, "--token-file", str(file)) as server:
        with open_stream(server, "guest-secret") as stream:
            expires_ms = time.time_ns() // 1_000_000 + 4_000
            tokens_file(file, named("guest", "guest-secret", expires_ms))
            end_of(stream)
        assert time.time_ns() // 1_000_000 >= expires_ms
        header = {"Authorization": "Bearer guest-secret"}
        assert server.request("GET", "/api/status", **header).status == 401
        assert server.get("/api/status")  # we need none


def test_a_file_that_becomes_wrong_is_told_and_locks_nobody_out(tmp_path: Path) -> None:
    """The health says so, to those who may read it, and all is well when the file is."""
    file = tokens_file(tmp_path / "tokens", named("ci", "ci-secret"))
    header = {"Authorization": "Bearer ci-secret"}
    with Server(tmp_path, "--token-file", str(file)) as server:
        tokens_file(file, "two words")
        while not any("tokens" in each for each in server.get("/health")["problems"]):
            time.sleep(0.05)
        assert server.request("GET", "/api/status", **header).status == 200
        tokens_file(file, named("cd", "ci-secret"))
        while any("tokens" in each for each in server.get("/health")["problems"]):
            time.sleep(0.05)
        assert server.request("GET", "/api/status", **header).status == 200


@pytest.mark.threat("T34")
@pytest.mark.parametrize(
    ("content", "mode", "complaint"),
    [
        (b"", 0o600, "holds no tokens"),
        (b"two words\n", 0o600, "line 1 is no token"),
        (b"a-token\n", 0o644, "may be read by other users"),
        (b"\xff\n", 0o600, "not UTF-8"),
    ],
)
def test_a_file_that_is_wrong_starts_no_server(
    content: bytes, mode: int, complaint: str, tmp_path: Path
) -> None:
    """One line says what is wrong with it, and nothing was made."""
    file = tmp_path / "tokens"
    file.write_bytes(content)
    file.chmod(mode)
    (line,) = refused(tmp_path, "--port", "0", "--token-file", str(file))
    assert complaint in line
    assert os.listdir(tmp_path) == ["tokens"]


@pytest.mark.threat("B27", "T11")
def test_time_tells_nothing_of_a_token(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong from the first letter on takes as long as wrong in the last: medians of 2,000 each."""
    file = tokens_file(tmp_path / "tokens", SECRET)
    first, last = f"x{SECRET[1:]}", f"{SECRET[:-1]}x"
    took: dict[str, list[int]] = {first: [], last: []}
    with Server(tmp_path, "--token-file", str(file)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        for number in range(2 * (2000 if is_full else 20)):
            wrong = (first, last)[number % 2]
            began = time.perf_counter_ns()
            connection.request("GET", "/api/status", headers={"Authorization": f"Bearer {wrong}"})
            answer = connection.getresponse()
            answer.read()
            took[wrong].append(time.perf_counter_ns() - began)
            assert answer.status == (401 if number < ALLOWED_FAILURES else 429)
        connection.close()
    medians = [median(each) for each in took.values()]
    if is_full:
        first_ns, last_ns = medians
        tell(capsys, f"Wrong from the first letter on {first_ns} ns, in the last {last_ns} ns")
        assert abs(medians[0] - medians[1]) < 0.05 * min(medians)


@pytest.mark.threat("T12", "T13", "T34", "T-log", "T-perm")
def test_no_secret_is_left_anywhere(tmp_path: Path) -> None:
    """Not in the data, the logs, the record or an agent's environment, whatever was sent where."""
    home, secrets = tmp_path / "home", tmp_path / "secrets"
    home.mkdir()
    secrets.mkdir(mode=0o700)
    told = "\n".join(
        [
            "tr '\\0' '\\n' < /proc/self/environ > environ",
            "tr '\\0' '\\n' < /proc/$PPID/environ >> environ",
            f"exec '{sys.executable}' '{HERE / 'standins' / 'counting.py'}' 3 0.01 0",
        ]
    )
    install_runner(home, told)
    file = tokens_file(secrets / "tokens", SECRET)
    options = ("--token-file", str(file), "--debug")
    with Server(home, *options, LOKI_API_TOKEN=SECRET) as server:
        right = {"Authorization": f"Bearer {SECRET}"}
        answer = server.request("POST", "/api/sessions", {}, **right)
        assert answer.status == 201
        server.until_end(answer.json["sessionId"])
        wrong = f"Bearer {SECRET}x"
        for target in (f"/api/events?token={SECRET}", f"/api/status?x={SECRET}"):
            for method, header in (
                ("GET", wrong),
                ("POST", wrong),
                ("POST", right["Authorization"]),
            ):
                server.request(
                    method, target, {} if method == "POST" else None, Authorization=header
                )
        ticket = server.request("POST", "/api/events/ticket", {}, **right).json["ticket"]
        server.request("GET", f"/api/events/history?ticket={ticket}")
        server.request("GET", f"/api/events?ticket={ticket}&types=task:*")
        assert (home / "environ").read_text().count("PATH=") >= 2
        assert server.stop() == 0
    said = "".join(server.said)
    assert "Listening" in said
    for secret in (SECRET, ticket):
        assert secret not in said
        found = [
            str(each)
            for each in home.rglob("*")
            if each.is_file() and secret.encode() in each.read_bytes()
        ]
        assert found == []
    record = record_of(home)
    assert {"line-1", None} == {entry.get("who") for entry in record}


@pytest.mark.threat("T34", "T-perm")
def test_the_record_is_private_and_on_disk_when_the_client_knows(tmp_path: Path) -> None:
    """Each answer finds its entry there, also those of a server that is killed then."""
    install_runner(tmp_path, "sleep 600")
    with Server(tmp_path) as server:
        session_id = server.start()
        server.post(f"/api/sessions/{session_id}/stop")
        server.kill()
    started, stopped = record_of(tmp_path)
    assert (started["route"], started["sessionId"]) == ("/api/sessions", session_id)
    assert stopped["route"] == "/api/sessions/{sessionId}/stop"
    for entry in (started, stopped):
        assert (entry["who"], entry["uid"], entry["method"]) == ("local", os.geteuid(), "POST")
        assert str(entry["from"]).startswith("127.0.0.1:")
    mode = (tmp_path / ".loki" / "server" / "audit.jsonl").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_record_that_cannot_be_written_stops_no_stop(tmp_path: Path) -> None:
    """An order is carried out all the same; the health says so while it lasts, then the record."""
    install_runner(tmp_path, "sleep 600")
    with Server(tmp_path) as server:
        session_id = server.start()
        record = tmp_path / ".loki" / "server" / "audit.jsonl"
        record.unlink()
        record.mkdir()
        server.post(f"/api/sessions/{session_id}/stop")
        health = server.get("/health")
        assert health["status"] == "degraded"
        assert any("1 entries are lost" in each for each in health["problems"])
        record.rmdir()
        assert server.until_end(session_id)[-1].type == "session:stopped"
        until(
            lambda: (
                not any("entries are lost" in each for each in server.get("/health")["problems"])
            )
        )
        [line] = record.read_bytes().splitlines()
        assert json.loads(line)["lost"] == 1
