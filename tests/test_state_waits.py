"""Tests of waiting until something is told."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from loki_twisted.state.backlog import Portion
from loki_twisted.state.held import Position
from loki_twisted.state.logs import LogReading
from loki_twisted.state.waits import Waits

NOTHING = Portion()


def wait(
    waits: Waits, in_flight: Portion = NOTHING, backlog: Portion = NOTHING, *, is_new: bool = False
) -> Deferred[None]:
    """Wait for some things; logs are to be read up to byte 100."""
    return waits.add(in_flight, backlog, lambda _: 100, is_new=is_new)


def reading(path: str, offset: int, *, has_more: bool) -> LogReading:
    """A log that was read so far."""
    return LogReading(path, (), Position(1, 1, offset, "", ""), has_more)


def test_nothing_to_wait_for_is_over_at_once() -> None:
    """Who waits while nothing is to be told is answered at once."""
    assert wait(Waits()).called


def test_all_must_be_told() -> None:
    """Sessions that are gone, files and logs must all have been told."""
    waits = Waits()
    done = wait(waits, Portion(("s1",), ("a", "b"), ("x.log",)), Portion((), ("c",), ("y.log",)))
    waits.taken(Portion(("s1",), ("a",)), [], is_new=False)
    waits.taken(Portion((), ("b",)), [], is_new=False)
    waits.next()
    waits.taken(Portion((), ("c",)), [], is_new=False)
    waits.taken(Portion(), [reading("x.log", 5, has_more=False)], is_new=False)
    waits.taken(Portion(), [reading("y.log", 5, has_more=True)], is_new=False)
    assert not done.called
    waits.taken(Portion(), [reading("y.log", 100, has_more=True)], is_new=False)
    assert done.called


def test_what_has_changed_since_must_be_told_again() -> None:
    """What was read before a change does not count for what has changed."""
    waits = Waits()
    both = Portion(("s1",), ("a",), ("x.log",))
    done = wait(waits, both, both)
    log = [reading("x.log", 100, has_more=False)]
    for _ in range(2):  # as two messages of one batch
        waits.taken(both, log, is_new=False)
    assert not done.called
    waits.next()
    waits.taken(both, log, is_new=False)
    assert done.called


def test_what_is_gone_is_not_waited_for() -> None:
    """A removed file will not be told, and a log that is gone has been."""
    waits = Waits()
    done = wait(waits, backlog=Portion((), ("a",), ("x.log",)))
    waits.removed("a")
    assert not done.called
    gone = LogReading("x.log", (), None, has_more=True)
    waits.taken(Portion(), [gone], is_new=False)
    assert done.called


def test_a_new_project_must_be_on_record() -> None:
    """A project that is watched for the first time is waited for until that is stored."""
    waits = Waits()
    done = wait(waits, is_new=True)
    waits.taken(Portion(), [], is_new=True)
    assert not done.called
    waits.taken(Portion(), [], is_new=False)
    assert done.called


def test_the_end_answers_everybody() -> None:
    """When nothing will be told any more nobody is left waiting."""
    waits = Waits()
    done = wait(waits, backlog=Portion((), ("a",)))
    waits.end()
    waits.end()
    assert done.called
