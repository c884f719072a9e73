"""One session in the book."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from loki_twisted.agents.interface import IAgent
from loki_twisted.model.sessions import Origin, SessionStatus
from loki_twisted.sessions.state import SessionState, with_status

if TYPE_CHECKING:
    from loki_twisted.sessions.conductor import Conductor


@attrs.define(eq=False)
class Record:
    """
    One session in the book.

    :ivar state: Where it stands, for decisions.
    :ivar committed: Where it stands on disk, for readers; None before it is there.
    :ivar in_flight: How many changes are on their way to the disk.
    :ivar agent: Its agent, while one of ours runs.
    :ivar stop_ordered: Its agent was told to stop, whatever became of the record of it.
    :ivar conductor: Who talks with its agent, while one of ours is followed.
    :ivar trouble: Why its agent could last not be taken in charge.
    :ivar looks: How often the files of its agent were looked for in vain.
    """

    state: SessionState
    committed: SessionState | None = None
    in_flight: int = 0
    agent: IAgent | None = None
    stop_ordered: bool = False
    conductor: Conductor | None = None
    trouble: str = ""
    looks: int = 0
    _listeners: tuple[Callable[[], None], ...] = attrs.field(default=(), init=False)

    def note_stop(self) -> None:
        """Remember that the agent was told to stop, for the record that cannot be made of it."""
        self.stop_ordered = True
        if not self.status.is_final:
            self.state = with_status(self.state, SessionStatus.STOPPING)

    def stirred(self) -> None:
        """Take note of a sign of its agent that is not in what it prints."""
        if self.conductor is not None:
            self.conductor.stirred()

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """
        Be told whenever it stands elsewhere on disk.

        :returns: Call it to be told no more.
        """
        self._listeners += (heard,)
        return lambda: self._leave(heard)

    def tell(self) -> None:
        """Tell all who listen."""
        for heard in self._listeners:
            heard()

    def _leave(self, heard: Callable[[], None]) -> None:
        left = list(self._listeners)
        left.remove(heard)
        self._listeners = tuple(left)

    @property
    def id(self) -> str:
        """The session's id."""
        return self.state.session.id

    @property
    def status(self) -> SessionStatus:
        """The session's status, for decisions."""
        return self.state.session.status

    @property
    def is_ours(self) -> bool:
        """Whether this server (or one before it on the same data) started it."""
        return self.state.session.origin is Origin.STARTED
