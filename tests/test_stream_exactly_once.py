"""
The law of the stream: each client gets exactly what its filter wants, in order, once.

Whatever is committed when, however slowly reads answer and clients take bytes, and however often
connections break in the middle of a frame and servers begin anew, if a client comes back with the
last id that it was told: that of the last whole event that it got, or of a frame of an id alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from twisted.internet.task import Clock

from loki_twisted.log.interface import Batch
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.events import KIND_OF_TYPE, Event
from loki_twisted.model.filters import EVERYTHING, EventFilter, mask_of_types
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.position import FROM_NOW, Behind, LastEvents, Start
from loki_twisted.stream.states import State
from tests.fakes_log import FakeLog
from tests.fakes_stream import OTHER, SESSION, MemorySink, calm, ids_of, last_id_of, mixed

TYPES = ("log:info", "task:created", "agent:output")
FILTERS = (
    EVERYTHING,
    EventFilter(SESSION),
    EventFilter(mask=mask_of_types(["task:*"])),
    EventFilter(OTHER, mask_of_types(["log:*", "agent:*"])),
)

batches = st.builds(
    mixed,
    st.lists(st.sampled_from(TYPES), min_size=1, max_size=6),
    st.sampled_from([SESSION, OTHER]),
    st.sampled_from(["", "x" * 700]),
)
starts = st.one_of(
    st.just(FROM_NOW), st.just(Behind("earliest")), st.integers(1, 5).map(LastEvents)
)


class SlowSink(MemorySink):
    """Carries a stream, and each write takes as long as the world says."""

    def __init__(self, world: World, room: int) -> None:
        super().__init__(room)
        self.world = world

    def write(self, data: bytes) -> None:
        super().write(data)
        self.world.clock.rightNow += self.world.seconds_of_a_write


class Client:
    """
    A client that comes back when its connection breaks.

    :ivar kept: The ids of the events that it got over the connections that broke.
    :ivar place: The last id that it was told over those, whatever its frame had beside.
    :ivar after: The number behind which what it shall get begins.
    """

    def __init__(self, world: World, wanted: EventFilter, start: Start, room: int) -> None:
        self.world, self.wanted, self.start, self.room = world, wanted, start, room
        self.kept: list[str] = []
        self.place: str | None = None
        self.connect()

    def connect(self) -> None:
        """Open a connection, with the last event id if there is one, or else as the first time."""
        start = self.start if self.place is None else Behind(self.place)
        self.sink = SlowSink(self.world, self.room)
        self.sink.subscriber = self.subscriber = self.world.hub.subscribe(
            self.sink, self.wanted, start
        )
        if self.place is None:
            self.after = self._first() - 1
        self.subscriber.start()

    def reconnect(self) -> None:
        """Lose the connection, with what was on its way, and open another."""
        self.leave()
        self.connect()

    def leave(self) -> None:
        """Lose the connection, with what was on its way."""
        self.kept, self.place = self.got, self.told
        self.subscriber.lost()
        self.sink.received = b""

    @property
    def got(self) -> list[str]:
        """The ids of all whole events that it has."""
        return self.kept + ids_of(self.sink.received)

    @property
    def told(self) -> str | None:
        """The last id that it was told."""
        return last_id_of(self.sink.received) or self.place

    @property
    def due(self) -> list[str]:
        """The ids of all events that it shall have in the end."""
        return self.world.wanted_by(self.wanted, self.after)

    def _first(self) -> int:
        """The number of the first event that it shall get, or of the next to be published."""
        published = self.world.hub.position
        upcoming = published + 1
        if self.start == FROM_NOW:
            return upcoming
        ids = self.world.wanted_by(self.wanted, 0)
        if isinstance(self.start, LastEvents):
            past = [name for name in ids if int(name.split("_")[1]) <= published]
            ids = past[-self.start.count :]
        return int(ids[0].split("_")[1]) if ids else upcoming


class World(RuleBasedStateMachine):
    """Everything that can happen, in any order."""

    @initialize(
        holding=st.booleans(),
        tail=st.sampled_from([0, 1500, 10**6]),
        piece=st.sampled_from([1, 1000, 10**6]),
        seconds_of_a_write=st.sampled_from([0.0, 0.004, 0.03]),
    )
    def begin(self, holding: bool, tail: int, piece: int, seconds_of_a_write: float) -> None:
        """Make an empty log, whose reads answer at once or when told to; writes may be slow."""
        self.seconds_of_a_write = seconds_of_a_write
        self.log = FakeLog(passes=3)
        self.log.holding = holding
        self.sizes = {"tail_bytes": tail, "piece_bytes": piece}
        self.open()
        self.clients: list[Client] = []
        self.events: list[Event] = []

    def open(self) -> None:
        """Begin to serve the log, with nothing in memory, to clients that are never stalled."""
        self.clock = Clock()
        self.hub = Hub(self.clock, self.log, stall_seconds=1e9, **self.sizes)

    def wanted_by(self, wanted: EventFilter, after: int) -> list[str]:
        """The ids of the events that a filter wants, by looking at each."""
        return [
            event.id
            for event in self.events[after:]
            if wanted.wants(event.session_id, KIND_OF_TYPE[event.type])
        ]

    @rule(committed=st.lists(batches, min_size=1, max_size=3))
    def commit(self, committed: Sequence[Batch]) -> None:
        """Some batches are committed together."""
        # Known before it is told: clients may be given it inside of the commit.
        seq = len(self.events)
        for each in committed:
            block = block_of_facts(seq + 1, each.at_ms, each.session_id, each.facts)
            self.events += block.events(EVERYTHING)
            seq = block.last_seq
        self.log.commit(*committed)

    @precondition(lambda self: len(self.clients) < 4)
    @rule(wanted=st.sampled_from(FILTERS), start=starts, room=st.sampled_from([200, 2000, 10**6]))
    def join(self, wanted: EventFilter, start: Start, room: int) -> None:
        """A client comes."""
        self.clients.append(Client(self, wanted, start, room))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def reconnect(self, data: st.DataObject) -> None:
        """A connection breaks, and the client comes back."""
        data.draw(st.sampled_from(self.clients)).reconnect()

    @rule()
    def restart(self) -> None:
        """The server ends and another begins; all come back."""
        for client in self.clients:
            client.leave()
        self.hub.close()
        self.open()
        for client in self.clients:
            client.connect()

    @rule()
    def pass_time(self) -> None:
        """Nothing happens for so long that those who are given nothing are kept awake."""
        for _ in range(6):
            self.clock.advance(3)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), count=st.sampled_from([1, 100, 1000, 10**6]))
    def take(self, data: st.DataObject, count: int) -> None:
        """A client takes some bytes."""
        data.draw(st.sampled_from(self.clients)).sink.take(count)

    @precondition(lambda self: self.log.waiting)
    @rule()
    def answer(self) -> None:
        """The read that was asked first is answered."""
        self.log.answer()

    @rule(seconds=st.sampled_from([0, 0.005, 0.05]))
    def wait(self, seconds: float) -> None:
        """Time passes: a round goes on, or a rest ends."""
        self.clock.advance(seconds)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), resume=st.booleans())
    def blink(self, data: st.DataObject, resume: bool) -> None:
        """A transport says that it is full, and perhaps at once that it is not."""
        client = data.draw(st.sampled_from(self.clients))
        client.subscriber.pauseProducing()
        if resume and not client.sink.paused:
            client.subscriber.resumeProducing()
        else:
            client.sink.paused = True

    @invariant()
    def nobody_got_anything_wrong(self) -> None:
        """What each client has is the beginning of what it shall have."""
        for client in getattr(self, "clients", ()):
            got = client.got
            assert got == client.due[: len(got)]

    def teardown(self) -> None:
        """In the end, when all reads have answered and all bytes were taken, nobody lacks any."""
        clients = getattr(self, "clients", [])
        while self._moves(clients):
            pass
        for client in clients:
            assert client.got == client.due
            assert client.subscriber.state is State.LIVE
            # So that it would lose nothing if it were cut now, event or not.
            assert client.told is not None
            assert b"stream:reset" not in client.sink.received

    def _moves(self, clients: list[Client]) -> bool:
        stuck = [client.sink for client in clients if client.sink.held or client.sink.paused]
        waiting = self.log.waiting if clients else 0
        for sink in stuck:
            sink.take(10**9)
        if waiting:
            self.log.answer(waiting)
        soon = self.clock.seconds() + 1
        rounds = [call for call in self.clock.getDelayedCalls() if call.getTime() < soon]
        if rounds:
            self.clock.advance(0.05)
        return bool(stuck or waiting or rounds)


TestExactlyOnce = World.TestCase
TestExactlyOnce.settings = settings(calm, max_examples=40, stateful_step_count=40)
