"""One coroutine as a whole program, and how signals end it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.task import Clock

from loki_twisted.command.running import use_monotonic_clock

FRAME = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from loki_twisted.command import running
from loki_twisted.command.logs import begin_logging
begin_logging(sys.stderr)

async def main(reactor):
{body}

sys.exit(running.run(main))
"""
WAITS = """
    print("waiting", flush=True)
    try:
        await Deferred()
    finally:
        print("ending", flush=True)
        {end}
        print("ended", flush=True)
"""


class Program:
    """A program that is made of the body of its main."""

    def __init__(self, body: str, *prefix: str) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", FRAME.format(body=body)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, and what else it printed."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.strip(), err


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program; what still runs after the test is killed."""
    programs: list[Program] = []

    def start(body: str, *prefix: str) -> Program:
        programs.append(Program(body, *prefix))
        return programs[-1]

    yield start
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
        program.process.communicate()


def test_the_result_is_the_exit_code(start: Start) -> None:
    """A program that ends by itself ends with what it returns."""
    assert start("    return 3").end() == (3, "", "")
    assert start("    await deferLater(reactor, 0.01)\n    return 4").end() == (4, "", "")


def test_errors_of_our_own(start: Start) -> None:
    """An error that nobody handled is told in full, and the exit code is that of a fault."""
    code, out, err = start("    raise ZeroDivisionError('by nought')").end()

    assert (code, out) == (70, "")
    assert "CRITICAL This should not have happened" in err
    assert "ZeroDivisionError: by nought" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_in_order(start: Start, number: signal.Signals) -> None:
    """What the program waits for is cancelled; its clearing up is waited for; the code is 0."""
    # The tests themselves may be run by something that ignores hangups.
    body = WAITS.format(end="await deferLater(reactor, 0.05)")
    program = start(body, "env", "--default-signal=HUP")
    assert program.line() == "waiting"
    program.process.send_signal(number)

    assert program.end() == (0, "ending\nended", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_at_once(start: Start, number: signal.Signals) -> None:
    """A program that does not come to its end is ended by another signal."""
    program = start(WAITS.format(end="await Deferred()"))
    assert program.line() == "waiting"
    program.process.send_signal(signal.SIGTERM)
    assert program.line() == "ending"
    program.process.send_signal(number)

    assert program.end()[:2] == (128 + number, "")


def test_too_long_an_end(start: Start) -> None:
    """An end that takes too long is cut short, and said to be that."""
    body = "    running.LONGEST_END_SECONDS = 0.05" + WAITS.format(end="await Deferred()")
    program = start(body)
    assert program.line() == "waiting"
    program.process.send_signal(signal.SIGTERM)
    code, _, err = program.end()

    assert code == 1
    assert "Not everything had ended" in err


def test_nohup(start: Start) -> None:
    """A program that is to outlive its terminal does."""
    program = start(WAITS.format(end="pass"), "nohup")
    while program.line() != "waiting":
        pass
    program.process.send_signal(signal.SIGHUP)
    program.process.send_signal(signal.SIGTERM)

    assert program.end()[0] == 0


def test_the_clock() -> None:
    """The reactor counts by a clock that nobody sets, unless something counts already."""
    clock = Clock()
    use_monotonic_clock(clock)
    assert clock.seconds is time.monotonic

    clock = Clock()
    clock.callLater(1, lambda: None)
    with pytest.raises(RuntimeError, match="before the first delayed call"):
        use_monotonic_clock(clock)
