"""The service manager's line, over real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from loki_twisted.operation.manager import ServiceManager
from loki_twisted.operation.pulse import STATUS_SECONDS, Pulse


class Line:
    """A service manager's end of the line."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.setblocking(False)

    def told(self) -> list[list[str]]:
        """What it was told since it was asked last: the lines of each message."""
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode().splitlines())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    """A line of either kind."""
    name = f"@loki-test-{os.getpid()}-{tmp_path.name}"
    here = Line(name if request.param == "abstract" else str(tmp_path / "notify"))
    yield here
    here.socket.close()


def test_it_is_told_over_both_kinds_of_sockets(line: Line) -> None:
    """What is told at once is one message, on a socket of the file system and an abstract one."""
    ServiceManager(line.address).tell("READY=1", "STATUS=All is well.")

    assert line.told() == [["READY=1", "STATUS=All is well."]]


def test_its_variables_are_taken() -> None:
    """No child of this process can speak for it."""
    environ = {
        "NOTIFY_SOCKET": "@x",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    assert ServiceManager.take(environ) == ServiceManager("@x", 30.0)
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, ServiceManager()),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, ServiceManager()),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}, ServiceManager("/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, ServiceManager("/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, ServiceManager("/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "500000"}, ServiceManager("/n", 0.5)),
    ],
)
def test_what_is_not_meant_for_us(variables: dict[str, str], wanted: ServiceManager) -> None:
    """A watchdog of another process, or one that makes no sense, is none."""
    assert ServiceManager.take(dict(variables)) == wanted


def test_one_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    """A socket that is not there, or full, is not waited for."""
    ServiceManager(str(tmp_path / "nothing")).tell("READY=1")
    line = Line(str(tmp_path / "full"))
    for _ in range(5_000):
        ServiceManager(line.address).tell("READY=1")
    line.socket.close()


@pytest.mark.parametrize(
    ("address", "reason"), [("/nowhere/x", "No such file"), (f"/{'x' * 200}", "path too long")]
)
def test_why_it_was_not_told_is_logged(address: str, reason: str) -> None:
    """Also where the name of its socket can be none."""
    with capturedLogs() as logged:
        ServiceManager(address).tell("READY=1")
    (event,) = logged
    assert reason in formatEvent(event)


class Server:
    """How a server is."""

    status = "Serving."
    is_well = True


def test_signs_of_life(line: Line) -> None:
    """They come at half the watchdog's time, and not from a server that is unwell."""
    clock, server = Clock(), Server()
    manager = ServiceManager(line.address, 4.0)
    pulse = Pulse(clock, manager, lambda: server.status, lambda: server.is_well)
    pulse.ready()
    assert line.told() == [["READY=1", "STATUS=Serving."], ["WATCHDOG=1"]]
    clock.advance(1.9)
    assert line.told() == []
    clock.advance(0.1)
    assert line.told() == [["WATCHDOG=1"]]
    server.status, server.is_well = "The log\ncannot be written.", False
    clock.pump([2, 2])
    assert line.told() == [["STATUS=The log cannot be written."]]
    server.is_well = True
    clock.advance(2)
    assert line.told() == [["WATCHDOG=1"]]
    pulse.stopping()
    clock.advance(2)
    assert line.told() == [["STOPPING=1", "STATUS=Shutting down."]]
    assert clock.getDelayedCalls() == []


def test_without_a_watchdog_it_is_told_what_is_new(line: Line) -> None:
    """Nobody waits for signs of life, so there are none."""
    clock, server = Clock(), Server()
    pulse = Pulse(clock, ServiceManager(line.address), lambda: server.status, lambda: True)
    pulse.ready()
    clock.advance(STATUS_SECONDS)
    server.status = "Serving more."
    clock.advance(STATUS_SECONDS)

    assert line.told() == [["READY=1", "STATUS=Serving."], ["STATUS=Serving more."]]
    pulse.stopping()


def test_without_a_manager_nothing_runs() -> None:
    """A server that nobody manages has no timer for it."""
    clock = Clock()
    pulse = Pulse(clock, ServiceManager(), lambda: "", lambda: True)
    pulse.ready()
    assert clock.getDelayedCalls() == []
    pulse.stopping()
