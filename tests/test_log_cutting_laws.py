"""Cutting the log: whatever happens, what stays is what must, and the bounds are true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loki_twisted.log import history, holdings
from loki_twisted.log.interface import Batch
from loki_twisted.log.retention import Retention
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.sessions import SessionStatus
from tests.cutting_desk import Desk
from tests.log_support import (
    Happened,
    behind_last,
    fact,
    filters,
    remembered,
    some_facts,
    wanted_of,
)

NAMES = ("session_1", "session_2", "café")


class Log(RuleBasedStateMachine):
    """
    A log that is shortened, and a list that is not.

    :cvar LIMITS: What may be its limits.
    """

    LIMITS: ClassVar[Sequence[dict[str, int]]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()

    @initialize(
        limits=st.runner().flatmap(lambda machine: st.sampled_from(machine.LIMITS)),
        running_events=st.sampled_from([1, 2, 5]),
    )
    def begin(self, limits: dict[str, int], running_events: int) -> None:
        retention = Retention(**limits, running_events=running_events)
        self.desk = Desk(Path(self.directory.name, "log.db"), retention)
        self.running: set[str] = set()
        self.gone: set[int] = set()

    @rule(
        batches=st.lists(st.tuples(st.sampled_from(NAMES), some_facts), min_size=1, max_size=4),
        large=st.booleans(),
    )
    def append(self, batches: list[tuple[str, list[Fact]]], large: bool) -> None:
        """Some events come."""
        extra = [fact("x" * 9_000)] if large else []
        self.desk.commit(
            *(
                Batch(session_id=name, at_ms=self.desk.now_ms, facts=[*some, *extra])
                for name, some in batches
            )
        )

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=5, max_size=15))
    def talk(self, names: list[str]) -> None:
        """Each says one thing at a time."""
        for name in names:
            self.desk.say(fact(), session_id=name)

    @rule(name=st.sampled_from(NAMES), runs=st.sampled_from([True, True, False]))
    def set_running(self, name: str, runs: bool) -> None:
        """A session begins or ends."""
        if name not in self.running:
            # What has gone while it did not run it cannot keep.
            held = {event.seq for event in self.desk.held()}
            self.gone |= {
                event.seq
                for event in remembered(self.desk.told)
                if event.session_id == name and event.seq not in held
            }
        self.desk.run(name, SessionStatus.RUNNING if runs else SessionStatus.STOPPED)
        (self.running.add if runs else self.running.discard)(name)

    @rule(name=st.sampled_from(NAMES))
    def forget(self, name: str) -> None:
        """A session's record is deleted."""
        self.desk.commit(Batch(session_id=name, at_ms=self.desk.now_ms, forget=True))
        self.running.discard(name)

    @rule()
    def tidy(self) -> None:
        """There is a moment without work."""
        self.desk.ledger.tidy()

    @rule(milliseconds=st.sampled_from([1, 5, 9, 20]))
    def grow_older(self, milliseconds: int) -> None:
        """Time passes, and it is looked at."""
        self.desk.now_ms += milliseconds
        self.desk.ledger.look()

    @rule(milliseconds=st.sampled_from([0, 5, 20]))
    def settle(self, milliseconds: int) -> None:
        """There is nothing to do for long; then no limit is exceeded."""
        desk = self.desk
        desk.now_ms += milliseconds
        desk.ledger.look()
        desk.settle()
        spared = self.spared()
        newest_block = holdings.newest_block(desk.reader)
        for event in desk.held():
            if event.seq < desk.bounds.complete_from:
                assert event.session_id in self.running
        others = [e for e in desk.held() if e.seq not in spared and e.seq < newest_block]
        limits = desk.retention
        if limits.events is not None and len(desk.bounds) > limits.events:
            self.must_be_of_running(others)
        if limits.size is not None and desk.bytes_in_use() > limits.size:
            self.must_be_of_running(others)
        if limits.age_ms is not None:
            youngest = desk.now_ms - limits.age_ms
            self.must_be_of_running([e for e in others if desk.time_of(e.seq) < youngest])

    def must_be_of_running(self, events: list[Happened]) -> None:
        """These are too much, and all that may keep them is that their sessions run."""
        assert {event.session_id for event in events} <= self.running
        keeps = self.desk.retention.running_events
        # The block that the last of them begin in, and an eighth that is not looked for.
        assert len(events) <= len(self.running) * (keeps + 10)

    @rule()
    def restart(self) -> None:
        """The log is closed and opened again, and holds what it held."""
        before = self.desk.bounds
        self.desk.ledger.close()
        self.desk.open()
        assert self.desk.bounds == before

    @rule(wanted=filters, after=st.integers(0, 200), size=st.sampled_from([0, 900, 10**9]))
    def read(self, wanted: EventFilter, after: int, size: int) -> None:
        """What is read forwards by any filter is what the filter wants of what is there."""
        assert self.desk.read(wanted, after, size) == wanted_of(self.desk.held(), wanted, after)

    @rule(wanted=filters, back=st.integers(0, 200), count=st.integers(1, 9))
    def count_back(self, wanted: EventFilter, back: int, count: int) -> None:
        """And what is counted backwards."""
        before = max(1, self.desk.bounds.newest + 1 - back)
        earlier = [event for event in self.desk.held() if event.seq < before]
        behind = behind_last(self.desk.reader, before, wanted, count)
        assert wanted_of(earlier, wanted, behind) == wanted_of(earlier, wanted)[-count:]

    @invariant()
    def the_bounds_are_true(self) -> None:
        """Nothing is missing that must be there, and the bounds say what there is."""
        if not hasattr(self, "desk"):
            return
        desk, bounds = self.desk, self.desk.bounds
        held = desk.held()
        numbers = [event.seq for event in held]
        assert numbers == sorted(set(numbers))
        assert len(held) == len(bounds)
        assert bounds.oldest == (numbers[0] if numbers else bounds.newest + 1)
        complete = set(range(bounds.complete_from, bounds.newest + 1))
        assert complete <= set(numbers)
        assert sum(number < bounds.complete_from for number in numbers) == bounds.kept
        assert self.spared() <= set(numbers)
        if numbers:
            assert bounds.newest in numbers
        known = [n for n in range(1, bounds.newest + 1) if history.time_of(desk.reader, n)]
        assert set(known) - {bounds.complete_from - 1} == set(numbers) - {bounds.complete_from - 1}
        if bounds.complete_from > 1:
            assert bounds.complete_from - 1 in known
        assert holdings.spans_are_whole(desk.reader)

    def spared(self) -> set[int]:
        """The numbers of the last events of running sessions."""
        keeps = self.desk.retention.running_events
        return {
            event.seq
            for name in self.running
            for event in [e for e in remembered(self.desk.told) if e.session_id == name][-keeps:]
        } - self.gone

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.ledger.close()
        self.directory.cleanup()


class LogOfEvents(Log):
    """One that has a limit of events."""

    LIMITS = ({"events": 1}, {"events": 3}, {"events": 10})


class LogOfAge(Log):
    """One that has a limit of age."""

    LIMITS = ({"age_ms": 10},)


class LogOfSize(Log):
    """One that has a limit of bytes."""

    LIMITS = ({"size": 90_000}, {"size": 120_000})


class LogOfAll(Log):
    """One that has several limits, or none."""

    LIMITS = ({}, {"events": 5, "age_ms": 10}, {"events": 10, "age_ms": 10, "size": 120_000})


CASES = settings(
    max_examples=settings().max_examples // 4,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestEvents, TestAge, TestSize, TestAll = (
    type(log.TestCase.__name__, (log.TestCase,), {"settings": CASES})
    for log in (LogOfEvents, LogOfAge, LogOfSize, LogOfAll)
)
