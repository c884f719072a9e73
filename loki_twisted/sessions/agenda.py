"""What lies ahead for a session, and the one timer that is set to the first of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from loki_twisted.sessions.circumstances import Circumstances
from loki_twisted.sessions.moments import Marks, Moment, due, waits
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.timer import Timer


@attrs.define(eq=False)
class Agenda:
    """
    Comes back to a session at the moments at which there is something to do.

    :param act: Called with the moments that have come.
    """

    _record: Record
    _circumstances: Circumstances
    _act: Callable[[frozenset[Moment]], None]
    _marks: Marks = attrs.field(init=False)
    _timer: Timer = attrs.field(init=False)

    @_marks.default
    def _make_marks(self) -> Marks:
        return Marks(self._circumstances.reactor.seconds())

    @_timer.default
    def _make_timer(self) -> Timer:
        return Timer(self._circumstances.reactor, self._come)

    @property
    def is_closed(self) -> bool:
        """Whether it never comes back."""
        return self._timer.is_closed

    @property
    def is_arranged(self) -> bool:
        """Whether it comes back."""
        return self._timer.is_set

    def heard(self) -> None:
        """Something has come from the agent: what it was silent before is over."""
        self._marks = Marks(self._circumstances.reactor.seconds())

    def stirred(self) -> None:
        """There was another sign of the agent than what it prints."""
        self._marks = attrs.evolve(self._marks, stirred_at=self._circumstances.reactor.seconds())

    def arrange(self) -> None:
        """Come back at the first moment that lies ahead by now."""
        self._timer.set(min(self._waits().values(), default=None))

    def retry(self, seconds: float) -> None:
        """Come back then, whatever lies ahead."""
        self._timer.set(seconds)

    def close(self) -> None:
        """Never come back."""
        self._timer.close()

    def _come(self) -> None:
        moments = due(self._waits())
        self._marks = self._marks.done(moments)
        self._act(moments)

    def _waits(self) -> Mapping[Moment, float]:
        now, now_ms = self._circumstances.reactor.seconds(), self._circumstances.now_ms()
        return waits(self._marks, self._record.state, self._circumstances.patience, now, now_ms)
