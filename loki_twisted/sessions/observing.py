"""Observing state directories: what their files say, as events and rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList
from zope.interface import implementer

from loki_twisted.model.errors import LokiError
from loki_twisted.model.events import Fact
from loki_twisted.model.redaction import Redactor
from loki_twisted.model.sessions import Origin, Session, SessionStatus, Steering
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.lifecycle import facts_between
from loki_twisted.sessions.run_observer import RunObserver, all_of
from loki_twisted.sessions.run_phases import phase_change_of
from loki_twisted.sessions.sightings import AT_ONCE, changes
from loki_twisted.sessions.state import with_status
from loki_twisted.state.interface import (
    AgentsSighting,
    CurrentSession,
    ISightingListener,
    LogLines,
    PhaseSighting,
    RunsBegin,
    RunSighting,
    RunsTold,
    SessionGone,
    SessionSighting,
    Sighting,
    TasksSighting,
    Unreadable,
)

_DEFAULT_PROVIDER = "claude"
_OF_A_CHANGE = 8
"""A change costs at least as much as so many tasks in one."""
_NOT_AT_WORK = frozenset({SessionStatus.QUEUED, *(s for s in SessionStatus if s.is_final)})


@implementer(ISightingListener)
@attrs.define(eq=False)
class StateObserver:
    """
    Takes what state directories say into the book.

    Sessions of ours are believed about their phases, tasks and agents, never
    about their status: that we know better.

    :ivar runs: Takes what files of Loki Mode runs say.
    :ivar redactor: Takes secrets out of lines of log files.
    :ivar current: By project directory, the session that its global state names.
    """

    book: SessionBook
    runs: RunObserver
    redactor: Redactor = attrs.field(factory=lambda: Redactor({}))
    current: dict[str, str | None] = attrs.field(factory=dict)
    _stored: dict[str, list[LogLines]] = attrs.field(factory=dict, init=False)
    """By project, of the portion that is being told: what is stored, come what may."""
    _gone_unseen: set[str] = attrs.field(factory=set, init=False)
    """Sessions whose directory went before anything was told of them: their logs may still be."""

    def seen(self, project_dir: str, sightings: Sequence[Sighting]) -> Deferred[Any]:
        """See :class:`ISightingListener`."""
        return Deferred.fromCoroutine(self._seen(project_dir, sightings))

    async def _seen(self, project_dir: str, sightings: Sequence[Sighting]) -> None:
        await self.book.launches.over(project_dir)
        phased = {s.session_id for s in sightings if isinstance(s, PhaseSighting)}
        before: Sequence[Deferred[Any]] = ()
        waiting: list[Deferred[Any]] = []
        size = 0
        for sighting in sightings:
            if isinstance(sighting, SessionSighting):
                self.runs.is_documented(sighting.session_id)
                self._gone_unseen.discard(sighting.session_id)
        news = [s for s in sightings if isinstance(s, RunSighting | RunsBegin | RunsTold)]
        if news and (judged := self.runs.seen(project_dir, news)) is not None:
            waiting.append(judged)
        for sighting in sightings:
            if isinstance(sighting, SessionSighting) and sighting.session_id in phased:
                # phase.json says more of the same, and one change is one event.
                sighting = attrs.evolve(sighting, current_phase=None)  # noqa: PLW2901
            for told, told_size in self._take(project_dir, sighting):
                waiting.append(told)
                size += max(told_size, _OF_A_CHANGE)
                if size >= AT_ONCE:
                    # The log has something to write while the next ones are made.
                    await _after(before, waiting)
                    before, waiting, size = waiting, [], 0
        # Each has begun, in order; all of them must end before more is told.
        await all_of([*before, *waiting])
        self._stored.pop(project_dir, None)

    def _take(self, project_dir: str, sighting: Sighting) -> Iterator[tuple[Deferred[Any], int]]:
        """Begin to tell, part after part; of each, when it is told, and how much it is."""
        told: Deferred[Any] | None = None
        match sighting:
            case RunSighting() | RunsBegin() | RunsTold():
                pass  # these are taken together
            case CurrentSession():
                self.current[project_dir] = sighting.session_id
            case LogLines():
                told = self._log_lines(project_dir, sighting)
            case Unreadable():
                told = self._unreadable(project_dir, sighting)
            case SessionGone():
                told = self._gone(sighting)
            case _:
                yield from self._of_session(project_dir, sighting)
        if told is not None:
            yield told, 1

    def _of_session(
        self,
        project_dir: str,
        sighting: SessionSighting | PhaseSighting | TasksSighting | AgentsSighting,
    ) -> Iterator[tuple[Deferred[Any], int]]:
        rest: int | None = 0
        while rest is not None and not self.book.is_deleted(sighting.session_id):
            record = self.book.find(sighting.session_id)
            is_new = record is None
            if record is None:
                session = _unknown_session(sighting.session_id, project_dir, self.book)
                record = self.book.add(session)
            state, facts, size, rest = changes(record, sighting, self.book.now(), rest)
            if is_new or facts or state != record.state:
                yield self.book.commit(record, state, facts), size
            if facts:
                record.stirred()

    def _gone(self, sighting: SessionGone) -> Deferred[Any] | None:
        if self.book.is_deleted(sighting.session_id):
            return self.book.bury(sighting.session_id)
        record = self.book.find(sighting.session_id)
        if record is None:
            self._gone_unseen.add(sighting.session_id)
            return None
        if record.is_ours or record.status.is_final:
            return None
        reason = "Its state directory is gone."
        state = with_status(record.state, SessionStatus.STOPPED, reason=reason)
        facts = facts_between(record.status, SessionStatus.STOPPED, reason)
        return self.book.commit(record, state, facts)

    def _log_lines(self, project_dir: str, lines: LogLines) -> Deferred[Any] | None:
        stored = self._stored.setdefault(project_dir, [])
        if lines in stored:
            return None
        if lines.session_id is not None and self.book.is_deleted(lines.session_id):
            return self.book.tell("", (), lines.cursors)
        session_id = self._session_of(project_dir, lines.session_id)
        self._add_folder(project_dir, lines.session_id)
        if lines.facts is not None:
            facts = list(lines.facts)
        else:
            level = "debug" if self._is_printed_too(session_id, lines) else "info"
            facts = [
                Fact(f"log:{level}", {"level": level, "message": line, "source": lines.source})
                for line in lines.lines
            ]
        if self.redactor.may_concern(lines.lines):
            facts = [self.redactor.fact(fact) for fact in facts]
        told = self.book.tell(session_id, facts, lines.cursors)
        if facts and (record := self.book.find(session_id)) is not None:
            record.stirred()
        told.addCallback(lambda _: stored.append(lines))
        if lines.session_id is None and (change := phase_change_of(facts)) is not None:
            judged = self.runs.hear(project_dir, change)
            return told if judged is None else all_of([told, judged])
        if lines.session_id is None or lines.session_id not in self._gone_unseen:
            return told
        self._gone_unseen.discard(lines.session_id)
        ended = self._gone(SessionGone(lines.session_id))
        return told if ended is None else all_of([told, ended])

    def _is_printed_too(self, session_id: str, lines: LogLines) -> bool:
        """Whether lines are of a log that has what a run of ours prints too: ``logs/agent.log``."""
        record = self.book.find(session_id)
        if record is None or not record.is_ours or lines.session_id is not None:
            return False
        return record.state.session.steered_by is Steering.FILES and lines.source == "agent"

    def _unreadable(self, project_dir: str, sighting: Unreadable) -> Deferred[Any] | None:
        if sighting.session_id is not None and self.book.is_deleted(sighting.session_id):
            return None
        self._add_folder(project_dir, sighting.session_id)
        message = f"{sighting.path}: {sighting.reason}"
        fact = Fact("log:warn", {"level": "warn", "message": message, "source": "state"})
        return self.book.tell(self._session_of(project_dir, sighting.session_id), [fact], {})

    def _add_folder(self, project_dir: str, session_id: str | None) -> None:
        """List a session of which there is no more than a folder, before its first event."""
        if session_id is None or self.book.find(session_id) or self.book.is_deleted(session_id):
            return
        record = self.book.add(_unknown_session(session_id, project_dir, self.book))
        stored = self.book.commit(record, record.state)
        stored.addErrback(lambda failure: failure.trap(LokiError))  # its lines fail as well

    def _session_of(self, project_dir: str, session_id: str | None) -> str:
        """Find whom a log belongs to that names no session: the one at work there."""
        if session_id is not None:
            return session_id
        named = self.current.get(project_dir)
        if named is not None:
            return named
        run = self.runs.session_of(project_dir) or ""
        record = self.book.find(run)
        if record is not None and not record.status.is_final:
            return run
        for record in self.book.unended():
            if (
                record.state.session.project_dir == project_dir
                and record.status not in _NOT_AT_WORK
            ):
                return record.id
        return run


async def _after(before: Sequence[Deferred[Any]], others: Sequence[Deferred[Any]]) -> None:
    """Wait for what was begun before; fail if some of it failed, once the others have ended too."""
    try:
        await all_of(before)
    except Exception:
        await DeferredList(others, consumeErrors=True)
        raise


def _unknown_session(session_id: str, project_dir: str, book: SessionBook) -> Session:
    """A session of which we have seen no more than that it is there."""
    now = book.now()
    return Session(
        id=session_id,
        status=SessionStatus.STARTING,
        provider=_DEFAULT_PROVIDER,
        project_dir=project_dir,
        started_at=now,
        updated_at=now,
        origin=Origin.OBSERVED,
    )
