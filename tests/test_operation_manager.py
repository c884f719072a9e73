"""The service manager's line, over real sockets."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from loki_twisted.operation.manager import ServiceManager
from loki_twisted.operation.pulse import (
    MOST_RETRIES,
    RETRY_SECONDS,
    STATUS_SECONDS,
    Pulse,
)


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
    assert ServiceManager(str(tmp_path / "nothing")).tell("READY=1")
    line = Line(str(tmp_path / "full"))
    fill(line)
    for _ in range(5_000):
        assert not ServiceManager(line.address).tell("READY=1")
    line.socket.close()


def fill(line: Line) -> None:
    """Tell so much that the kernel keeps no more for who does not read."""
    while ServiceManager(line.address).tell("X=1"):
        pass


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


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_start_that_takes_long(line: Line, is_stopped: bool) -> None:
    """It is told to go on, so that nobody ends it who would have it begin from the front."""
    clock, server = Clock(), Server()
    pulse = Pulse(clock, ServiceManager(line.address), lambda: server.status, lambda: True)
    server.status = "Starting."
    pulse.starting()
    assert line.told() == []
    clock.pump([STATUS_SECONDS] * 2)
    assert line.told() == [["EXTEND_TIMEOUT_USEC=30000000", "STATUS=Starting."]] * 2
    if not is_stopped:
        server.status = "Serving."
        pulse.ready()
        clock.advance(STATUS_SECONDS)
        assert line.told() == [["READY=1", "STATUS=Serving."]]
    pulse.stopping()
    clock.advance(STATUS_SECONDS)
    assert line.told() == [["STOPPING=1", "STATUS=Shutting down."]]
    assert clock.getDelayedCalls() == []


def test_nothing_is_told_behind_the_end(line: Line) -> None:
    """A start that comes to its end while the server is being stopped is no news any more."""
    clock, server = Clock(), Server()
    pulse = of(line, clock, server)
    pulse.starting()
    fill(line)
    pulse.stopping()
    pulse.ready()
    pulse.reloading()
    pulse.reloaded()
    assert heard(line) == []
    clock.advance(RETRY_SECONDS)
    clock.advance(STATUS_SECONDS)
    assert heard(line) == [["STOPPING=1", "STATUS=Shutting down."]]
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
    pulse.starting()
    pulse.ready()
    assert clock.getDelayedCalls() == []
    pulse.stopping()


def of(line: Line, clock: Clock, server: Server) -> Pulse:
    """What tells how a server is, at half a watchdog's four seconds."""
    manager = ServiceManager(line.address, 4.0)
    return Pulse(clock, manager, lambda: server.status, lambda: server.is_well)


def heard(line: Line) -> list[list[str]]:
    """What was told beside what filled the line, without the times of reloads."""
    told = ([each for each in lines if "_USEC" not in each] for lines in line.told())
    return [lines for lines in told if lines != ["X=1"]]


def test_what_is_waited_for_is_told_at_last(line: Line) -> None:
    """Ready finds its way though the manager reads late, and nothing overtakes it."""
    clock, server = Clock(), Server()
    pulse = of(line, clock, server)
    fill(line)
    pulse.ready()
    clock.pump([RETRY_SECONDS] * 50)
    assert heard(line) == []
    clock.advance(RETRY_SECONDS)
    assert heard(line) == [["READY=1", "STATUS=Serving."]]
    clock.advance(2)
    assert heard(line) == [["WATCHDOG=1"]]
    pulse.stopping()


def test_a_want_of_descriptors_passes(line: Line) -> None:
    """What is waited for is told when there are some again, and so are signs of life."""
    clock, server = Clock(), Server()
    pulse = of(line, clock, server)
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
    try:
        pulse.ready()
        clock.pump([RETRY_SECONDS] * 30)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))
    clock.advance(RETRY_SECONDS)
    assert heard(line) == [["READY=1", "STATUS=Serving."]]
    clock.advance(2)
    assert heard(line) == [["WATCHDOG=1"]]
    pulse.stopping()


def test_a_reload_is_told_in_order(line: Line) -> None:
    """That it begins and that it is over, and of several that wait only the last."""
    clock, server = Clock(), Server()
    pulse = of(line, clock, server)
    pulse.ready()
    assert heard(line)[0] == ["READY=1", "STATUS=Serving."]
    fill(line)
    for _ in range(3):
        pulse.reloading()
        pulse.reloaded()
    assert line.socket.recv(4096) == b"X=1"  # there is room for one
    clock.advance(RETRY_SECONDS)
    assert heard(line) == [["RELOADING=1"]]
    clock.advance(RETRY_SECONDS)
    assert heard(line) == [["READY=1"]]
    clock.advance(2)
    assert heard(line) == [["STATUS=Serving.", "WATCHDOG=1"]]
    fill(line)
    pulse.reloading()
    pulse.stopping()
    assert heard(line) == []
    clock.advance(RETRY_SECONDS)
    assert heard(line) == [["STOPPING=1", "STATUS=Shutting down."]]
    assert clock.getDelayedCalls() == []


def test_one_that_never_reads_is_given_up(line: Line) -> None:
    """That is said once; what comes then is told as always, when there is room."""
    clock, server = Clock(), Server()
    pulse = of(line, clock, server)
    fill(line)
    with capturedLogs() as logged:
        pulse.ready()
        clock.pump([RETRY_SECONDS] * (MOST_RETRIES + 50))
    (event,) = logged
    assert "there was no room for that for too long" in formatEvent(event)
    assert heard(line) == []
    clock.advance(2)
    assert heard(line) == [["STATUS=Serving.", "WATCHDOG=1"]]
    pulse.reloading()
    pulse.reloaded()
    assert heard(line) == [["RELOADING=1"], ["READY=1"]]
    pulse.stopping()


def test_a_status_that_found_no_room_is_told_with_the_next_sign(line: Line) -> None:
    """Who reads late knows how the server is all the same."""
    clock, server = Clock(), Server()
    pulse = of(line, clock, server)
    pulse.ready()
    fill(line)
    server.status = "Serving more."
    clock.advance(2)
    assert heard(line)[2:] == []
    clock.advance(2)
    assert heard(line) == [["STATUS=Serving more.", "WATCHDOG=1"]]
    pulse.stopping()
