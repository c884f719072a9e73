"""
No gap and no double, from outside: whatever breaks when, each client gets what its filter wants.

Real servers, real sockets, an agent that goes on through all of it. What the clients got is
compared byte for byte with what the pages of the history say.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from tests.figures import tell
from tests.history import Told
from tests.plain_reader import PlainReader, id_of, place_of
from tests.succession import Succession
from tests.system import TIMEOUT
from tests.wanted import FILTERS, Wanted

HISTORY_END = b": end of history"
EARLIEST = "lastEventId=earliest"


def number_of(place: str | None) -> int:
    """The number of the event that a place is behind."""
    assert place is not None
    return 0 if place == "earliest" else int(place.split("_")[1])


class Follower(threading.Thread):
    """
    A client that loses its connections at random instants, and comes back with its last id.

    That is the place that the stream has told, as long as it has no event.

    :param cuts: How often it cuts its connection itself; servers that end come on top.
    :param progressed: Notified whenever it has cut, or has got something.
    :ivar got: The frames that it has.
    :ivar begun: The place where it began, once it was told.
    """

    def __init__(
        self,
        place: Succession,
        wanted: Wanted,
        start: str,
        cuts: int,
        seed: int,
        progressed: threading.Condition,
    ) -> None:
        super().__init__(daemon=True)
        self.wanted = wanted
        self.start_query = start
        self.cuts = 0
        self.connections = 0
        self.got: list[bytes] = []
        self.begun: str | None = "earliest" if start == EARLIEST else None
        self.over = False
        self.trouble: Exception | None = None
        self._last_id: str | None = None
        self._place = place
        self._cuts_wanted = cuts
        self._chance = random.Random(seed)
        self._progressed = progressed

    @property
    def last_event(self) -> str | None:
        """The id of the last event that it has."""
        return id_of(self.got[-1]) if self.got else None

    def run(self) -> None:
        """Follow until it is over."""
        try:
            while not self.over:
                self._connect()
        except Exception as error:  # noqa: BLE001  # told by the test
            self.trouble = error
            self._tell()

    def _connect(self) -> None:
        query = f"{self.wanted.query}&{self.start_query}"
        try:
            reader = PlainReader(self._place.port(), query, self._last_id)
        except ConnectionError:
            return  # the server has just ended
        self.connections += 1
        with closing(reader):
            if self._read(reader):
                reader.close(reset=self._chance.random() < 0.5)
                self.cuts += 1
                self._tell()

    def _read(self, reader: PlainReader) -> bool:
        """Read until the connection is to be cut, which gives true, or was ended."""
        until = time.monotonic() + self._chance.uniform(0, 0.25)
        piece = self._chance.choice([100, 1000, 100_000])
        while True:
            cuts = self.begun is not None and self.cuts < self._cuts_wanted
            left = max(0.001, until - time.monotonic()) if cuts else None
            try:
                frames = reader.read(left, piece)
            except TimeoutError:
                return True
            if frames is None:
                # 503 is for who comes while the server ends.
                assert reader.frames.status[9:12] in (b"", b"200", b"503"), reader.frames.status
                return False
            fresh = [frame for frame in frames if id_of(frame) is not None]
            self.got += fresh
            self._note_last_id(frames)
            if fresh and not cuts:
                self._tell()

    def _note_last_id(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.begun = self.begun or place_of(frame)
            self._last_id = id_of(frame) or place_of(frame) or self._last_id

    def _tell(self) -> None:
        with self._progressed:
            self._progressed.notify_all()


class Following:
    """Several followers of one place."""

    def __init__(self, place: Succession, cuts: int) -> None:
        self._place = place
        self._progressed = threading.Condition()
        self.followers = [
            Follower(place, wanted, start, cuts, 8 * number + index, self._progressed)
            for number, wanted in enumerate(FILTERS)
            for index, start in enumerate((EARLIEST, "history=3" if number % 2 else "history=0"))
        ]
        for follower in self.followers:
            follower.start()

    @property
    def cuts(self) -> int:
        """How many connections they have cut."""
        return sum(follower.cuts for follower in self.followers)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, while they go on."""
        with self._progressed:
            done = self._progressed.wait_for(lambda: condition() or self._troubles(), 10 * TIMEOUT)
        assert not self._troubles(), self._troubles()
        assert done

    def _troubles(self) -> list[Exception]:
        return [each.trouble for each in self.followers if each.trouble is not None]

    def end(self, log: Sequence[Told]) -> None:
        """Wait until they have all of a log, end the server, and wait until they have ended."""
        for follower in self.followers:
            last = follower.wanted.of(log)[-1].id
            self.until(lambda follower=follower, last=last: follower.last_event == last)
        for follower in self.followers:
            follower.over = True
        assert self._place.server.stop() == 0
        for follower in self.followers:
            follower.join(TIMEOUT)
            assert not follower.is_alive()
        assert not self._troubles(), self._troubles()


@pytest.mark.promise("R1", "R5", "R6")
@pytest.mark.timeout(1800)
def test_disconnects_and_restarts(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Eight clients that are cut at random at 200 events/s, through clean ends and crashes of the
    server, each get the log's sequence for their filter, byte for byte.
    """
    cuts = 500 if is_full else 12
    ends = [True, False] * 25 if is_full else [True, False, True]
    random.Random(3).shuffle(ends)
    began = time.monotonic()
    with Succession(tmp_path) as place:
        place.order("flow 1 0.005 0")
        following = Following(place, cuts)
        total = cuts * len(following.followers)
        for number, crash in enumerate(ends, 1):
            due = number * total // (len(ends) + 1)
            following.until(lambda due=due: following.cuts >= due)
            place.restart(crash=crash)
        following.until(lambda: following.cuts == total)
        place.end()
        log = place.log()
        following.end(log)
    for follower in following.followers:
        wanted = follower.wanted.of(log)
        expected = [told.frame for told in wanted if told.number > number_of(follower.begun)]
        assert len(follower.got) == len(expected)
        assert follower.got == expected
    if is_full:
        tell(
            capsys,
            f"{len(log)} events in {time.monotonic() - began:.0f} s; "
            f"{total} cuts by {len(following.followers)} clients, {len(ends)} restarts; "
            f"{sum(each.connections for each in following.followers)} connections; "
            f"{sum(len(each.got) for each in following.followers)} events received",
        )


@attrs.define
class Arrival:
    """
    What one connection got in the middle of a burst.

    :ivar kind: How it began: ``now``, ``history`` or ``resume``.
    :ivar asked: The number of events asked for as history, or that of the last event.
    :ivar ids: Of the events that it got.
    :ivar past: How many of them came as history.
    :ivar place: Where it was told that it begins.
    """

    wanted: Wanted
    kind: str
    asked: int
    ids: list[str]
    past: int | None = None
    place: str | None = None


class Arriving:
    """
    Connects many times, one after the other, while events pour in.

    :ivar newest: The number of the newest event that any connection has seen.
    :ivar recent: Ids of some events that were seen.
    """

    def __init__(self, place: Succession, wanted: int) -> None:
        self._place = place
        self._left = wanted
        self._lock = threading.Lock()
        self.newest = 0
        self.recent = ["earliest"]
        self.arrivals: list[Arrival] = []

    def run(self, seed: int) -> None:
        """Connect until it has been done often enough; several threads may."""
        chance = random.Random(seed)
        while self._take_one():
            arrival = self._arrive(chance)
            with self._lock:
                self.arrivals.append(arrival)
                self.recent = [*self.recent[-20:], *chance.sample(arrival.ids, 2)]

    def _take_one(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def _arrive(self, chance: random.Random) -> Arrival:
        wanted = chance.choice(FILTERS[:3])
        kind = chance.choice(["now", "history", "resume"])
        query, last_id, asked = wanted.query, None, 0
        if kind == "history":
            asked = chance.randint(1, 300)
            query += f"&history={asked}"
        elif kind == "resume":
            last_id = chance.choice(self.recent)
            asked = number_of(last_id)
        # So far that all that was there before it has been read, and the stream is live.
        enough = self.newest + 600
        is_begun = kind != "history"
        arrival = Arrival(wanted, kind, asked, [])
        with closing(PlainReader(self._place.port(), query, last_id)) as reader:
            while not is_begun or not arrival.ids or self._newest(arrival) < enough:
                frames = reader.read(TIMEOUT)
                assert frames is not None
                for frame in frames:
                    name = id_of(frame)
                    if name is not None:
                        arrival.ids.append(name)
                    elif place_of(frame) is not None:
                        arrival.place = arrival.place or place_of(frame)
                    elif frame == HISTORY_END:
                        arrival.past = len(arrival.ids)
                        # What others have seen may lie far behind what there is.
                        is_begun, enough = True, max(enough, self.newest) + 100
                if arrival.ids:
                    self.newest = max(self.newest, self._newest(arrival))
        return arrival

    def _newest(self, arrival: Arrival) -> int:
        return int(arrival.ids[-1].split("_")[1])


@pytest.mark.promise("R4", "R5")
@pytest.mark.timeout(1800)
def test_connects_in_a_burst(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever comes at any instant of a burst gets what was before and what is new, seamlessly."""
    connects = 1000 if is_full else 60
    began = time.monotonic()
    with Succession(tmp_path) as place:
        place.order("flow 200 0.04 0")
        arriving = Arriving(place, connects)
        threads = [
            threading.Thread(target=arriving.run, args=(seed,), daemon=True) for seed in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10 * TIMEOUT)
            assert not thread.is_alive()
        place.end()
        log = place.log()
    assert len(arriving.arrivals) == connects
    ids = {wanted: [told.id for told in wanted.of(log)] for wanted in FILTERS}
    for arrival in arriving.arrivals:
        check_arrival(arrival, ids[arrival.wanted])
    if is_full:
        received = sum(len(each.ids) for each in arriving.arrivals)
        tell(
            capsys,
            f"{connects} connects while {len(log)} events came in "
            f"{time.monotonic() - began:.0f} s; {received} events received",
        )


def check_arrival(arrival: Arrival, ids: list[str]) -> None:
    """It has consecutive events of what its filter wants, from where it asked for."""
    first = ids.index(arrival.ids[0])
    assert arrival.ids == ids[first : first + len(arrival.ids)]
    before = 0 if not first else number_of(ids[first - 1])
    begun = arrival.asked if arrival.kind == "resume" else number_of(arrival.place)
    assert before <= begun < number_of(ids[first])
    if arrival.kind == "history":
        # All there were, where there were not so many.
        assert arrival.past == arrival.asked or (first == 0 and arrival.past < arrival.asked)
    else:
        assert arrival.past is None
