"""What finds no room on a full disk: noted while it is full, told when it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.model.sessions import SessionStatus
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.gaps import GAP_CURSORS, Gaps
from tests.fakes_sessions import MemoryLog
from tests.log_support import session

MS = 1_795_478_400_000


@attrs.define
class FakeMarks:
    """The marks of agents in memory."""

    now_ms: Callable[[], int]
    marked: dict[str, int] = attrs.field(factory=dict)
    is_broken: bool = False
    stay: bool = False

    def begin(self, session_id: str, *, anew: bool) -> int | None:
        if self.is_broken:
            return None
        if anew:
            self.marked.pop(session_id, None)
        return self.marked.setdefault(session_id, self.now_ms())

    def end(self, session_id: str) -> bool:
        if not self.stay:
            self.marked.pop(session_id, None)
        return session_id not in self.marked

    def found(self) -> Iterator[tuple[str, int | None]]:
        unmarked = {f"session_{n}": None for n in range(250)}
        yield from ({**unmarked, **self.marked}).items()


class GapTests(SynchronousTestCase):
    """Two sessions, of which the second has ended, on a disk that is filled."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog()
        self.lack: str | None = None
        self.cramped: list[str] = []
        self.book = SessionBook(self.log, self.log, self.now_ms)
        self.marks = FakeMarks(self.now_ms)
        for each in (session("one"), session("two", SessionStatus.COMPLETED)):
            record = self.book.add(each)
            self.successResultOf(self.book.commit(record, record.state))
        self.gaps = self.new_gaps()

    def now_ms(self) -> int:
        return MS + int(self.clock.seconds() * 1000)

    def new_gaps(self) -> Gaps:
        """What the next server has."""
        return Gaps(
            reactor=self.clock,
            now_ms=self.now_ms,
            book=self.book,
            marks=self.marks,
            lack=lambda: self.lack,
            cramped=lambda: self.cramped,
            is_read_only=lambda: self.lack == "read-only",
        )

    def restart(self) -> None:
        """Have the next server find what this one has left."""
        self.gaps = self.new_gaps()
        cursors = self.successResultOf(self.log.cursors("", GAP_CURSORS))  # as the server does
        done = Deferred.fromCoroutine(self.gaps.restore(cursors))
        self.clock.advance(0)
        self.successResultOf(done)

    def look(self, lack: str | None, *cramped: str) -> None:
        """Let a second pass on a disk, and look."""
        self.clock.advance(1)
        self.lack, self.cramped = lack, list(cramped)
        self.gaps.look()

    def told(self) -> list[tuple[str, object]]:
        """Who was told, and for how long there was no room."""
        return [(name, fact.data["context"]["gapMs"]) for name, fact in self.log.events]

    @pytest.mark.promise("R15")
    def test_a_gap_is_told_once(self) -> None:
        """It is a problem while it lasts, and one event when there is room, with its length."""
        self.look("full", "one")
        self.look("full", "one", "unknown")
        assert "1 of them" not in str(self.gaps.problem())
        assert "2 of them" in str(self.gaps.problem())
        assert self.told() == []
        self.look(None, "one")
        self.look(None)
        assert self.told() == [("one", 2000)]
        assert self.gaps.problem() is None

    @pytest.mark.promise("R15")
    def test_a_disk_that_is_read_only(self) -> None:
        """What agents print then is missing too, and that is told with the right reason."""
        self.marks.is_broken = True
        self.look("read-only", "one")
        assert "is lost" in str(self.gaps.problem())
        self.look("read-only", "one")
        self.look(None)
        [(_, fact)] = self.log.events
        assert fact.data["message"] == (
            "The disk was read-only for 2 s. What the agent printed in that time is missing."
        )

    def test_whoever_had_room_is_told_nothing(self) -> None:
        """A full disk alone is no gap, and neither is an agent that has printed a whole page."""
        self.look("full")
        self.look(None, "one")
        assert self.told() == []

    def test_what_has_ended_is_told_to_all(self) -> None:
        """The end of a session stays its last event."""
        self.look("full", "two")
        self.look(None)
        assert self.told() == [("", 1000)]

    def test_it_is_told_when_the_log_can_be_written(self) -> None:
        """While there is room and the log fails all the same, it is not forgotten."""
        self.look("full", "one")
        self.log.broken = True
        self.look(None)
        self.log.broken = False
        self.look(None)
        assert self.told() == [("one", 2000)]

    @pytest.mark.promise("R15")
    def test_the_next_server_tells_it(self) -> None:
        """A gap that a server saw and had no time to tell is told by the next one, once."""
        self.look("full", "one")
        self.restart()
        self.look("full", "one")
        self.look("full", "one")
        assert "1 of them" in str(self.gaps.problem())
        self.look(None)
        [(_, fact)] = self.log.events
        assert fact.data["context"] == {
            "gapMs": 3000,
            "since": "2026-11-24T00:00:01.000Z",
            "session": "one",
        }
        assert "up to 3 s" in fact.data["message"]
        self.restart()
        self.look(None)
        assert len(self.log.events) == 1
        assert self.marks.marked == {}

    @pytest.mark.promise("R15")
    def test_who_was_killed_after_telling_it_has_told_it(self) -> None:
        """Where the mark was not taken away any more, the record says that it was told."""
        self.look("full", "one")
        mark = dict(self.marks.marked)
        self.look(None)
        self.marks.marked = mark
        self.restart()
        assert self.marks.marked == {}
        self.look(None)
        assert self.told() == [("one", 1000)]
        self.look("full", "one")
        self.look(None)
        assert len(self.told()) == 2

    def test_who_was_killed_before_it_was_on_record_has_not(self) -> None:
        """The mark stands until the event is on disk, and a new gap waits for that."""
        self.look("full", "one")
        self.log.automatic = False
        self.look(None)
        self.look("full", "one")
        assert list(self.marks.marked) == ["one"]
        self.log.automatic = True
        self.log.commit()
        assert self.marks.marked == {}
        self.look("full", "one")
        assert self.marks.marked == {"one": MS + 4000}

    def test_without_a_mark_it_is_told_all_the_same(self) -> None:
        """Where none can be made the server that saw it tells it, as long as it works."""
        self.marks.is_broken = True
        self.look("full", "one")
        self.look(None)
        assert self.told() == [("one", 1000)]

    def test_of_what_is_deleted_no_mark_is_left(self) -> None:
        """A gap of a session that nobody knows is told to nobody."""
        self.look("full", "gone")
        self.look(None)
        assert (self.told(), self.marks.marked) == ([], {})

    @pytest.mark.promise("R15")
    def test_a_mark_that_stays_is_none_of_the_next_gap(self) -> None:
        """Where a mark cannot be taken away, the next gap has a time of its own, and is told."""
        self.marks.stay = True
        self.look("full", "one")
        self.look(None)
        self.look("full", "one")
        self.look(None)
        since = [fact.data["context"]["since"][17:19] for _, fact in self.log.events]
        assert since == ["01", "03"]
        self.look("full", "one")
        self.restart()
        self.look(None)
        assert len(self.told()) == 3
        assert list(self.marks.marked) == ["one"]
        self.marks.stay = False
        self.look(None)
        assert self.marks.marked == {}
        assert len(self.told()) == 3

    @pytest.mark.promise("R15")
    def test_a_mark_that_stays_is_not_told_twice(self) -> None:
        """Where the next gap can have no mark either, the record still says whose the one is."""
        self.marks.stay = True
        self.look("full", "one")
        self.look(None)
        self.marks.is_broken = True
        self.look("full", "one")
        self.look(None)
        assert len(self.told()) == 2
        self.restart()
        self.look(None)
        assert len(self.told()) == 2
        self.marks.stay = False
        self.look(None)
        assert self.marks.marked == {}
