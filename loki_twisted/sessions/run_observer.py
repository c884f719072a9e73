"""Observing runs of Loki Mode: what their files mean, as events and rows, as time goes by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.model.redaction import Redactor
from loki_twisted.model.runs import RunPhaseChange
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.judging import Judgement, judge
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.run_files import Run, RunFiles
from loki_twisted.sessions.run_hearing import RunHearing
from loki_twisted.sessions.run_owners import CLAIM, RunOwners
from loki_twisted.sessions.run_projects import Project
from loki_twisted.sessions.run_status import Liveness
from loki_twisted.sessions.run_steps import (
    RunStep,
    end_unseen,
    step_inside,
    step_of_observed,
)
from loki_twisted.state.interface import RunsBegin, RunSighting, RunsTold

_log = Logger()

_LOOK: Final = 2.0
"""Seconds between looks at the process of a run."""

_PAST_AT_ONCE: Final = 50
"""How many runs that are over are put on record in one turn of the reactor: some milliseconds."""

_NOTES: Final = "notes"

RUN_CURSORS: Final = (CLAIM, f"/{_NOTES}")
"""Of each cursor that a :class:`RunObserver` begins with, one of these is a part of its name."""

_EVENTS: Final = "events.jsonl"

RunNews = RunSighting | RunsBegin | RunsTold


@attrs.define(eq=False)
class RunObserver:
    """
    Takes what files of runs say into the book.

    :ivar liveness: Looks at the process of a run.
    :ivar redactor: Takes secrets out of what runs say.
    :ivar hearing: Knows which runs read what people tell them.
    :ivar given_to: See :class:`RunOwners`.
    """

    reactor: IReactorTime
    book: SessionBook
    liveness: Callable[[Run], Liveness]
    redactor: Redactor = attrs.field(factory=lambda: Redactor({}))
    hearing: RunHearing = attrs.field(factory=RunHearing)
    given_to: Callable[[str, Run], str | None] = lambda *_: None
    owners: RunOwners = attrs.field(init=False)
    _projects: dict[str, Project] = attrs.field(factory=dict, init=False)
    _told: dict[str, Mapping[str, str]] = attrs.field(factory=dict, init=False)
    _dropped: dict[str, set[str]] = attrs.field(factory=dict, init=False)
    """By session, the tasks that were listed once and then were not: they are created no more."""
    _documented: set[str] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.owners = RunOwners(self.book, self.given_to)

    def load(self, cursors: Mapping[str, str]) -> None:
        """Begin with what is stored: its cursors, and any others. May be repeated."""
        self.owners.load(cursors)
        for name, text in cursors.items():
            session_id, found, rest = name.partition("/")
            if found and rest == _NOTES:
                self._told[session_id] = msgspec.json.decode(text, type=dict[str, str])

    def is_documented(self, session_id: str) -> None:
        """Take note that a session's own files say where it stands: nothing else does then."""
        self._documented.add(session_id)

    def session_of(self, directory: str) -> str | None:
        """The session that the files of a directory speak of, if there is one."""
        project = self._projects.get(directory)
        current = project.current if project else None
        return current if current is not None and self.book.find(current) else None

    def tells(self, record: Record) -> bool | None:
        """
        Whether what lies in the state directory of a session's project is told of it.

        :returns: None as long as that was not read, as it is when a server has just started.
        """
        project = self._projects.get(record.state.session.project_dir)
        if project is None or not project.is_told:
            return None
        return self.session_of(project.directory) == record.id

    def seen(self, directory: str, news: Sequence[RunNews]) -> Deferred[Any] | None:
        """
        Take what files say now.

        :returns: Fires when it is on record; None if there is nothing to be put there.
        """
        project = self._projects.get(directory)
        now = self.reactor.seconds()
        if project is None:
            project = self._projects[directory] = Project(directory, now)
        if any(isinstance(said, RunsBegin) for said in news):
            project.files, project.is_told = RunFiles(), False
        project.take([said for said in news if isinstance(said, RunSighting)], now)
        project.is_told |= any(isinstance(said, RunsTold) for said in news)
        return self.judge(directory)

    def hear(self, directory: str, change: RunPhaseChange) -> Deferred[Any] | None:
        """Take what the event file says of the phase, as :meth:`seen` does what other files say."""
        project = self._projects.get(directory)
        if project is None:
            return None
        project.files = project.files.with_sightings([RunSighting(None, _EVENTS, change)])
        return self.judge(directory)

    def judge(self, directory: str) -> Deferred[Any] | None:
        """Say what files mean now, as :meth:`seen` does; they may mean more than a while ago."""
        project = self._projects.get(directory)
        if project is None or not project.is_told:
            return None
        if project.check is not None:
            project.check.cancel()
            project.check = None
        scopes = project.files.scopes()
        rechecks: list[float] = []
        ours = self.owners.at_work(directory)
        told = self._take_past(project, scopes[:-1], ours, rechecks)
        for scope in scopes[-1:]:
            told.append(self._take(project, scope, ours, rechecks, is_current=True))
        if not scopes:
            told = self._gone(directory)
        waiting = [done for done in told if done is not None]
        if rechecks:
            delay = max(min(rechecks), 0.01)
            project.check = self.reactor.callLater(delay, self._again, project)
        if not waiting:
            return None
        return all_of(waiting)

    def looked(self, directory: str) -> Deferred[Any] | None:
        """Take note that all of a directory was seen, also if there was nothing of a run in it."""
        project = self._projects.setdefault(
            directory, Project(directory, self.reactor.seconds(), is_told=True)
        )
        return None if project.files.scopes() else self.judge(directory)

    def _gone(self, directory: str) -> list[Deferred[Any] | None]:
        """End the runs of which there is not a file left."""
        self.owners.forget(directory)
        reason = "Its state directory is gone."
        ends = [
            (record, *end_unseen(record.state, SessionStatus.STOPPED, reason, self.book.now()))
            for record in self.owners.observed_at_work(directory)
        ]
        return [self.book.commit(record, state, facts) for record, state, facts in ends]

    def stop(self) -> None:
        """Look no more."""
        for project in self._projects.values():
            if project.check is not None:
                project.check.cancel()
        self._projects.clear()

    def _again(self, project: Project) -> None:
        project.check = None
        maybeDeferred(self.judge, project.directory).addErrback(self._later, project)

    def _later(self, failure: Failure, project: Project) -> None:
        _log.warn(
            "what {dir} says is not on record yet: {error}",
            dir=project.directory,
            error=failure.getErrorMessage(),
        )
        if project.check is None and self._projects.get(project.directory) is project:
            project.check = self.reactor.callLater(_LOOK, self._again, project)

    # One run

    def _take_past(
        self,
        project: Project,
        scopes: Sequence[str | None],
        ours: Sequence[Record],
        rechecks: list[float],
    ) -> list[Deferred[Any] | None]:
        """Take runs that another one came after, some of them now: there may be thousands."""
        told: list[Deferred[Any] | None] = []
        for scope in scopes:
            run = project.files.run(scope)
            if project.settled.get(scope) == run:
                continue
            if len(told) == _PAST_AT_ONCE:
                rechecks.append(0.0)
                break
            more: list[float] = []
            done = self._take(project, scope, ours, more, is_current=False)
            if done is not None:
                told.append(done)
            elif not more:
                project.settled[scope] = run
            rechecks += more
        return told

    def _take(
        self,
        project: Project,
        scope: str | None,
        ours: Sequence[Record],
        rechecks: list[float],
        *,
        is_current: bool,
    ) -> Deferred[Any] | None:
        run = project.files.run(scope)
        own = self.owners.session_of_ours(project.directory, run, ours)
        session_id = own or self.owners.name(project.directory, run)
        if session_id in self._documented:
            return None
        if is_current:
            project.current = session_id
        judged = self._judgement(project, run, session_id, is_current=is_current)
        if run.has_pid_file and not judged.status.is_final:
            rechecks.append(_LOOK)
        if judged.recheck is not None:
            rechecks.append(judged.recheck)
        record = self.book.find(session_id)
        if own is not None:
            return self._inside(project, record, judged, is_current=is_current)
        if judged.status is SessionStatus.STARTING:
            return None  # what it is will be seen in a moment
        left = project.waits(record, judged, self.reactor.seconds())
        if left > 0:
            rechecks.append(left)
            return None
        return self._observed(project, record, judged, rechecks)

    def _judgement(
        self, project: Project, run: Run, session_id: str, *, is_current: bool
    ) -> Judgement:
        record = self.book.find(session_id)
        quiet = project.quiet(run.scope, self.reactor.seconds(), is_current=is_current)
        if record is not None and record.is_ours:
            # The keeper knows, and knows better.
            is_alive = record.agent is not None
            liveness = Liveness.ALIVE if is_alive else Liveness.DEAD
            quiet = quiet if is_alive else float("inf")
        else:
            liveness = self.liveness(run)
        return judge(project.files, run, session_id, liveness, quiet, is_current=is_current)

    def _inside(
        self, project: Project, record: Record | None, judged: Judgement, *, is_current: bool
    ) -> Deferred[Any] | None:
        """Tell what happens in a session of ours; where it stands is not the files' to say."""
        if record is None or record.status.is_final or not is_current:
            return None
        state = record.state
        if judged.usage.tokens_used == 0 and not judged.usage.cost:
            judged = attrs.evolve(judged, usage=state.session.usage)
        if judged.phase is None:
            judged = attrs.evolve(judged, phase=state.session.current_phase)
        step = step_inside(state, judged, self._told.get(record.id, {}), (), self.book.now())
        claim = self.owners.claim(project.directory, record.id, judged.run)
        return self._commit(record, step, claim)

    def _observed(
        self,
        project: Project,
        record: Record | None,
        judged: Judgement,
        rechecks: list[float],
    ) -> Deferred[Any] | None:
        session_id = judged.session_id
        if self.book.is_deleted(session_id):
            if judged.status.is_final:
                return None
            self.book.bury(session_id).addErrback(self._later, project)  # it runs again
        is_new = record is None
        if record is None:
            self._told.pop(session_id, None)
            record = self.book.add(self.owners.unknown(session_id, project.directory))
        missing, more = project.missing_tasks(record, judged, self.reactor.seconds())
        rechecks += more
        told = self._told.get(session_id, {})
        step = step_of_observed(record.state, judged, told, missing, self.book.now(), is_new=is_new)
        step = attrs.evolve(step, state=self.hearing.after(step.state, judged))
        return self._commit(record, self._without_doubles(record, step), {}, is_new=is_new)

    def _without_doubles(self, record: Record, step: RunStep) -> RunStep:
        """A task that comes back was created before."""
        dropped = self._dropped.setdefault(record.id, set())
        back = dropped.intersection(step.state.tasks)
        dropped.difference_update(back)
        dropped.update(set(record.state.tasks).difference(step.state.tasks))
        if not back:
            return step
        facts = [
            fact
            for fact in step.facts
            if fact.type != "task:created" or fact.data["taskId"] not in back
        ]
        return attrs.evolve(step, facts=facts)

    def _commit(
        self,
        record: Record,
        step: RunStep,
        cursors: Mapping[str, str | None],
        *,
        is_new: bool = False,
    ) -> Deferred[Any] | None:
        before = self._told.get(record.id, {})
        stored = dict(cursors)
        if step.notes != before:
            text = msgspec.json.encode(step.notes).decode() if step.notes else None
            stored[f"{record.id}/{_NOTES}"] = text
        if not (is_new or stored or step.facts) and step.state == record.state:
            return None

        def failed(failure: Failure) -> Failure:
            self._told[record.id] = before
            return failure

        self._told[record.id] = step.notes
        done: Deferred[Any] = self.book.commit(
            record, step.state, [self.redactor.fact(fact) for fact in step.facts], stored
        )
        if step.facts:
            record.stirred()
        return done.addErrback(failed)


def all_of(waiting: Sequence[Deferred[Any]]) -> Deferred[None]:
    """Wait until all have ended, and fail then if one has failed."""

    def ended(results: list[tuple[bool, Any]]) -> None:
        for succeeded, result in results:
            if not succeeded:
                result.raiseException()

    return DeferredList(waiting, consumeErrors=True).addCallback(ended)
