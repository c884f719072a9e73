"""Tests of observing runs: whose they are, what is told of them, and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from subprocess import PIPE

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.kernel import procfs
from loki_twisted.model.errors import StorageFailed
from loki_twisted.model.identifiers import is_session_id
from loki_twisted.model.runs import (
    Note,
    RunBeat,
    RunCost,
    RunFact,
    RunNotes,
    RunPhase,
    RunPid,
    RunProgress,
    RunStamp,
    RunWrapper,
    Shelf,
)
from loki_twisted.model.sessions import Origin, ReasonCode, Session, SessionStatus, Steering
from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.liveness import liveness_of, session_given_to
from loki_twisted.sessions.observing import StateObserver
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.requests import requested
from loki_twisted.sessions.run_files import Run, RunFiles
from loki_twisted.sessions.run_observer import RUN_CURSORS, RunObserver
from loki_twisted.sessions.run_projects import END_QUIET, HOLD
from loki_twisted.sessions.run_status import DEAD_FOR, Liveness
from loki_twisted.sessions.state import with_status
from loki_twisted.state.interface import (
    LiveRun,
    LogLines,
    RunsBegin,
    RunSighting,
    RunsTold,
    Sighting,
    Unreadable,
)
from loki_twisted.state.loki_events import facts_of_lines
from loki_twisted.state.loki_queue import tasks_of
from tests.fakes_sessions import FakeAgent, MemoryLog

HOME = "/srv/project"
START_MS = 1_795_478_400_000
EARLY, BEGAN, LATER = (iso_from_ms(START_MS + ms) for ms in (-60_000, 1_000, 2_000))
OBSERVED = f"loki_{EARLY[:19].replace('-', '').replace(':', '')}"
PID = 16
S = SessionStatus


def progress(status: str, pid: int = PID, at: str = LATER) -> RunProgress:
    return RunProgress(status=status, pid=pid, last_run=at, iteration=1)


class RunCase(SynchronousTestCase):
    """An observer of one project over a log in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog()
        self.liveness = Liveness.UNKNOWN
        self.looks = 0
        self.given: str | None = None
        self.begin()

    def begin(self) -> None:
        """Start (again) on what the log holds."""
        self.book = SessionBook(self.log, self.log, lambda: START_MS)
        self.successResultOf(Deferred.fromCoroutine(self.book.load()))
        self.runs = RunObserver(
            self.clock, self.book, self.look, given_to=lambda directory, run: self.given
        )
        for part in RUN_CURSORS:  # as the server does
            self.runs.load(self.successResultOf(self.log.cursors("", part)))
        self.observer = StateObserver(self.book, self.runs)

    def look(self, run: Run) -> Liveness:
        self.looks += 1
        return self.liveness

    def tell(self, sightings: Sequence[Sighting]) -> Deferred[object]:
        return self.observer.seen(HOME, sightings)

    def find(self, **facts: RunFact) -> None:
        """Tell what is there at first."""
        begun = [RunsBegin(), *self.sightings(**facts), RunsTold()]
        self.successResultOf(self.tell(begun))
        self.clock.advance(END_QUIET)

    def change(self, **facts: RunFact | None) -> None:
        """Tell what files say now."""
        self.successResultOf(self.tell(self.sightings(**facts)))

    def sightings(self, **facts: RunFact | None) -> list[Sighting]:
        return [RunSighting(None, name, fact) for name, fact in facts.items()]

    def types(self, session_id: str = OBSERVED) -> list[str]:
        return self.log.types(session_id)

    def our_session(self, steered_by: Steering | None = None) -> Record:
        """A session of ours at work in the project."""
        session = Session(
            id="ours",
            status=S.RUNNING,
            provider="claude",
            project_dir=HOME,
            started_at=iso_from_ms(START_MS),
            updated_at=iso_from_ms(START_MS),
            pid=PID,
            steered_by=steered_by,
        )
        record = self.book.add(session)
        record.agent = FakeAgent()
        self.successResultOf(self.book.commit(record, record.state))
        return record


DIRECTORY = RunPhase("building", EARLY)
RUNNING = progress("running")
AT_WORK = {
    "phase": DIRECTORY,
    "pid": RunPid(PID),
    "wrapper": RunWrapper(PID, BEGAN),
    "progress": progress("running"),
}


class ObservedRuns(RunCase):
    """Runs that somebody else started."""

    def test_a_run_is_a_session(self) -> None:
        """A run at work is listed as observed, with what its files say."""
        self.find(**AT_WORK)
        session = self.book.read(OBSERVED)
        assert (session.status, session.origin) == (S.RUNNING, Origin.OBSERVED)
        assert (session.pid, session.started_at) == (PID, BEGAN)
        assert self.types() == ["session:started", "phase:started"]
        self.change(pid=None, progress=progress("council_approved"))
        assert self.book.read(OBSERVED).status is S.RUNNING
        self.clock.advance(END_QUIET)
        assert self.book.read(OBSERVED).status is S.COMPLETED
        assert self.types()[2:] == ["session:completed"]
        assert self.book.read(OBSERVED).pid is None

    def test_it_says_whether_it_takes_input(self) -> None:
        """A run that was started so takes input as long as it lives; any other one never does."""
        found: dict[str, LiveRun | None] = {"run": None}
        asked: list[object] = []

        def find(*what: object) -> LiveRun | None:
            asked.append(what)
            return found["run"]

        self.runs.hearing.find_run = find
        for takes_input in (False, True):
            pid = PID + takes_input
            found["run"] = None
            began = {"pid": RunPid(pid), "wrapper": RunWrapper(pid, BEGAN)}
            self.find(**{**AT_WORK, **began, "progress": progress("running", pid)})
            assert not self.book.read(OBSERVED).accepts_input
            found["run"] = LiveRun(pid=pid, takes_input=takes_input)
            self.change(progress=progress("exited", pid))
            self.change(progress=progress("running", pid))
            assert self.book.read(OBSERVED).accepts_input is takes_input
        assert len(asked) == 4
        self.change(pid=None, progress=progress("council_approved", pid))
        self.clock.advance(END_QUIET)
        assert not self.book.read(OBSERVED).accepts_input

    def test_nothing_is_told_before_all_is_known(self) -> None:
        """While what there is at first is being read, half of it is not judged."""
        self.successResultOf(self.tell([RunsBegin(), *self.sightings(**AT_WORK)]))
        assert self.types() == []
        self.successResultOf(self.tell([RunsTold()]))
        assert self.types()[0] == "session:started"

    def test_an_end_that_is_none(self) -> None:
        """A process file that is gone for a moment, while others change, ends nothing."""
        self.find(**AT_WORK)
        self.change(pid=None)
        self.clock.advance(END_QUIET / 2)
        self.change(pid=RunPid(PID))
        self.clock.advance(HOLD)
        assert self.types() == ["session:started", "phase:started"]

    def test_a_start_waits_for_its_time(self) -> None:
        """A number without the moment of the start may be of any run; it is not waited for long."""
        self.find(phase=DIRECTORY, pid=RunPid(PID))
        assert self.types() == []
        self.clock.advance(HOLD)
        assert self.types()[0] == "session:started"

    def test_another_run_takes_its_place(self) -> None:
        """A run that was followed by another before its end was seen has ended all the same."""
        self.find(**AT_WORK)
        self.change(pid=RunPid(17), wrapper=RunWrapper(17, LATER), progress=progress("running", 17))
        assert self.types() == [
            *("session:started", "phase:started", "session:failed"),
            *("session:started", "phase:started"),
        ]
        assert self.book.read(OBSERVED).started_at == LATER

    def test_a_whole_run_that_nobody_saw(self) -> None:
        """A run that began and ended between two looks is told with its start and its end."""
        self.find(**{**AT_WORK, "pid": None, "progress": progress("council_approved")})
        self.change(wrapper=RunWrapper(17, LATER), progress=progress("failed", 17))
        self.clock.advance(END_QUIET)
        sessions = [type_ for type_ in self.types() if type_.startswith("session:")]
        assert sessions == [
            *("session:started", "session:completed"),
            *("session:started", "session:failed"),
        ]

    def test_one_that_was_left_behind_when_another_is_at_work(self) -> None:
        """What the other one writes is no sign of life of it, and it is started no more."""
        self.find(**{"phase": DIRECTORY, "loki.pid": RunPid(PID), "autonomy-state.json": RUNNING})
        self.clock.advance(HOLD)
        assert self.book.read(OBSERVED).status is S.RUNNING
        own = [
            RunSighting("other", "sessions/other/loki.pid", RunPid(99)),
            RunSighting("other", "sessions/other/autonomy-state.json", progress("running", 99)),
        ]
        self.successResultOf(self.tell(own))
        for number in range(20):
            self.clock.pump([0.2] * 10)
            self.change(beat=RunBeat(str(number)))
        assert self.book.read(OBSERVED).status is S.FAILED
        assert self.book.read("other").status is S.RUNNING
        assert self.types().count("session:started") == 1

    def test_a_run_that_is_over_stays_the_same(self) -> None:
        """When the next run clears away when the last one began, that is no other run."""
        self.find(**{**AT_WORK, "pid": None, "progress": progress("council_approved")})
        told = self.types()
        self.change(wrapper=None)
        self.clock.advance(HOLD)
        assert self.types() == told
        assert self.book.read(OBSERVED).started_at == BEGAN

    def test_a_process_that_is_gone(self) -> None:
        """A run that is killed changes no file; that its process is gone is seen all the same."""
        self.liveness = Liveness.ALIVE
        self.find(**AT_WORK)
        self.clock.pump([1.0] * 60)
        assert self.book.read(OBSERVED).status is S.RUNNING
        self.liveness = Liveness.DEAD
        self.clock.pump([1.0] * int(DEAD_FOR))
        assert self.book.read(OBSERVED).status is S.FAILED
        assert self.types()[-1] == "session:failed"

    def test_a_deleted_record_comes_back_with_the_next_run(self) -> None:
        """Files of a deleted session are passed over until there is a run again."""
        over = {**AT_WORK, "pid": None, "progress": progress("council_approved")}
        self.find(**over)
        self.successResultOf(self.book.forget(self.book.get(OBSERVED)))
        self.begin()
        self.find(**over)
        self.clock.advance(HOLD)
        assert self.book.find(OBSERVED) is None
        self.change(pid=RunPid(17), wrapper=RunWrapper(17, LATER), progress=progress("running", 17))
        assert self.book.read(OBSERVED).status is S.RUNNING

    def test_a_directory_that_goes_ends_its_run(self) -> None:
        """When there is not a file of a run left it has ended; a new directory is a new session."""
        self.find(**AT_WORK)
        self.change(phase=None, pid=None, wrapper=None, progress=None)
        session = self.book.read(OBSERVED)
        assert (session.status, session.reason) == (S.STOPPED, "Its state directory is gone.")
        self.change(**{**AT_WORK, "phase": RunPhase("building", BEGAN)})
        assert [record.id for record in self.book if not record.status.is_final] != [OBSERVED]

    def test_a_directory_that_went_while_no_server_ran(self) -> None:
        """A run whose directory is found gone has ended too."""
        self.find(**AT_WORK)
        self.begin()
        told = self.runs.looked(HOME)
        assert told is not None
        self.successResultOf(told)
        assert self.book.read(OBSERVED).status is S.STOPPED

    def test_a_task_on_its_way_is_not_gone(self) -> None:
        """A task that is in no file for a moment stays; one that stays away goes."""
        self.find(**AT_WORK, queue=tasks_of(Shelf.PENDING, [{"id": "a"}])[0])
        self.change(queue=tasks_of(Shelf.PENDING, [])[0])
        assert set(self.book.get(OBSERVED).state.tasks) == {"a"}
        self.change(work=tasks_of(Shelf.IN_PROGRESS, [{"id": "a"}])[0])
        assert self.types()[2:] == ["task:created", "task:started"]
        self.change(work=tasks_of(Shelf.IN_PROGRESS, [])[0])
        self.clock.advance(HOLD)
        assert set(self.book.get(OBSERVED).state.tasks) == set()
        self.change(work=tasks_of(Shelf.IN_PROGRESS, [{"id": "a"}])[0])
        assert self.types()[2:].count("task:created") == 1

    def test_news_is_told_once(self) -> None:
        """What was told before a restart is not told again; what is news since is."""

        def news(mark: str) -> RunNotes:
            data = {"level": "warn", "message": mark, "source": "loki-mode"}
            return RunNotes([Note("gate tests", mark, "log:warn", data)])

        self.find(**AT_WORK, notes=news("1"))
        self.begin()
        self.find(**AT_WORK, notes=news("1"))
        self.change(notes=news("2"))
        assert self.types().count("log:warn") == 2

    def test_what_is_used_is_told_when_it_changes(self) -> None:
        """Tokens and cost are told once each time that they change; a cost if it is known."""
        unknown = RunCost(iteration=1, is_exact=True, tokens=5, cost=None)
        self.find(**AT_WORK, cost=unknown)
        for known in (unknown, attrs.evolve(unknown, cost=0.25)):
            for _ in range(2):
                self.change(cost=known)
                self.change(progress=progress("exited"))
        told = [fact.data for _, fact in self.log.events if fact.type == "metrics:update"]
        assert told == [{"tokensUsed": 5}, {"tokensUsed": 5, "cost": 0.25}]
        assert self.book.read(OBSERVED).usage.cost_origin is CostOrigin.REPORTED

    def test_what_was_asked_of_it_stays(self) -> None:
        """A request that has not come about is still the reason after more is known of the run."""
        self.find(**AT_WORK)
        record = self.book.get(OBSERVED)
        self.successResultOf(self.book.commit(record, requested(record.state, "Asked to pause.")))
        self.change(cost=RunCost(iteration=1, is_exact=True, tokens=5, cost=None))
        session = self.book.read(OBSERVED)
        assert session.usage.tokens_used == 5
        assert (session.reason, session.reason_code) == ("Asked to pause.", ReasonCode.REQUESTED)
        self.change(pid=None, progress=progress("council_approved"))
        self.clock.advance(END_QUIET)
        session = self.book.read(OBSERVED)
        assert (session.status, session.reason, session.reason_code) == (S.COMPLETED, None, None)

    def test_what_could_not_be_stored_is_told_again(self) -> None:
        """While the log cannot be written nothing is taken for told."""
        self.log.broken = True
        self.failureResultOf(
            self.tell([RunsBegin(), *self.sightings(**AT_WORK), RunsTold()]), StorageFailed
        )
        self.log.broken = False
        self.find(**AT_WORK)
        assert self.types() == ["session:started", "phase:started"]

    def test_what_time_brings_is_tried_again(self) -> None:
        """An end that only time shows is told as soon as the log can be written again."""
        self.liveness = Liveness.DEAD
        self.find(**AT_WORK)
        self.log.broken = True
        self.clock.pump([1.0] * 10)
        assert self.types()[-1] == "phase:started"
        self.log.broken = False
        self.clock.pump([1.0] * 10)
        assert self.types()[-1] == "session:failed"

    def test_a_file_that_is_not_understood_is_of_the_run(self) -> None:
        """A warning about a shared file is an event of the session that it speaks of."""
        self.find(**AT_WORK)
        self.successResultOf(self.tell([Unreadable(None, "queue/pending.json", "is torn")]))
        assert self.types()[-1] == "log:warn"

    def test_the_same_name_in_two_projects(self) -> None:
        """A copy of a project is another project: its session has another name."""
        self.find(**AT_WORK)
        begun = [RunsBegin(), *self.sightings(**AT_WORK), RunsTold()]
        self.successResultOf(self.observer.seen("/srv/copy", begun))
        directories = [record.state.session.project_dir for record in self.book]
        assert directories == [HOME, "/srv/copy"]


class OurRuns(RunCase):
    """Runs of sessions that this server started."""

    def test_a_run_of_ours_is_no_other_session(self) -> None:
        """What happens in a run of ours is told of our session, but for where it stands."""
        self.our_session()
        self.find(**AT_WORK, queue=tasks_of(Shelf.PENDING, [{"id": "a"}])[0])
        assert [record.id for record in self.book] == ["ours"]
        assert self.types("ours") == ["phase:started", "task:created"]
        self.change(progress=progress("paused"))
        assert self.book.read("ours").status is S.RUNNING

    def test_our_run_stays_ours(self) -> None:
        """A run of ours that is over is not found again as somebody else's, now or later."""
        record = self.our_session()
        self.find(**AT_WORK)
        record.agent = None
        state = record.state
        ended = Session(**{**_fields(state.session), "status": S.COMPLETED, "pid": None})
        self.successResultOf(self.book.commit(record, type(state)(ended)))
        over = {**AT_WORK, "pid": None, "progress": progress("council_approved")}
        for _ in range(2):
            self.find(**over)
            assert [record.id for record in self.book] == ["ours"]
            self.begin()

    def test_an_end_of_ours_settles_what_was_at_work(self) -> None:
        """When the agent has ended, nobody works on what its files still list."""
        record = self.our_session()
        self.find(**AT_WORK, queue=tasks_of(Shelf.IN_PROGRESS, [{"id": "a"}])[0])
        record.agent = None
        judged = self.runs.judge(HOME)
        assert judged is not None
        self.successResultOf(judged)
        assert str(record.state.tasks["a"].status) == "skipped"

    def test_a_run_before_ours_is_not_ours(self) -> None:
        """What an earlier run has left in the project is told of its own session."""
        self.our_session()
        before = {
            "phase": DIRECTORY,
            "wrapper": RunWrapper(9, EARLY),
            "progress": progress("council_approved", 9, EARLY),
        }
        self.find(**before)
        assert self.book.read(OBSERVED).status is S.COMPLETED
        assert self.types("ours") == []

    def test_the_only_run_there_can_be(self) -> None:
        """A run that comes up while one of ours is at work there is ours, whatever it says."""
        self.our_session(steered_by=Steering.FILES)
        elsewhere = {**AT_WORK, "pid": RunPid(99), "wrapper": RunWrapper(99, EARLY)}
        self.find(**elsewhere)
        assert [record.id for record in self.book] == ["ours"]
        self.change(pid=None)
        self.clock.advance(HOLD)
        assert [record.id for record in self.book] == ["ours"]

    def test_a_run_that_was_there_before_ours_stays_somebody_elses(self) -> None:
        """A run that is known as observed is not ours because ours is started beside it."""
        foreign = {"pid": RunPid(99), "wrapper": RunWrapper(99, EARLY)}
        self.find(**{**AT_WORK, **foreign, "progress": progress("running", 99)})
        self.our_session(steered_by=Steering.FILES)
        self.change(progress=progress("exited", 99))
        assert self.types("ours") == []
        assert self.book.read(OBSERVED).pid == 99

    def test_one_that_was_killed_in_the_second_in_which_ours_was_started(self) -> None:
        """What it has left is told of its own session, though both began at the same time."""
        began = iso_from_ms(START_MS)
        foreign = {"pid": RunPid(99), "wrapper": RunWrapper(99, began)}
        self.find(**{**AT_WORK, **foreign, "progress": progress("running", 99)})
        self.our_session(steered_by=Steering.FILES)
        self.change(pid=None)
        self.clock.advance(HOLD)
        assert self.types("ours") == []
        assert self.book.read(OBSERVED).status is S.STOPPED
        self.change(**AT_WORK, task=tasks_of(Shelf.PENDING, [{"id": "a"}])[0])
        assert "task:created" in self.types("ours")
        assert self.book.read(OBSERVED).status is S.STOPPED

    def test_one_that_came_up_when_ours_was_refused(self) -> None:
        """A run that was started in the same second by somebody else is theirs, by its process."""
        ours = self.our_session(steered_by=Steering.FILES)
        self.given = ""
        theirs = {"pid": RunPid(99), "wrapper": RunWrapper(99, BEGAN)}
        self.find(**{**AT_WORK, **theirs, "progress": progress("running", 99)})
        assert self.types("ours") == []
        assert self.book.read(OBSERVED).pid == 99
        failed = with_status(ours.state, S.FAILED)
        self.successResultOf(self.book.commit(ours, failed))
        self.change(progress=progress("council_approved", 99), pid=None)
        self.clock.advance(HOLD)
        assert self.book.read(OBSERVED).status is S.COMPLETED

    def test_one_of_another_session_by_its_process(self) -> None:
        """A run with the LOKI_SESSION_ID of somebody else's session is not ours."""
        self.our_session(steered_by=Steering.FILES)
        self.given = "theirs"
        self.find(**{**AT_WORK, "pid": RunPid(99), "wrapper": RunWrapper(99, BEGAN)})
        assert self.types("ours") == []

    def test_one_of_ours_by_its_process(self) -> None:
        """A run that was given our LOKI_SESSION_ID is ours, whatever its files say."""
        self.our_session()
        self.given = "ours"
        self.find(**{**AT_WORK, "pid": RunPid(99), "wrapper": RunWrapper(99, EARLY)})
        assert [record.id for record in self.book] == ["ours"]
        assert "phase:started" in self.types("ours")

    def test_logs_are_of_the_run_that_is_at_work(self) -> None:
        """Not of another session at work in the directory, nor of one that waits for its turn."""
        self.our_session()
        self.given = ""
        self.find(**{**AT_WORK, "pid": RunPid(99), "wrapper": RunWrapper(99, BEGAN)})
        line = LogLines(session_id=None, source="agent", lines=["hello"], cursors={})
        self.successResultOf(self.tell([line]))
        assert self.types("ours") == []
        assert "log:info" in self.types()

    def test_logs_are_of_nobody_who_waits(self) -> None:
        """A session that is queued has written nothing yet."""
        ours = self.our_session()
        queued = with_status(ours.state, S.QUEUED)
        self.successResultOf(self.book.commit(ours, queued))
        line = LogLines(session_id=None, source="agent", lines=["hello"], cursors={})
        self.successResultOf(self.tell([line]))
        assert self.types("ours") == []

    def test_a_named_run_of_ours(self) -> None:
        """A run with the LOKI_SESSION_ID of a session of ours is that session's."""
        self.our_session()
        scoped = [
            RunSighting("ours", "sessions/ours/loki.pid", RunPid(99)),
            RunSighting(None, "phase", DIRECTORY),
        ]
        self.successResultOf(self.tell([RunsBegin(), *scoped, RunsTold()]))
        assert [record.id for record in self.book] == ["ours"]
        assert self.types("ours") == ["phase:started"]


class PhasesInTheEventFile(RunCase):
    """Lines of ``events.jsonl`` that say that the phase has changed."""

    def hear(self, *words: object) -> None:
        lines = [json.dumps({"type": "phase_change", "data": {"to": word}}) for word in words]
        facts = facts_of_lines("events", lines)
        said = LogLines(session_id=None, source="events", lines=lines, cursors={}, facts=facts)
        self.successResultOf(self.tell([said]))

    def phases(self) -> list[str]:
        facts = [fact for _, fact in self.log.events]
        return [fact.data["phase"] for fact in facts if fact.type.startswith("phase:")]

    def test_they_count_where_no_file_names_a_phase(self) -> None:
        """Each batch of lines is one change at most, to the last phase in it."""
        self.find(**{**AT_WORK, "phase": RunPhase(None, EARLY)})
        self.hear("BUILDING", "Testing")
        self.hear("TESTING", 7, "")
        self.hear("DEPLOYMENT")
        assert self.phases() == ["testing", "deployment"]
        assert self.book.read(OBSERVED).current_phase == "deployment"

    def test_they_come_too_late_where_one_does(self) -> None:
        """Then they are no more than lines of a log."""
        self.find(**{**AT_WORK, "phase": RunPhase("deployment", EARLY)})
        self.hear("BUILDING")
        assert self.phases() == ["deployment"]
        assert self.types().count("log:debug") == 1

    def test_without_a_run_they_are_lines(self) -> None:
        """There is nobody whose phase it could be."""
        self.hear("BUILDING")
        assert self.phases() == []


class NamesOfRuns(RunCase):
    """Runs with names that cannot be ids of sessions, or are taken."""

    def test_each_is_a_session(self) -> None:
        """However alike two names are, each run is told once, and goes on as itself."""
        names = ["v1.0", "v1_0", "x" * 60, "x" * 61, OBSERVED, ".", "."]
        self.find(**AT_WORK)
        for pid, name in enumerate(names, 100):
            said = progress("council_approved" if pid % 2 else "failed", pid)
            path = f"sessions/{name}/autonomy-state.json"
            self.successResultOf(self.tell([RunSighting(name, path, said)]))
        for word in ("testing", "deployment"):
            self.clock.pump([0.1] * 40)
            self.change(phase=RunPhase(word, EARLY))
        assert len(list(self.book)) == len(set(names)) + 1
        for record in self.book:
            assert is_session_id(record.id)
            told = [each for each in self.types(record.id) if each.startswith("session:")]
            assert told[:1] == ["session:started"]
            assert len(told) == (1 if record.id == OBSERVED else 2)


class ManyRuns(RunCase):
    """A directory in which many runs have left what they wrote of themselves."""

    MANY = 300

    def left(self) -> list[Sighting]:
        """What they have left, the last of them first."""
        names = [f"run-{number}" for number in reversed(range(self.MANY))]
        return [
            RunSighting(name, f"sessions/{name}/autonomy-state.json", progress("failed", number))
            for number, name in enumerate(names, 1_000)
        ]

    def test_they_are_put_on_record_some_at_a_time(self) -> None:
        """No turn of the reactor is long, and in the end all are there."""
        self.successResultOf(self.tell([RunsBegin(), *self.left(), RunsTold()]))
        before = 0
        for _ in range(1_000):
            self.clock.advance(0.01)
            now = len(list(self.book))
            assert now - before <= 51
            before = now
        assert before == self.MANY

    def test_they_are_not_judged_again(self) -> None:
        """What is known of them costs nothing when a run goes on beside them."""
        self.successResultOf(self.tell([RunsBegin(), *self.left(), RunsTold()]))
        self.find_beside()
        self.clock.pump([0.01] * 1_000)
        self.looks = 0
        self.change(phase=RunPhase("testing", EARLY))
        assert self.looks <= 2
        assert self.book.read(OBSERVED).current_phase == "testing"

    def find_beside(self) -> None:
        self.change(**AT_WORK)


def _fields(session: Session) -> dict[str, object]:
    return {name: getattr(session, name) for name in session.__struct_fields__}


class SessionsOfProcesses(SynchronousTestCase):
    """For which session the process of a run was started, by real processes."""

    def given(self, directory: str, **variables: str) -> str | None:
        where = os.path.realpath(self.mktemp())
        os.mkdir(where)
        wait = [sys.executable, "-c", "print(flush=True); input()"]
        with subprocess.Popen(wait, cwd=where, env=variables, stdin=PIPE, stdout=PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            run = RunFiles().with_sightings([RunSighting(None, "loki.pid", RunPid(child.pid))])
            found = session_given_to(directory or where, run.run(None))
            child.communicate(b"\n")
            return found

    def test_what_it_was_given(self) -> None:
        """Its LOKI_SESSION_ID, or that it has none; nothing of who works elsewhere."""
        assert self.given("", LOKI_SESSION_ID="s") == "s"
        assert self.given("", PATH="/bin") == ""
        assert self.given("/", LOKI_SESSION_ID="s") is None

    def test_a_process_that_is_gone(self) -> None:
        """Nobody can tell any more."""
        with subprocess.Popen([sys.executable, "-c", ""]) as child:
            child.wait()
        run = RunFiles().with_sightings([RunSighting(None, "loki.pid", RunPid(child.pid))])
        assert session_given_to(os.getcwd(), run.run(None)) is None
        assert session_given_to(os.getcwd(), RunFiles().run(None)) is None


class LivenessOfProcesses(SynchronousTestCase):
    """Whether the process of a run is there, by real processes."""

    def run_of(self, pid: int, stamp: RunStamp | None, began_at: str | None = None) -> Run:
        return Run(
            scope=None,
            pid=pid,
            has_pid_file=True,
            stamp=stamp,
            progress=None,
            began_at=began_at,
            directory_began_at=None,
        )

    def test_a_process_is_known_by_its_start(self) -> None:
        """A process is alive by its own start, and dead by that of somebody else."""
        mine = procfs.stat_of(os.getpid())
        boot = procfs.boot_time()
        assert mine is not None
        assert boot is not None
        started = procfs.start_seconds(mine)
        own = RunStamp(os.getpid(), boot, int(started))
        other = RunStamp(os.getpid(), boot, int(started) - 100)
        foreign = RunStamp(os.getpid(), boot - 1000, int(started))
        assert liveness_of(self.run_of(os.getpid(), own)) is Liveness.ALIVE
        assert liveness_of(self.run_of(os.getpid(), other)) is Liveness.DEAD
        assert liveness_of(self.run_of(os.getpid(), foreign)) is Liveness.UNKNOWN
        assert liveness_of(self.run_of(os.getpid(), None)) is Liveness.UNKNOWN
        began = iso_from_ms(int(started * 1000) + 1000)
        assert liveness_of(self.run_of(os.getpid(), None, began)) is Liveness.ALIVE
        left = attrs.evolve(self.run_of(os.getpid(), own), has_pid_file=False)
        assert liveness_of(left) is Liveness.UNKNOWN

    def test_a_process_that_has_ended_is_dead(self) -> None:
        """A stamp of this boot without its process is of a run that is dead."""
        with subprocess.Popen([sys.executable, "-c", ""]) as child:
            child.wait()
        boot = procfs.boot_time()
        assert boot is not None
        stamp = RunStamp(child.pid, boot, boot + 10)
        assert liveness_of(self.run_of(child.pid, stamp)) is Liveness.DEAD
