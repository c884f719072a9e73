"""What finds no room on a full disk: noted while it is full, told when it is not."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.model.sessions import SessionStatus
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.gaps import Gaps
from tests.fakes_sessions import MemoryLog
from tests.log_support import session

MS = 1_795_478_400_000


class GapTests(SynchronousTestCase):
    """Two sessions, of which the second has ended, on a disk that is filled."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog()
        self.lack: str | None = None
        self.cramped: list[str] = []
        book = SessionBook(self.log, self.log, lambda: MS)
        for each in (session("one"), session("two", SessionStatus.COMPLETED)):
            record = book.add(each)
            self.successResultOf(book.commit(record, record.state))
        self.gaps = Gaps(
            reactor=self.clock,
            book=book,
            lack=lambda: self.lack,
            cramped=lambda: self.cramped,
        )

    def look(self, lack: str | None, *cramped: str) -> None:
        """Let a second pass on a disk, and look."""
        self.clock.advance(1)
        self.lack, self.cramped = lack, list(cramped)
        self.gaps.look()

    def told(self) -> list[tuple[str, object]]:
        """Who was told, and for how long there was no room."""
        return [(name, fact.data["context"]["gapMs"]) for name, fact in self.log.events]

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
