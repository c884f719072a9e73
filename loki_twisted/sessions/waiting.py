"""
The line of the sessions that wait, kept over restarts of the server.

``queue.py`` decides who goes to work; here it is asked about the sessions in the book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs

from loki_twisted.model.errors import LokiError, TooManySessions
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.overview import is_at_work
from loki_twisted.sessions.queue import Lack, Slots, Taker, Turns, Waiting, refusal, turns
from loki_twisted.sessions.record import Record

_NUMBER: Final = "queue"

LINE_CURSORS: Final = f"/{_NUMBER}"
"""A part of the name of each cursor that a :class:`WaitingLine` goes on with."""
_LAST: Final = 2**53
"""The number of a session that has none: it stands behind its equals."""


@attrs.define(eq=False)
class WaitingLine:
    """
    The sessions of ours that wait for their turn.

    :ivar slots: How many may be at work.
    :ivar stranger: Says of a project directory who else is at work there, not through us, or None.
        It may look at files, and is asked only about those that nothing else is in the way of.
    """

    book: SessionBook
    slots: Slots
    stranger: Callable[[str], LokiError | None]
    _numbers: dict[str, int] = attrs.field(factory=dict, init=False)
    """By session: who has the lower one came first."""

    def check_room(self, most: int) -> None:
        """
        Make sure that one more may wait.

        :raises TooManySessions: if so many wait as may.
        """
        if len(self.records()) >= most:
            msg = f"{most} sessions wait for their turn, which is as many as may."
            raise TooManySessions(msg, {"maxQueued": most})

    def enter(self, session_id: str) -> Mapping[str, str]:
        """
        Give a session that waits its place, behind its equals.

        :returns: What is to be stored with it.
        """
        number = self._numbers[session_id] = self._next_number()
        return {f"{session_id}/{_NUMBER}": str(number)}

    def leave(self, session_id: str) -> Mapping[str, None]:
        """
        Take leave of a session whose turn has come.

        :returns: What is to be removed with that. Until then it could have its place again.
        """
        return {f"{session_id}/{_NUMBER}": None}

    def restore(self, cursors: Mapping[str, str]) -> None:
        """Give those that wait the places that they had in an earlier server."""
        missing = []
        for record in self.records():
            stored = cursors.get(f"{record.id}/{_NUMBER}")
            if stored is None:
                missing.append(record.state.session)
            else:
                self._numbers[record.id] = int(stored)
        # Those of servers that gave no numbers: they came before all others.
        missing.sort(key=lambda each: (each.started_at, each.id), reverse=True)
        for distance, session in enumerate(missing):
            self._numbers[session.id] = -distance

    def obstacle(self, session: Session) -> LokiError | None:
        """Say what keeps a new session from going to work at once, those that wait being there."""
        newcomer = Waiting(_taker(session), session.priority, self._next_number())
        return self._go_through([*self._waiting(), newcomer])[1].get(session.id)

    def turns(self) -> tuple[list[Record], list[tuple[Record, LokiError]]]:
        """
        Go through the line.

        :returns: Who is to go to work now, and who is not and why; both in the order of the line.
        """
        outcome, errors = self._go_through(self._waiting())
        records = {record.id: record for record in self.records()}
        return (
            [records[each] for each in outcome.started],
            [(records[each], error) for each, error in errors.items()],
        )

    def in_order(self, sessions: Iterable[Session]) -> list[Session]:
        """Sort sessions that wait, the next one first."""
        return sorted(sessions, key=lambda each: self._place_of(each).rank)

    def _go_through(self, waiting: Sequence[Waiting]) -> tuple[Turns, Mapping[str, LokiError]]:
        takers = {each.taker.session_id: each.taker for each in waiting}
        at_work = [
            _taker(record.state.session)
            for record in self.book.unended()
            if record.is_ours and is_at_work(record.state.session)
        ]
        strangers: dict[str, LokiError] = {}
        seen: set[str] = set()
        while True:
            outcome = turns(at_work, waiting, self.slots, strangers.keys())
            fresh = {takers[each].project_dir for each in outcome.started} - seen
            if not fresh:
                break
            seen |= fresh
            strangers |= {
                each: error for each in fresh if (error := self.stranger(each)) is not None
            }
        errors = {
            name: strangers[takers[name].project_dir]
            if obstacle.lack is Lack.STRANGER
            else refusal(obstacle, takers[name], self.slots)
            for name, obstacle in outcome.obstacles.items()
        }
        return outcome, errors

    def records(self) -> list[Record]:
        """Say who they are, in no order."""
        return [
            each
            for each in self.book.unended()
            if each.is_ours and each.status is SessionStatus.QUEUED
        ]

    def _waiting(self) -> list[Waiting]:
        return [self._place_of(record.state.session) for record in self.records()]

    def _place_of(self, session: Session) -> Waiting:
        number = self._numbers.get(session.id, _LAST)
        return Waiting(_taker(session), session.priority, number)

    def _next_number(self) -> int:
        """One behind all that wait, whatever the clock says. Who has ended is forgotten."""
        self._numbers = {
            name: number
            for name, number in self._numbers.items()
            if (record := self.book.find(name)) is not None and not record.status.is_final
        }
        return 1 + max(self._numbers.values(), default=0)


def _taker(session: Session) -> Taker:
    return Taker(session.id, session.provider, session.project_dir)


def is_foreign(obstacle: LokiError | None) -> bool:
    """Whether it is a run of somebody else, which is named by its process."""
    return obstacle is not None and "pid" in (obstacle.details or {})
