"""A server under a service manager: what it tells, what it passes on to nobody, and reloading."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from loki_twisted.command.operator import Operator
from loki_twisted.operation.manager import ServiceManager
from loki_twisted.operation.stalls import Stalls
from loki_twisted.service import Service
from tests.system import HOMES, TIMEOUT, Server
from tests.test_system_sessions import install_runner

WATCHDOG_SECONDS = 0.4
TWISTD = ("-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "loki")


class Manager:
    """
    A service manager, as far as a server knows one.

    It takes what it is told at once: the kernel keeps ten messages, and a server does not wait.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._messages: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.variables = {
            "NOTIFY_SOCKET": str(path),
            "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000)),
        }

    def _read(self) -> None:
        while message := self._socket.recv(4096):
            self._messages.put(message.decode().splitlines())

    def close(self) -> None:
        """Listen no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(TIMEOUT)
        self._socket.close()

    def told(self, what: str) -> list[str]:
        """Wait until something is told; gives the lines of that message."""
        while True:
            lines = self._messages.get(timeout=TIMEOUT)
            if any(line.startswith(what) for line in lines):
                return lines

    def rest(self) -> list[list[str]]:
        """What else was told, of somebody who tells nothing more."""
        ServiceManager(str(self._socket.getsockname())).tell("X=1")
        messages = []
        while (lines := self._messages.get(timeout=TIMEOUT)) != ["X=1"]:
            messages.append(lines)
        return messages


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A service manager."""
    one = Manager(tmp_path / "notify")
    yield one
    one.close()


def test_what_a_service_manager_is_told(tmp_path: Path, manager: Manager) -> None:
    """Ready, signs of life, what is new, a reload with its time, and the end, in this order."""
    with Server(tmp_path, **manager.variables) as server:
        ready = manager.told("READY=1")
        assert ready[1].startswith("STATUS=Serving: 0 sessions at work, 0 streams.")
        manager.told("WATCHDOG=1")
        manager.told("WATCHDOG=1")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        os.kill(server.pid, signal.SIGHUP)
        reloading = manager.told("RELOADING=1")
        assert before <= int(reloading[1].removeprefix("MONOTONIC_USEC="))
        assert manager.told("READY=1") == ["READY=1"]
        assert server.get("/health/live")["alive"]
        assert server.stop() == 0
        assert manager.told("STOPPING=1") == ["STOPPING=1", "STATUS=Shutting down."]


def test_agents_know_nothing_of_the_service_manager(tmp_path: Path, manager: Manager) -> None:
    """An agent that could speak for the server, or take its sockets, does not get to know how."""
    install_runner(tmp_path, "env; cat /proc/$PPID/environ | tr '\\0' '\\n'")
    variables = {**manager.variables, "LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x"}
    with Server(tmp_path, **variables) as server:
        lines = [
            event.data["message"]
            for event in server.until_end(server.start())
            if event.type == "log:info"
        ]
    assert any(line.startswith("LOKI_SESSION_ID=") for line in lines)
    secret = ("NOTIFY_", "WATCHDOG_", "LISTEN_")
    assert [line for line in lines if line.startswith(secret)] == []


class Program:
    """A server that is told its signals by the test, with what it says in a file."""

    def __init__(self, home: Path, *words: str) -> None:
        self.said = home / "said"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
        HOMES.add(home)
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, *words, "--port", "0"],
                cwd=home,
                env={**clean, "LOKI_DIR": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def says(self, words: str) -> None:
        """Wait until it says something."""
        deadline = time.monotonic() + TIMEOUT
        while words not in self.said.read_text():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a program; it is ended after the test."""
    programs: list[Program] = []

    def start(*words: str) -> Program:
        programs.append(Program(tmp_path, *words))
        return programs[-1]

    yield start
    for each in programs:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()


@pytest.mark.parametrize(
    "words", [("-m", "loki_twisted", "serve"), TWISTD], ids=["serve", "twistd"]
)
def test_a_hangup_reloads(program: Callable[..., Program], words: tuple[str, ...]) -> None:
    """A server without a terminal takes up what has changed, and goes on."""
    server = program(*words)
    server.says("Listening on")
    server.process.send_signal(signal.SIGHUP)
    server.says("Reloading")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(TIMEOUT) in (0, -signal.SIGTERM)  # twistd's own way to end


SLOWLY = """
import os, sys, time
from loki_twisted.log import store
opener = store.opener
def slow_opener(*args):
    def open_slowly():
        print("Opening", flush=True)
        while not os.path.exists("open"):
            time.sleep(0.01)
        return opener(*args)()
    return open_slowly
store.opener = slow_opener
"""
"""What has a server open its log only when there is a file of the name ``open``."""

SERVE = "from loki_twisted.command.loki import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("program_text", "words"),
    [(SERVE, ("serve",)), (TWISTD[1], TWISTD[2:])],
    ids=["serve", "twistd"],
)
def test_who_is_stopped_while_it_starts_is_never_ready(
    tmp_path: Path,
    program: Callable[..., Program],
    manager: Manager,
    monkeypatch: pytest.MonkeyPatch,
    program_text: str,
    words: tuple[str, ...],
) -> None:
    """The service manager is told that it ends, and nothing behind that, though it still opens."""
    for name, value in manager.variables.items():
        monkeypatch.setenv(name, value)
    server = program("-c", SLOWLY + program_text, *words)
    server.says("Opening")
    server.process.send_signal(signal.SIGTERM)
    manager.told("STOPPING=1")
    (tmp_path / "open").touch()
    assert server.process.wait(TIMEOUT) in (0, -signal.SIGTERM)  # twistd's own way to end
    assert "log open" in server.said.read_text()
    assert manager.rest() == []


class Starting:
    """A server that has not begun to serve."""

    def __init__(self) -> None:
        self.reactor = Clock()
        self.ready: Deferred[list[str]] = Deferred()
        self.stalls = Stalls()
        self.phase = "starting"
        self.phases_of_reloads: list[str] = []

    def reload(self) -> None:
        """Note that it is to reload."""
        self.phases_of_reloads.append(self.phase)


def test_a_reload_while_it_starts_is_not_lost() -> None:
    """Who asks a server that starts to reload is obeyed once, as soon as it serves."""
    operator = Operator(ServiceManager.take({}))
    operator.reload()
    service = Starting()
    operator.take(cast("Service", service))
    operator.reload()
    operator.reload()
    assert service.phases_of_reloads == []
    service.phase = "serving"
    service.ready.callback([])
    assert service.phases_of_reloads == ["serving"]


IN_TERMINAL = """
import os, pty, sys
pid, terminal = pty.fork()
if not pid:
    os.dup2(os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
sys.stdin.readline()
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
"""A program that runs another one in a terminal, and takes that away when it is told to."""


def test_the_end_of_its_terminal_ends_a_server(tmp_path: Path) -> None:
    """Who closes the window in which a server runs has ended it, in order."""
    said = tmp_path / "said"
    HOMES.add(tmp_path)
    serve = ("-m", "loki_twisted", "serve", "--port", "0", "--loki-dir", ".")
    with subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, *serve], cwd=tmp_path, stdin=subprocess.PIPE
    ) as window:
        try:
            while b"Listening on" not in (said.read_bytes() if said.exists() else b""):
                assert window.poll() is None
                time.sleep(0.02)
            window.communicate(b"\n", timeout=TIMEOUT)
        finally:
            if window.poll() is None:
                # With its terminal the server ends, too.
                window.kill()
    assert window.returncode == 0
    assert b"Reloading" not in said.read_bytes()


def test_b28_a_reload_takes_tokens_back(tmp_path: Path) -> None:
    """A token whose line is gone opens nothing after a reload, and its stream is over."""
    tokens = tmp_path / "tokens"
    tokens.touch(0o600)
    tokens.write_text("the-token-that-stays\nthe-token-that-goes\n")
    options = ("--token-file", str(tokens), "--log-format", "json")
    going = {"Authorization": "Bearer the-token-that-goes"}
    staying = {"Authorization": "Bearer the-token-that-stays"}
    with Server(tmp_path, *options) as server:
        assert server.request("GET", "/api/status", **going).status == 200
        stream = server.stream(**going)
        reader = threading.Thread(target=lambda: [*stream], daemon=True)
        reader.start()
        while not server.request("GET", "/api/events/stats", **staying).json["subscribers"]:
            time.sleep(0.01)
        tokens.write_text("the-token-that-stays\n")
        os.kill(server.pid, signal.SIGHUP)
        while not any("Reloading" in line for line in server.said):
            time.sleep(0.01)
        assert server.request("GET", "/api/status", **going).status == 401
        assert server.request("GET", "/api/status", **staying).status == 200
        reader.join(TIMEOUT)
        assert not reader.is_alive()


def test_who_is_hung_up_while_it_ends_has_ended_in_order(tmp_path: Path) -> None:
    """To the last moment: a service manager would call it a failure."""
    with Server(tmp_path) as server:
        os.kill(server.pid, signal.SIGTERM)
        while not has_ended(server.pid):
            os.kill(server.pid, signal.SIGHUP)
            time.sleep(0.002)
        assert server.stop() == 0


def has_ended(pid: int) -> bool:
    """Whether a child of ours is one no more, but for its exit code."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
