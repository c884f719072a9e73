"""What agents print while their disk takes none of it: that it is missing is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from loki_twisted.model.errors import StorageFailed, Unavailable
from loki_twisted.model.events import Fact
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.sessions.book import SessionBook

_CURSOR: Final = "gap"
GAP_CURSORS: Final = f"/{_CURSOR}"
_SLICE: Final = 200


class Marks(Protocol):
    """What outlives the server of a gap; see :class:`~loki_twisted.agents.gap_marks.GapMarks`."""

    def begin(self, session_id: str, *, anew: bool) -> int | None:
        """Mark an agent, or anew; gives since when it is marked, in milliseconds, or None."""

    def end(self, session_id: str) -> bool:
        """Take the mark away, and say whether none is left."""

    def found(self) -> Iterator[tuple[str, int | None]]:
        """Say of each agent since when it is marked, or None."""


@attrs.frozen(slots=True)
class Gap:
    """
    Since when an agent finds no room.

    :ivar since_ms: The wall clock, milliseconds since the Unix epoch.
    :ivar seen_at: The clock of the reactor then; None if an earlier server saw it.
    :ivar is_full: Whether it is for want of room; else the disk is read-only.
    :ivar is_marked: Whether there is a mark of it, with that time.
    """

    since_ms: int
    seen_at: float | None = None
    is_full: bool = True
    is_marked: bool = True


@attrs.define(eq=False, kw_only=True)
class Gaps:
    """
    Notes which sessions have run out of room, and tells each of them once when there is some.

    An agent writes its output itself. So what finds no room is known to it alone, by an error of
    its system; how much that was nobody else can say.

    That a gap was told is on record with it, as the cursor ``<session id>/gap``: the time of its
    mark. So the next server knows of each mark that it finds whether it was told.

    :ivar now_ms: The wall clock, milliseconds since the Unix epoch.
    :ivar lack: Says why the disk takes no more, or None.
    :ivar cramped: Lists the sessions whose agents find no room now, if that is so.
    :ivar is_read_only: Whether that is so because the disk is read-only.
    """

    reactor: IReactorTime
    now_ms: Callable[[], int]
    book: SessionBook
    marks: Marks
    lack: Callable[[], str | None]
    cramped: Callable[[], Iterable[str]]
    is_read_only: Callable[[], bool] = lambda: False
    _gaps: dict[str, Gap] = attrs.field(factory=dict, init=False)
    _being_told: set[str] = attrs.field(factory=set, init=False)
    _told: set[str] = attrs.field(factory=set, init=False)
    """Those whose mark could not be taken away yet, of what was told."""

    async def restore(self, cursors: Mapping[str, str]) -> None:
        """
        Find what an earlier server saw and did not tell. To be called once, before :meth:`look`.

        :param cursors: All that are stored.
        """
        for count, (session_id, since_ms) in enumerate(self.marks.found(), 1):
            if count % _SLICE == 0:
                await deferLater(self.reactor, 0)  # there may be thousands
            if since_ms is None:
                continue
            if cursors.get(f"{session_id}/{_CURSOR}") == str(since_ms):
                self._take_away(session_id)
            else:
                self._gaps.setdefault(session_id, Gap(since_ms))

    def look(self) -> None:
        """Look how it is. To be called now and then."""
        if self.lack() is not None:
            for session_id in self.cramped():
                if session_id not in self._gaps and session_id not in self._being_told:
                    self._gaps[session_id] = self._begun(session_id)
            return
        for session_id in tuple(self._told):
            self._take_away(session_id)
        gaps, self._gaps = self._gaps, {}
        for session_id, gap in gaps.items():
            self._tell(session_id, gap)

    def problem(self) -> str | None:
        """Say that something is being lost now, or None."""
        if not self._gaps or self.lack() is None:
            return None
        if self.is_read_only():
            at_work = f"{len(self._gaps)} of them are at work."
            return f"What agents print is lost, because the disk is read-only: {at_work}"
        return f"What agents print finds no room: {len(self._gaps)} of them have used up theirs."

    def _begun(self, session_id: str) -> Gap:
        now, is_full = self.reactor.seconds(), not self.is_read_only()
        # The mark of what was told is no mark of what begins now.
        since_ms = self.marks.begin(session_id, anew=session_id in self._told)
        if since_ms is None:
            return Gap(self.now_ms(), now, is_full=is_full, is_marked=False)
        self._told.discard(session_id)
        return Gap(since_ms, now, is_full=is_full)

    def _take_away(self, session_id: str) -> None:
        if self.marks.end(session_id):
            self._told.discard(session_id)
        else:
            self._told.add(session_id)

    def _tell(self, session_id: str, gap: Gap) -> None:
        record = self.book.find(session_id)
        if record is None:
            self._take_away(session_id)
            return
        # The end of a session is its last event.
        whose = "" if record.status.is_final else session_id
        self._being_told.add(session_id)
        fact = fact_of(gap, session_id, self.reactor.seconds(), self.now_ms())
        mark = {f"{session_id}/{_CURSOR}": str(gap.since_ms)} if gap.is_marked else {}
        told = self.book.tell(whose, [fact], mark)
        told.addBoth(self._answered, session_id)
        told.addCallback(lambda _: self._take_away(session_id))
        told.addErrback(self._not_told, session_id, gap)

    def _answered(self, result: object, session_id: str) -> object:
        self._being_told.discard(session_id)
        return result

    def _not_told(self, failure: Failure, session_id: str, gap: Gap) -> None:
        failure.trap(StorageFailed, Unavailable)
        self._gaps.setdefault(session_id, gap)


def fact_of(gap: Gap, session_id: str, now: float, now_ms: int) -> Fact:
    """
    Make the event that tells of one gap that is over.

    :param now: The clock of the reactor.
    :param now_ms: The wall clock.
    """
    if gap.seen_at is None:
        seconds = max(0.0, (now_ms - gap.since_ms) / 1000)
        words = f"The disk was full for up to {seconds:.0f} s, over a restart of the server."
    else:
        seconds = now - gap.seen_at
        words = f"The disk was {'full' if gap.is_full else 'read-only'} for {seconds:.0f} s."
    beyond = " beyond what there was room for" if gap.is_full else ""
    return Fact(
        "log:warn",
        {
            "level": "warn",
            "message": f"{words} What the agent printed in that time{beyond} is missing.",
            "source": "disk",
            "context": {
                "gapMs": int(seconds * 1000),
                "since": iso_from_ms(gap.since_ms),
                "session": session_id,
            },
        },
    )
