"""Streams over a log that drops what is old: nothing is missing silently, nothing comes twice."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from loki_twisted.log.interface import Batch
from loki_twisted.log.retention import Retention
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.events import KIND_OF_TYPE, Event
from loki_twisted.model.filters import EVERYTHING, EventFilter, mask_of_types
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.position import FROM_NOW, Behind, LastEvents, Start
from loki_twisted.stream.states import State
from tests.fakes_log import FakeLog
from tests.fakes_stream import (
    OTHER,
    SESSION,
    Frame,
    MemorySink,
    batch,
    calm,
    frames_of,
    last_id_of,
    listen,
    mixed,
    named,
    numbers_of,
)
from tests.log_support import MS, ThreadedClock, facts, session

EARLIEST = Behind("earliest")


class Desk:
    """A log that keeps little, a hub, and the clock that both work with."""

    def __init__(self, path: Path, **limits: int) -> None:
        self.clock = ThreadedClock()
        self.log = SQLiteEventLog(
            self.clock, str(path), now_ms=lambda: MS, retention=Retention(**limits)
        )
        self.clock.result(self.log.start())
        self.hub = Hub(self.clock, self.log, tail_bytes=0)

    def say(self, *session_ids: str, count: int = 1) -> None:
        for session_id in session_ids:
            what = Batch(session_id=session_id, at_ms=MS, facts=facts(count))
            self.clock.result(self.log.append(what))

    def run(self, session_id: str) -> None:
        what = Batch(session_id=session_id, at_ms=MS, session=session(session_id))
        self.clock.result(self.log.append(what))

    def listen(
        self, start: Start = FROM_NOW, wanted: EventFilter = EVERYTHING, room: int | None = None
    ) -> MemorySink:
        """Begin a stream, and wait until it has all that there is, or its sink is full."""
        sink = listen(self.hub, wanted, start, room)
        self.settle(sink)
        return sink

    def settle(self, sink: MemorySink) -> None:
        assert sink.subscriber is not None
        while sink.subscriber.state in (State.REPLAYING, State.STUFFED):
            self.clock.turn()

    def drain(self, sink: MemorySink) -> None:
        """Let the client take all that there is for it."""
        while sink.held:
            sink.take_all()
            self.settle(sink)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The events 1 to 3 are kept by a running session, 4 to 24 are dropped, 25 to 32 are there."""
    desk = Desk(tmp_path / "log.db", events=11, running_events=3)
    desk.run("quiet")
    desk.say("quiet", count=3)
    desk.say(*(f"s{number}" for number in range(29)))
    assert (desk.log.bounds.oldest, desk.log.bounds.complete_from) == (1, 25)
    yield desk
    desk.clock.result(desk.log.stop())


THERE = [1, 2, 3, *range(25, 33)]


@pytest.mark.promise("R6")
@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (f"evt_23_{MS}", "expired"),
        (f"evt_4_{MS}", "expired"),
        (f"evt_24_{MS + 1}", "unknown"),
        (f"evt_30_{MS - 1}", "unknown"),
        (f"evt_32_{'9' * 100}", "unknown"),
        (f"evt_33_{MS}", "future"),
        (f"evt_{'9' * 18}_{MS}", "future"),
        (f"evt_{'9' * 19}_{MS}", "future"),
        (f"evt_{'9' * 240}_1", "future"),
        (f"evt_{'9' * 300}_1", "unknown"),
        ("evt_0_0", "expired"),
        ("evt_-1_5", "unknown"),
        ("evt_1", "unknown"),
        ("hb_1790000000000", "unknown"),
        ("\x00\xff\n" * 85, "unknown"),
        ("{" * 16_000, "unknown"),
    ],
)
def test_an_id_that_cannot_be_resumed_from(desk: Desk, asked: str, reason: str) -> None:
    """It is answered by one reset with its reason, then by all that there is, each once."""
    sink = desk.listen(Behind(asked))

    [reset] = named(sink.received, "stream:reset")
    assert reset == {
        "asked": asked[:64].encode("ascii", "replace").decode(),
        "oldest": f"evt_1_{MS}",
        "newest": f"evt_32_{MS}",
        "reason": reason,
    }
    assert numbers_of(sink.received) == THERE
    desk.say("late")
    assert numbers_of(sink.received) == [*THERE, 33]


def test_an_id_of_what_a_running_session_keeps(desk: Desk) -> None:
    """Who has a kept event is told that some behind it are gone, and gets those that are not."""
    sink = desk.listen(Behind(f"evt_2_{MS}"))

    [reset] = named(sink.received, "stream:reset")
    assert reset["reason"] == "expired"  # type: ignore[index]
    assert numbers_of(sink.received) == [3, *range(25, 33)]


@pytest.mark.parametrize(
    ("start", "wanted", "numbers"),
    [
        (EARLIEST, EVERYTHING, THERE),
        (EARLIEST, EventFilter("quiet"), [1, 2, 3]),
        (LastEvents(9), EVERYTHING, [3, *range(25, 33)]),
        (LastEvents(2), EventFilter("quiet"), [2, 3]),
        (LastEvents(99), EVERYTHING, THERE),
        (LastEvents(3), EventFilter(None, mask_of_types(["task:*"])), []),
        (Behind(f"evt_24_{MS}"), EVERYTHING, [*range(25, 33)]),
        (Behind(f"evt_25_{MS}"), EVERYTHING, [*range(26, 33)]),
        (Behind(f"evt_32_{MS}"), EVERYTHING, []),
    ],
)
def test_what_can_be_begun_with(
    desk: Desk, start: Start, wanted: EventFilter, numbers: Sequence[int]
) -> None:
    """Over the holes, and without a reset, comes what is there and was asked for."""
    sink = desk.listen(start, wanted)

    assert named(sink.received, "stream:reset") == []
    assert numbers_of(sink.received) == numbers
    assert sink.subscriber is not None
    assert sink.subscriber.state is State.LIVE


def test_who_is_overtaken_goes_on_behind_what_it_has(desk: Desk) -> None:
    """It is told once, and is given what there is behind its cursor; nothing comes twice."""
    sink = desk.listen(Behind(f"evt_24_{MS}"), room=100)
    sink.take(100)
    desk.say(*(f"t{number}" for number in range(30)))
    desk.drain(sink)

    before, _, after = sink.received.partition(b"event: stream:reset")
    assert numbers_of(before) == [*range(25, 33)]
    assert b"stream:reset" not in after
    assert numbers_of(after) == [*range(desk.log.bounds.complete_from, 63)]


class Client(MemorySink):
    """
    A client that comes back when its connection breaks, and says what is wrong with what it gets.

    Nothing comes twice or in disorder, nothing that is not wanted, and what is missing was told.

    :ivar last: Number of the last event that it was sent.
    :ivar told: Whether something may be missing before the next.
    """

    def __init__(self, world: World, wanted: EventFilter, start: Start, room: int) -> None:
        super().__init__(room)
        self.world, self.wanted = world, wanted
        self.connect(start)

    def connect(self, start: Start) -> None:
        """Open a connection."""
        self.start = start
        self.received = self.held = b""
        self.paused = False
        self.last, self.told = 0, True
        if start == FROM_NOW:
            self.last, self.told = self.world.hub.position, False
        elif isinstance(start, Behind) and start != EARLIEST:
            self.last, self.told = int(start.asked.split("_")[1]), False
        self.subscriber = self.world.hub.subscribe(self, self.wanted, start)
        self.subscriber.start()

    def reconnect(self) -> None:
        """Lose the connection with what was on its way, and come back with the last id, if any."""
        last_id = last_id_of(self.received)
        assert self.subscriber is not None
        self.subscriber.lost()
        self.connect(Behind(last_id) if last_id else self.start)

    def write(self, data: bytes) -> None:
        """Look at each frame, and hold it."""
        for frame in frames_of(data):
            if frame.event == "stream:reset":
                self._take_reset(frame)
            elif frame.id is not None and frame.event is not None:
                self._take_event(int(frame.id.split("_")[1]), frame.id)
        super().write(data)

    def _take_reset(self, frame: Frame) -> None:
        self.told = True
        if frame.data["asked"] is not None:  # type: ignore[index]
            self.last = 0

    def _take_event(self, number: int, event_id: str) -> None:
        assert number > self.last
        assert self.world.wanted_by(self.wanted, number - 1, number) == [event_id]
        if not self.told:
            assert self.world.wanted_by(self.wanted, self.last, number - 1) == []
        self.told = self.told and number < self.world.complete_from
        self.last = number


class World(RuleBasedStateMachine):
    """Commits, drops, clients that are slow and that break off, in any order."""

    @initialize(holding=st.booleans(), tail=st.sampled_from([0, 1500]))
    def begin(self, holding: bool, tail: int) -> None:
        """Make an empty log, whose reads answer at once or when told to."""
        self.log = FakeLog(passes=3)
        self.log.holding = holding
        self.clock = Clock()
        self.hub = Hub(self.clock, self.log, tail_bytes=tail, stall_seconds=1e9)
        self.clients: list[Client] = []
        self.events: list[Event] = []

    @property
    def complete_from(self) -> int:
        """Behind this nothing was dropped yet."""
        return self.log.bounds.complete_from

    def wanted_by(self, wanted: EventFilter, after: int, until: int) -> list[str]:
        """The ids of the events that a filter wants, by looking at each."""
        return [
            event.id
            for event in self.events[after:until]
            if wanted.wants(event.session_id, KIND_OF_TYPE[event.type])
        ]

    @rule(
        session_ids=st.lists(st.sampled_from([SESSION, OTHER]), min_size=1, max_size=4),
        types=st.lists(st.sampled_from(["log:info", "task:created"]), min_size=1, max_size=3),
    )
    def commit(self, session_ids: Sequence[str], types: Sequence[str]) -> None:
        """Some batches are committed together."""
        batches = [mixed(types, session_id) for session_id in session_ids]
        seq = len(self.events)
        for each in batches:
            block = block_of_facts(seq + 1, each.at_ms, each.session_id, each.facts)
            self.events += block.events(EVERYTHING)
            seq = block.last_seq
        self.log.commit(*batches)

    @rule(spared=st.sampled_from([[], [], [SESSION]]), left=st.integers(1, 12))
    def drop(self, spared: Sequence[str], left: int) -> None:
        """All but the last is dropped, and what a session keeps."""
        self.log.expire(self.log.bounds.newest + 1 - left, *spared)

    @rule(count=st.integers(2, 6), left=st.integers(1, 3), spared=st.sampled_from([[], [SESSION]]))
    def flood(self, count: int, left: int, spared: Sequence[str]) -> None:
        """Much is committed, and dropped at once."""
        for _ in range(count):
            self.commit([OTHER, SESSION], ["log:info", "task:created"])
        self.drop(spared, left)

    @precondition(lambda self: len(self.clients) < 3)
    @rule(
        wanted=st.sampled_from(
            [EVERYTHING, EventFilter(SESSION), EventFilter(mask=mask_of_types(["task:*"]))]
        ),
        start=st.sampled_from([FROM_NOW, EARLIEST, LastEvents(3)]),
        room=st.sampled_from([200, 2000, 10**6]),
    )
    def join(self, wanted: EventFilter, start: Start, room: int) -> None:
        """A client comes."""
        self.clients.append(Client(self, wanted, start, room))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def reconnect(self, data: st.DataObject) -> None:
        """A connection breaks, and the client comes back."""
        data.draw(st.sampled_from(self.clients)).reconnect()

    @rule()
    def pass_time(self) -> None:
        """Nothing happens for so long that those who are given nothing are kept awake."""
        for _ in range(6):
            self.clock.advance(3)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), count=st.sampled_from([100, 1000, 10**6]))
    def take(self, data: st.DataObject, count: int) -> None:
        """A client takes some bytes."""
        data.draw(st.sampled_from(self.clients)).take(count)

    @precondition(lambda self: self.log.waiting)
    @rule()
    def answer(self) -> None:
        """The read that was asked first is answered."""
        self.log.answer()

    def teardown(self) -> None:
        """In the end everybody has been given the newest, and is live."""
        clients = getattr(self, "clients", [])
        while self._moves(clients):
            pass
        for client in clients:
            assert client.subscriber is not None
            assert client.subscriber.state is State.LIVE
            assert client.subscriber.cursor == len(self.events)

    def _moves(self, clients: list[Client]) -> bool:
        stuck = [client for client in clients if client.held or client.paused]
        waiting = self.log.waiting if clients else 0
        for client in stuck:
            client.take(10**9)
        if waiting:
            self.log.answer(waiting)
        return bool(stuck or waiting)


TestNothingSilently = World.TestCase
TestNothingSilently.settings = settings(calm, stateful_step_count=50)


class Tally(MemorySink):
    """A sink that keeps of what it received only the numbers."""

    def __init__(self, room: int | None = None) -> None:
        super().__init__(room)
        self.numbers: list[int] = []
        self.size = 0
        self.resets = 0

    def take(self, count: int) -> None:
        """Look at the frames that are whole."""
        super().take(count)
        whole, end, self.received = self.received.rpartition(b"\n\n")
        self.numbers += numbers_of(whole + end)
        self.resets += whole.count(b"event: stream:reset")
        self.size += len(whole + end)


def tally(hub: Hub, room: int | None = None) -> Tally:
    """Begin a stream into a tally."""
    sink = Tally(room)
    sink.subscriber = hub.subscribe(sink)
    sink.subscriber.start()
    return sink


@attrs.frozen
class Load:
    """How much is written under load."""

    limit_bytes: int
    batches: int
    events: int


class UnderLoadTests(TestCase):
    """The same with the reactor that a server has, and with much to write."""

    load = Load(limit_bytes=2_000_000, batches=200, events=50)

    @pytest.fixture(autouse=True)
    def _figures(self, is_full: bool) -> None:
        if is_full:
            self.load = Load(limit_bytes=100_000_000, batches=3_000, events=250)

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="log-")
        self.addCleanup(shutil.rmtree, directory)
        self.directory = Path(directory)

    def tearDown(self) -> Deferred[None]:
        return deferLater(reactor, 0)  # see the tests of the log's store

    @pytest.mark.promise("R28")
    @pytest.mark.timeout(1200)
    async def test_more_than_twice_the_limit(self) -> None:
        """The files stay within the limit and a fifth, and readers at the end see every event."""
        load = self.load
        log = SQLiteEventLog(
            reactor, str(self.directory / "log.db"), retention=Retention(size=load.limit_bytes)
        )
        await log.start()
        hub = Hub(reactor, log)
        swift, slow = tally(hub), tally(hub, room=20_000)
        largest = 0
        for number in range(load.batches):
            bounds = await log.append(batch(load.events, padding="x" * 200, at_ms=MS + number))
            slow.take_all()
            sizes = [path.stat().st_size for path in self.directory.glob("log.db*")]
            largest = max(largest, sum(sizes))
        while slow.held or slow.subscriber.state is not State.LIVE:  # type: ignore[union-attr]
            slow.take_all()
            await deferLater(reactor, 0)

        everything = list(range(1, load.batches * load.events + 1))
        assert swift.size > 2 * load.limit_bytes
        assert swift.numbers == slow.numbers == everything
        assert swift.resets == slow.resets == 0
        assert largest <= 1.2 * load.limit_bytes
        assert 0 < bounds.oldest == bounds.complete_from
        assert len(bounds) * 500 > load.limit_bytes / 2
        await hub.close()
        await log.stop()
