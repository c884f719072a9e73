"""Turns of real reactors that take too long: measured, and told with where they were."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = r"""
import json, sys, time
from twisted.internet import {module}
{module}.install()
from twisted.internet import reactor
from twisted.logger import globalLogBeginner
from loki_twisted.operation import stall_monitor
from loki_twisted.operation.stalls import Stalls

told = []
globalLogBeginner.beginLoggingTo([told.append], redirectStandardIO=False)
reactor.seconds = time.monotonic
stalls = Stalls()
monitor = stall_monitor.StallMonitor(reactor, stalls)

def hold_up(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass

def lines():
    return [e["log_format"].format(**e) for e in told if "stall_monitor" in e["log_namespace"]]

def until_told(place, work, *given):
    # The machine may hold up who looks for as long as the turn takes.
    if any(place in line for line in lines()):
        end()
    else:
        work(*given)
        reactor.callLater(0, until_told, place, work, *given)

def hang():
    while not any("__main__.hang:" in line for line in lines()):
        pass
    hold_up(0.3)

def in_turn(times):
    hold_up(0.1)
    reactor.callLater(0, *((in_turn, times - 1) if times > 1 else (end,)))

def begin():
    assert monitor.start()
    {work}

def end():
    monitor.stop()
    reactor.callLater(0, reactor.stop)

reactor.callWhenRunning(begin)
reactor.run()
print(json.dumps([stalls.count, stalls.seconds, stalls.longest, lines()]))
"""
TELL_ALL = "stall_monitor.Stalls.note.__globals__['QUIET_SECONDS'] = 0"
KINDS = ("epollreactor", "asyncioreactor")


def run(module: str, work: str) -> tuple[int, float, float, list[str]]:
    """What was counted and told while a reactor did some work."""
    program = PROGRAM.replace("{module}", module).replace("{work}", work)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=60
    )
    count, seconds, longest, lines = json.loads(done.stdout)
    return count, seconds, longest, lines


@pytest.mark.promise("R27")
@pytest.mark.parametrize("module", KINDS)
def test_a_long_turn_is_measured_and_told_with_its_place(module: str) -> None:
    """A turn of a third of a second is counted as that, and told with the function that took it."""
    work = f"{TELL_ALL}; reactor.callLater(0.05, until_told, '__main__.hold_up:', hold_up, 0.3)"
    count, seconds, longest, lines = run(module, work)

    assert count >= 1  # the machine may hold it up too
    assert 0.3 <= longest <= seconds
    assert any("__main__.hold_up:" in line for line in lines)
    assert all(line.startswith("The reactor was held for ") for line in lines)


@pytest.mark.promise("R27")
def test_how_much_of_it_was_at_work() -> None:
    """A turn that waited for something else says that it did nothing of its own."""
    work = f"{TELL_ALL}; reactor.callLater(0.05, time.sleep, 0.3); reactor.callLater(0.5, end)"
    _, _, _, lines = run("epollreactor", work)

    told = [(int(line.split()[5]), int(line.split()[7])) for line in lines]
    assert any(held >= 300 > 3 * at_work for held, at_work in told)


def test_many_are_counted_and_few_told() -> None:
    """Each long turn is counted; the log is not filled with them."""
    count, seconds, _, lines = run("epollreactor", "reactor.callLater(0, in_turn, 5)")

    assert count >= 5
    assert seconds >= 0.5
    assert len(lines) == 1


def test_one_that_does_not_end_is_told_before() -> None:
    """A reactor that hangs cannot tell it itself; it is told where it hangs all the same."""
    work = (
        "stall_monitor.HANG_SECONDS = 0.2; reactor.callLater(0, hang)\n"
        "    reactor.callLater(0.1, end)"
    )
    _, _, _, lines = run("epollreactor", work)

    # The machine may hold up other turns too.
    early = [line for line in lines if line.startswith("The reactor has been held for ")]
    assert sum("__main__.hang:" in line for line in early) == 1


def test_the_reactor_is_as_it_was() -> None:
    """After the end the reactor waits with what it waited with before."""
    work = (
        "before = monitor._waiting._inner\n"
        "    end()\n"
        "    assert reactor._poller is before\n"
        "    reactor.callLater(0, hold_up, 0.1)\n"
        "    reactor.callLater(0.2, reactor.stop)"
    )
    assert run("epollreactor", work)[3] == []


def test_one_that_cannot_be_watched() -> None:
    """A reactor that keeps to itself how it waits is left alone."""
    work = "end()"
    program = PROGRAM.replace("{module}", "selectreactor").replace("{work}", work)
    program = program.replace("assert monitor.start()", "assert not monitor.start()")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True)
