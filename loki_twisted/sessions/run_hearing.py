"""Which observed runs read what people tell them: ``acceptsInput`` of their sessions."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import msgspec

from loki_twisted.sessions.judging import Judgement
from loki_twisted.sessions.state import SessionState
from loki_twisted.state.interface import LiveRun


@attrs.define(eq=False)
class RunHearing:
    """
    Asks each run once: it was started to read, or to reject, all that it is told.

    :ivar find_run: Finds a run that lives: see :meth:`IRunControl.live_run`.
    """

    find_run: Callable[[str, str, int], LiveRun | None] = lambda *_: None
    _known: dict[str, tuple[str, bool]] = attrs.field(factory=dict, init=False)
    """By session, its last run that was found, and what that does."""

    def after(self, state: SessionState, judged: Judgement) -> SessionState:
        """Say of a session whether its run takes input; one that has ended takes none."""
        session = state.session
        takes_input = not judged.status.is_final and self._takes_input(session.project_dir, judged)
        if takes_input == session.accepts_input:
            return state
        session = msgspec.structs.replace(session, accepts_input=takes_input)
        return attrs.evolve(state, session=session)

    def _takes_input(self, directory: str, judged: Judgement) -> bool:
        run, session_id = judged.run, judged.session_id
        identity, takes_input = self._known.get(session_id, ("", False))
        if identity == run.identity:
            return takes_input
        if run.pid is None:
            return False
        found = self.find_run(directory, run.scope or session_id, run.pid)
        if found is None:
            return False
        self._known[session_id] = (run.identity, found.takes_input)
        return found.takes_input
