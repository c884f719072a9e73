"""The units for systemd: that it takes them, that they fit the server, and its sockets."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loki_twisted.command.arguments import USAGE_EXIT, LineParser, add_server_options
from loki_twisted.command.running import LONGEST_END_SECONDS
from loki_twisted.command.serve import FOREIGN_EXIT
from loki_twisted.settings import Settings
from tests.system import HOMES, TIMEOUT
from tests.test_system_sessions import install_runner

UNITS = Path(__file__).parent.parent / "contrib" / "systemd"
INSTALLED = "/opt/loki/bin/loki"
TOKEN = "a-token-for-a-socket"


def section_of(name: str, section: str) -> dict[str, str]:
    """The settings of a section of a unit; of one that is set twice, the last."""
    _, _, rest = (UNITS / name).read_text("ascii").partition(f"\n[{section}]\n")
    lines = rest.partition("\n[")[0].splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """It has nothing to say about them, once the program is where they say that it is."""
    for unit in UNITS.iterdir():
        text = unit.read_text("ascii").replace(INSTALLED, sys.executable)
        (tmp_path / unit.name).write_text(text, "ascii")
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_command_is_one_of_ours() -> None:
    """The options of the unit are options of the server."""
    program, serve, *options = shlex.split(section_of("loki.service", "Service")["ExecStart"])
    parser = LineParser(prog="loki serve")
    add_server_options(parser)

    assert (program, serve) == (INSTALLED, "serve")
    assert vars(parser.parse_args(options))["listen"] == ["systemd:domain=INET:index=0"]


def test_it_is_not_started_in_vain() -> None:
    """What no other try changes is not tried again."""
    codes = section_of("loki.service", "Service")["RestartPreventExitStatus"]

    assert [int(code) for code in codes.split()] == [USAGE_EXIT, FOREIGN_EXIT]


def test_systemd_waits_for_the_end() -> None:
    """It is more patient than the server is itself, and ends no agent with it."""
    service = section_of("loki.service", "Service")
    patience = Settings(loki_dir="/").drain_seconds + LONGEST_END_SECONDS

    assert float(service["TimeoutStopSec"]) > patience
    assert service["KillMode"] == "process"
    assert service["Type"] == "notify"
    assert "PrivateTmp" not in service  # what agents have there goes with the service


STARTED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="x", LISTEN_PID=str(os.getpid()))
words = [sys.executable, "-m", "loki_twisted", "serve", "--listen", "systemd:domain=INET:index=0"]
os.execv(words[0], words)
"""
"""Starts a server as systemd does: with a socket as descriptor 3, and its own process id."""


class Activated:
    """A server that is started with a socket, again and again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.socket.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it."""
        HOMES.add(self.home)
        number = self.socket.fileno()
        environment = {**os.environ, "LOKI_DIR": str(self.home), "LOKI_API_TOKEN": TOKEN}
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTED, str(number)],
            cwd=self.home,
            env=environment,
            pass_fds=[number],
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def end(self) -> int:
        """End it."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(TIMEOUT)

    def ask(self, method: str, path: str, body: object = None, token: str = TOKEN) -> object:
        """Ask, and wait for whoever takes the connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        with connection.getresponse() as answer:
            said = json.loads(answer.read())
        connection.close()
        return said


@pytest.fixture
def activated(tmp_path: Path) -> Iterator[Activated]:
    """A server with a socket."""
    one = Activated(tmp_path)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        one.process.wait()
    one.socket.close()


def test_socket_activation(activated: Activated, tmp_path: Path) -> None:
    """
    A server serves on a socket that it is given; who connects while none runs gets the next one.

    The agent of the first is still at work under the second.
    """
    install_runner(tmp_path, "sleep 1000")
    activated.start()
    assert activated.ask("GET", "/api/sessions", token="wrong") == {
        "error": "The token is wrong.",
        "code": "UNAUTHORIZED",
    }
    started = activated.ask("POST", "/api/sessions", {})
    assert isinstance(started, dict)
    path = f"/api/sessions/{started['sessionId']}"
    before = activated.ask("GET", path)
    assert activated.end() == 0
    waiting = socket.create_connection(("127.0.0.1", activated.port), TIMEOUT)
    waiting.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    activated.start()
    with waiting:
        assert waiting.recv(15) == b"HTTP/1.1 200 OK"
    after = activated.ask("GET", path)
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after["session"]["status"] == "running"
    assert after["session"]["pid"] == before["session"]["pid"]
    assert activated.end() == 0


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_socket_that_does_not_listen(tmp_path: Path, kind: socket.SocketKind) -> None:
    """A server that nobody could reach does not start, and says what it was given."""
    with socket.socket(socket.AF_INET, kind) as given:
        given.bind(("127.0.0.1", 0))
        done = subprocess.run(
            [sys.executable, "-c", STARTED, str(given.fileno())],
            cwd=tmp_path,
            env={**os.environ, "LOKI_DIR": str(tmp_path), "LOKI_API_TOKEN": TOKEN},
            pass_fds=[given.fileno()],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert done.returncode == 2
    assert "does not listen for streams" in done.stderr
    assert list(tmp_path.iterdir()) == []
