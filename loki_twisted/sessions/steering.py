"""
Steering sessions whose agent takes orders by files: runs of Loki Mode, ours and observed ones.

``requests.py`` decides; here it is done, and looked after: while there is something to wait for,
and always while a run of ours is at work, its few small files are looked at twice a second.
Whoever learns sooner that something has changed calls :meth:`Steerer.look`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.model.errors import Conflict
from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import Session, SessionStatus, Steering
from loki_twisted.model.timestamps import ms_from_iso
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.lifecycle import Step, next_status
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.requests import (
    PAUSE_REQUESTED,
    RESUME_REQUESTED,
    STOP_REQUESTED,
    after_look,
    obstacle_to_input,
    obstacle_to_pause,
    obstacle_to_resume,
    obstacle_to_stop,
    requested,
    told,
    told_of_input,
)
from loki_twisted.sessions.rows import NO_ROWS, Rows
from loki_twisted.state.interface import IRunControl, LiveRun, RunEnding

_log = Logger()

LOOK_SECONDS: Final = 0.5
_INPUT: Final = "input"
_SCRIPT: Final = "script"

STEERING_CURSORS: Final = f"/{_INPUT}"
"""A part of the name of each cursor that :meth:`Steerer.restore` goes on with."""
_TAKES_INPUT: Final = frozenset({SessionStatus.RUNNING, SessionStatus.PAUSED})


@attrs.define(eq=False, kw_only=True)
class Steerer:
    """
    Gives orders to runs, and sees what becomes of them.

    What waits is on record, as cursors of the session: ``<id>/input``, the receipt of an
    input that waits, and ``<id>/script``, what is to be removed if the run is killed.

    :ivar is_told: Whether what lies in the state directory is told of a session: then so is the
        file to which its run moves an input, and not once more here.
    """

    reactor: IReactorTime
    book: SessionBook
    control: IRunControl
    is_told: Callable[[Record], bool | None] = lambda _: False
    _looked_after: set[str] = attrs.field(factory=set, init=False)
    _inputs: dict[str, str] = attrs.field(factory=dict, init=False)
    _scripts: dict[str, str] = attrs.field(factory=dict, init=False)
    _next_look: IDelayedCall | None = attrs.field(default=None, init=False)

    def steers(self, record: Record) -> bool:
        """Whether orders to a session are files."""
        return not record.is_ours or record.state.session.steered_by is Steering.FILES

    # Orders

    async def pause(self, record: Record) -> Session:
        """
        Ask a run for a pause.

        :returns: The session, ``running``, with a reason that says so.
        :raises Conflict: if it does not run, would ignore the request, or cannot be found.
        """
        next_status(record.status, Step.PAUSE)
        place = record.state.session.project_dir
        _refuse(record, obstacle_to_pause(self._find_run(record), self.control.orders(place)))
        self.control.request_pause(place)
        return await self._note(record, PAUSE_REQUESTED)

    async def resume(self, record: Record) -> Session:
        """
        Ask a run to go on, or take a request to pause back.

        :returns: The session: ``paused`` with a reason until it goes on, or ``running``.
        :raises Conflict: if it is not paused, would pause again at once, or cannot be found.
        """
        place = record.state.session.project_dir
        orders = self.control.orders(place)
        is_early = record.status is SessionStatus.RUNNING and orders.pause
        if not is_early:
            next_status(record.status, Step.RESUME)
        _refuse(record, obstacle_to_resume(self._find_run(record), orders))
        self.control.withdraw_pause(place)
        return await self._note(record, None if is_early else RESUME_REQUESTED)

    async def stop(self, record: Record) -> Session:
        """
        Ask a run that we only observe to end. It gets no signal from us: it is not ours.

        :returns: The session, as it stands, with a reason that says so.
        :raises Conflict: if it has ended, or cannot be found.
        """
        next_status(record.status, Step.STOP)
        _refuse(record, obstacle_to_stop(self._find_run(record)))
        self.control.request_stop(record.state.session.project_dir)
        return await self._note(record, STOP_REQUESTED)

    async def give_input(
        self, record: Record, text: str, context: str | None, rows: Rows = NO_ROWS
    ) -> Session:
        """
        Give a run a text for its next iteration. What becomes of it is told by an event.

        :param rows: Rows to store with it.

        :raises Conflict: if it does not run, takes no input, or another one waits.
        """
        if record.status not in _TAKES_INPUT:
            msg = f"A session that is {record.status} takes no input."
            raise Conflict(msg, {"status": str(record.status)})
        _refuse(record, obstacle_to_input(self._find_run(record)))
        whole = text if context is None else f"{text}\n\n{context}"
        receipt = self.control.give_input(record.state.session.project_dir, whole)
        self._inputs[record.id] = receipt
        self.look_after(record)
        cursors = {_cursor(record, _INPUT): receipt}
        return await self.book.commit(record, record.state, (), cursors, rows)

    async def _note(self, record: Record, reason: str | None) -> Session:
        self.look_after(record)
        return await self.book.commit(record, requested(record.state, reason))

    # Looking after runs

    def look_after(self, record: Record, cursors: Mapping[str, str] | None = None) -> None:
        """
        Look at a run twice a second from now on, until its session has ended.

        :param cursors: What was stored of it by an earlier server.
        """
        self._looked_after.add(record.id)
        for kept, name in ((self._inputs, _INPUT), (self._scripts, _SCRIPT)):
            value = (cursors or {}).get(_cursor(record, name))
            if value is not None:
                kept[record.id] = value
        if self._next_look is None:
            self._next_look = self.reactor.callLater(LOOK_SECONDS, self._look_again)

    def restore(self, cursors: Mapping[str, str]) -> None:
        """Go on with what an earlier server was asked to do for sessions that it observed."""
        for record in self.book.unended():
            if not record.is_ours and (
                record.state.session.reason == PAUSE_REQUESTED or _cursor(record, _INPUT) in cursors
            ):
                self.look_after(record, cursors)

    def look(self, record: Record) -> None:
        """Look at a run now, and tell what is new."""
        place = record.state.session.project_dir
        run = self._find_run(record)
        orders = self.control.orders(place)
        was_paused = record.status is SessionStatus.PAUSED
        state, facts = after_look(record.state, run, orders, is_ours=record.is_ours)
        if state is not record.state:
            self.book.commit(record, state, facts).addErrback(_not_stored, record.id)
            if was_paused:
                record.stirred()
        news = self._news_of_input(record)
        if news is not None:
            self._settle_input(record, news)

    def foreign_run(self, project_dir: str) -> LiveRun | None:
        """Find a run in a project that none of our sessions at work is."""
        ours = self._pids_of_ours(project_dir)
        runs = self.control.live_runs(project_dir)
        return next((run for run in runs if run.pid not in ours), None)

    def session_of(self, project_dir: str, run: LiveRun) -> str | None:
        """Name the observed session that a run is, if one is known."""
        for record in self.book.unended():
            session = record.state.session
            if record.is_ours or session.project_dir != project_dir or session.status.is_final:
                continue
            if session.id == run.name or session.pid == run.pid or run.name is None:
                return session.id
        return None

    # The end of a run of ours

    def ending(self, record: Record) -> RunEnding | None:
        """
        Read what a run of ours wrote of its end, tell what was not told yet, and remove what
        would be in the way of the next one. Nothing of it runs any more.
        """
        session = record.state.session
        if session.steered_by is not Steering.FILES or session.pid is None:
            return None
        self._end_input(record)
        place, since_ms = session.project_dir, ms_from_iso(session.started_at)
        said = self.control.ending(place, session.id, session.pid, since_ms)
        self.control.clear(place, session.id, session.pid, self._scripts.pop(record.id, None))
        return said

    def close(self) -> None:
        """Look at nothing any more, for the end of the server."""
        self._looked_after.clear()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def note_script(self, record: Record) -> None:
        """Remember what a run of ours leaves if it is killed, while it can be asked."""
        if record.is_ours and record.id not in self._scripts:
            self._find_run(record)

    def _look_again(self) -> None:
        self._next_look = None
        for session_id in list(self._looked_after):
            record = self.book.find(session_id)
            with _log.failuresHandled("the run of {id} could not be looked at", id=session_id):
                if record is None or not self._has_to_wait(record):
                    self._looked_after.discard(session_id)
                    continue
                self.look(record)
        if self._looked_after:
            self._next_look = self.reactor.callLater(LOOK_SECONDS, self._look_again)

    def _has_to_wait(self, record: Record) -> bool:
        if record.status.is_final:
            # That of an observed session is told by its files, which do not wait for us.
            if not record.is_ours:
                self._end_input(record)
            return False
        is_waiting = record.id in self._inputs or record.state.session.reason == PAUSE_REQUESTED
        return record.is_ours or is_waiting

    def _find_run(self, record: Record) -> LiveRun | None:
        session = record.state.session
        if record.is_ours:
            if session.pid is None:
                return None
            run = self.control.live_run(session.project_dir, session.id, session.pid)
            if run is not None and run.script is not None and record.id not in self._scripts:
                self._scripts[record.id] = run.script
                self._store(record, (), {_cursor(record, _SCRIPT): run.script})
            return run
        ours = self._pids_of_ours(session.project_dir)
        runs = [run for run in self.control.live_runs(session.project_dir) if run.pid not in ours]
        named = [run for run in runs if run.name == session.id or run.pid == session.pid]
        nameless = [run for run in runs if run.name is None]
        return next(iter(named or (nameless if len(nameless) == 1 else ())), None)

    def _pids_of_ours(self, project_dir: str) -> set[int | None]:
        return {
            record.state.session.pid
            for record in self.book.unended()
            if record.is_ours and record.state.session.project_dir == project_dir
        }

    def _news_of_input(self, record: Record, *, at_end: bool = False) -> Sequence[Fact] | None:
        """Say what is to be told of an input; None if it waits, or if there is none."""
        receipt = self._inputs.get(record.id)
        if receipt is None:
            return None
        place = record.state.session.project_dir
        fate, path = self.control.fate_of_input(place, receipt)
        fact = told_of_input(fate, path)
        if fact is None:
            return None
        if path is None:
            return [fact]
        is_told = self.is_told(record)
        if is_told is None and not at_end:
            return None  # It may be told yet, and shall not be told twice.
        return [] if is_told else [fact]

    def _end_input(self, record: Record) -> None:
        """Say what became of an input now that its run has ended."""
        if record.id in self._inputs:
            news = self._news_of_input(record, at_end=True)
            unread = told("warn", "It ended before it read the input.")
            self._settle_input(record, [unread] if news is None else news)

    def _settle_input(self, record: Record, news: Sequence[Fact]) -> None:
        receipt = self._inputs.pop(record.id)

        def again(_: Failure) -> None:
            self._inputs.setdefault(record.id, receipt)

        self._store(record, news, {_cursor(record, _INPUT): None}, again)

    def _store(
        self,
        record: Record,
        facts: Sequence[Fact],
        cursors: Mapping[str, str | None],
        failed: Callable[[Failure], None] = lambda _: None,
    ) -> None:
        def not_stored(failure: Failure) -> None:
            _not_stored(failure, record.id)
            failed(failure)

        self.book.tell(record.id, facts, cursors).addErrback(not_stored)


def _cursor(record: Record, name: str) -> str:
    return f"{record.id}/{name}"


def _refuse(record: Record, obstacle: str | None) -> None:
    """
    Raise what stands against an order, if anything does.

    :raises Conflict: with that.
    """
    if obstacle is None:
        return
    if not record.is_ours:
        obstacle = f"{obstacle} Session {record.id} was not started by this server."
    session = record.state.session
    raise Conflict(obstacle, {"status": str(session.status), "origin": str(session.origin)})


def _not_stored(failure: Failure, session_id: str) -> None:
    """Say so, and no more: the next look finds the same again."""
    _log.warn("{id}: {error}", id=session_id, error=failure.getErrorMessage())
