"""What agents print while their disk is full and has no room for it: that it is missing is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from loki_twisted.model.errors import StorageFailed, Unavailable
from loki_twisted.model.events import Fact
from loki_twisted.sessions.book import SessionBook


@attrs.define(eq=False, kw_only=True)
class Gaps:
    """
    Notes which sessions have run out of room, and tells each of them once when there is some.

    An agent writes its output itself. So what finds no room is known to it alone, by an error of
    its system; how much that was nobody else can say.

    :ivar lack: Says what room is missing on the disk, or None.
    :ivar cramped: Lists the sessions whose agents find no room now, if it is full.
    """

    reactor: IReactorTime
    book: SessionBook
    lack: Callable[[], str | None]
    cramped: Callable[[], Iterable[str]]
    _since: dict[str, float] = attrs.field(factory=dict, init=False)

    def look(self) -> None:
        """Look how it is. To be called now and then."""
        now = self.reactor.seconds()
        if self.lack() is not None:
            for session_id in self.cramped():
                self._since.setdefault(session_id, now)
            return
        gaps, self._since = self._since, {}
        for session_id, since in gaps.items():
            self._tell(session_id, since, now - since)

    def problem(self) -> str | None:
        """Say that something is being lost now, or None."""
        if not self._since or self.lack() is None:
            return None
        return f"What agents print finds no room: {len(self._since)} of them have used up theirs."

    def _tell(self, session_id: str, since: float, seconds: float) -> None:
        record = self.book.find(session_id)
        if record is None:
            return
        # The end of a session is its last event.
        whose = "" if record.status.is_final else session_id
        told = self.book.tell(whose, [gap(session_id, seconds)], {})
        told.addErrback(self._not_told, session_id, since)

    def _not_told(self, failure: Failure, session_id: str, since: float) -> None:
        failure.trap(StorageFailed, Unavailable)
        self._since.setdefault(session_id, since)


def gap(session_id: str, seconds: float) -> Fact:
    """Make the event that tells of one gap, of so many seconds."""
    return Fact(
        "log:warn",
        {
            "level": "warn",
            "message": f"The disk was full for {seconds:.0f} s. What the agent printed in that "
            "time beyond what there was room for is missing.",
            "source": "disk",
            "context": {"gapMs": int(seconds * 1000), "session": session_id},
        },
    )
