"""Steering runs of Loki Mode over fake rooms: orders, what becomes of them, restarts, failures."""

from __future__ import annotations

from typing import Any

import attrs

from loki_twisted.model.errors import Conflict, SessionAlreadyRunning, StorageFailed
from loki_twisted.model.runs import Note, RunNotes, RunPid
from loki_twisted.model.sessions import ReasonCode, Session, SessionStatus
from loki_twisted.sessions.requests import PAUSE_REQUESTED, RESUME_REQUESTED
from loki_twisted.sessions.steering import LOOK_SECONDS
from loki_twisted.state.interface import (
    InputFate,
    LiveRun,
    LogLines,
    Orders,
    RunEnding,
    RunsBegin,
    RunSighting,
    RunsTold,
    SessionSighting,
)
from tests.test_sessions_service import SessionCase

ELSEWHERE = "session_1795478400000_00000001"


class RunCase(SessionCase):
    """A session whose agent is a run of Loki Mode, past its start."""

    def begin(self, directory: str = ".", **run: Any) -> Session:
        session = self.start(directory, provider="loki")
        self.put(session.project_dir, LiveRun(pid=4711, name=session.id, **run))
        return session

    def put(self, place: str, *runs: LiveRun) -> None:
        self.world.control.runs[place] = list(runs)

    def says(self, status: str) -> None:
        for place, runs in self.world.control.runs.items():
            self.put(place, *(attrs.evolve(run, status=status) for run in runs))

    def orders(self, **orders: bool) -> None:
        self.world.control.orders_of[self.home] = Orders(**orders)

    def look(self) -> None:
        self.world.clock.advance(LOOK_SECONDS)

    def pause(self, session_id: str) -> Session:
        return self.successResultOf(self.world.sessions.pause(session_id))

    def resume(self, session_id: str) -> Session:
        return self.successResultOf(self.world.sessions.resume(session_id))

    def messages(self, kind: str) -> list[str]:
        return [fact.data["message"] for _, fact in self.world.log.events if fact.type == kind]

    def observe(self, place: str = ".", **run: Any) -> Session:
        """A session of somebody else, with a run that lives."""
        path = self.home if place == "." else f"{self.home}/{place}"
        sighting = SessionSighting(session_id=ELSEWHERE, status=SessionStatus.RUNNING)
        self.successResultOf(self.world.observer.seen(path, [sighting]))
        self.put(path, LiveRun(**{"pid": 99, "name": ELSEWHERE, **run}))
        return self.world.sessions.get(ELSEWHERE)


class OwnTests(RunCase):
    """Runs that this server started."""

    def test_orders_are_files_and_no_signals(self) -> None:
        """Pause and resume are asked for, and told when the run says so."""
        session = self.begin()
        asked = self.pause(session.id)
        assert (asked.status, asked.reason) == (SessionStatus.RUNNING, PAUSE_REQUESTED)
        self.says("paused")
        self.look()
        assert self.status(session.id) == SessionStatus.PAUSED
        asked = self.resume(session.id)
        assert (asked.status, asked.reason) == (SessionStatus.PAUSED, RESUME_REQUESTED)
        assert asked.reason_code is ReasonCode.REQUESTED
        assert not self.world.control.orders(self.home).pause
        self.says("running")
        self.look()
        assert self.status(session.id) == SessionStatus.RUNNING
        assert "pause" not in self.world.agent(session.id).orders
        assert self.world.log.types(session.id) == [
            "session:started",
            "session:paused",
            "session:resumed",
        ]

    def test_a_pause_is_no_silence(self) -> None:
        """A run has stalled ten minutes after it went on, and not at once."""
        session = self.begin(status="running")
        self.says("paused")
        self.look()
        for _ in range(9):
            self.world.clock.advance(100)
        self.says("running")
        self.look()
        self.world.clock.advance(500)
        assert "session:stalled" not in self.world.log.types(session.id)
        self.world.clock.advance(101)
        assert "session:stalled" in self.world.log.types(session.id)

    def test_a_pause_that_is_asked_for_elsewhere_of_a_stalled_run(self) -> None:
        """Its reason says so, as of any other run."""
        session = self.begin(status="running")
        self.world.clock.advance(601)
        assert self.world.sessions.get(session.id).reason_code is ReasonCode.STALLED
        self.orders(pause=True)
        self.look()
        told = self.world.sessions.get(session.id)
        assert (told.reason, told.reason_code) == (PAUSE_REQUESTED, ReasonCode.REQUESTED)

    def test_what_its_provider_prints_is_told_beside_as_debug(self) -> None:
        """The run prints it too, in words; each line of other logs is info."""
        session = self.begin()
        for source in ("agent", "background"):
            lines = LogLines(session_id=None, source=source, lines=["{}"], cursors={})
            self.successResultOf(self.world.observer.seen(self.home, [lines]))
        assert self.world.log.types(session.id)[1:] == ["log:debug", "log:info"]

    def test_a_run_that_is_not_found_is_asked_nothing(self) -> None:
        """Every order is a conflict that says why, and no file is written."""
        session = self.start(provider="loki")
        sessions = self.world.sessions
        for done in (sessions.pause(session.id), sessions.give_input(session.id, "x", None)):
            assert "alive" in str(self.refused(done, Conflict))
        assert self.world.control.orders_of == {}
        assert "cannot be" in str(self.refused(sessions.resume(session.id), Conflict))

    def test_an_input_and_what_became_of_it(self) -> None:
        """It goes with its context, is waited for over a restart, and is told once."""
        session = self.begin()
        assert session.accepts_input
        self.successResultOf(self.world.sessions.give_input(session.id, "Do it.", "Why"))
        assert self.world.control.given == [(self.home, "Do it.\n\nWhy")]
        self.look()
        self.restart()
        self.world.control.fate = (InputFate.TAKEN, "logs/human-input-1.md")
        self.look()
        # The state directory was not read yet, and may tell it.
        assert self.messages("log:info") == []
        self.successResultOf(self.world.observer.seen(self.home, [RunsBegin(), RunsTold()]))
        for _ in range(3):
            self.look()
        (told,) = self.messages("log:info")
        assert "logs/human-input-1.md" in told
        assert f"{session.id}/input" not in self.world.log.kept

    def test_an_input_that_its_file_tells_is_told_once(self) -> None:
        """Where the state directory is told, the file to which the run moved it says so."""
        session = self.begin()
        path = "logs/human-input-1.md"
        found = {"loki.pid": RunPid(4711), path: RunNotes([Note("i", "", "log:info", {})])}
        for fate in ((InputFate.TAKEN, path), (InputFate.GONE, None)):
            self.successResultOf(self.world.sessions.give_input(session.id, "Do it.", None))
            news = [RunSighting(None, name, fact) for name, fact in found.items()]
            told = self.world.observer.seen(self.home, [RunsBegin(), *news, RunsTold()])
            self.successResultOf(told)
            self.world.control.fate = fate
            self.look()
            assert f"{session.id}/input" not in self.world.log.kept
            self.world.control.fate = (InputFate.WAITING, None)
        logs = [kind for kind in self.world.log.types(session.id) if kind.startswith("log:")]
        assert logs == ["log:info", "log:warn"]

    def test_what_became_of_it_is_told_when_it_can_be_stored(self) -> None:
        """While the log cannot be written it waits."""
        session = self.begin()
        self.successResultOf(self.world.observer.seen(self.home, [RunsBegin(), RunsTold()]))
        self.successResultOf(self.world.sessions.give_input(session.id, "Do it.", None))
        self.world.control.fate = (InputFate.REJECTED, "logs/human-input-REJECTED-1.md")
        self.world.log.broken = True
        self.look()
        self.world.log.broken = False
        self.look()
        assert len(self.messages("log:warn")) == 1

    def test_an_input_that_nobody_read(self) -> None:
        """The end of the run says so, before the session's end."""
        session = self.begin()
        self.successResultOf(self.world.sessions.give_input(session.id, "Do it.", None))
        self.world.ends(session.id, 0)
        assert self.world.log.types(session.id)[-2:] == ["log:warn", "session:completed"]

    def test_a_pause_that_could_not_be_put_on_record(self) -> None:
        """The order fails; what the run does then is told when the log can be written."""
        session = self.begin()
        self.world.log.broken = True
        self.refused(self.world.sessions.pause(session.id), StorageFailed)
        self.says("paused")
        self.look()
        assert self.status(session.id) == SessionStatus.RUNNING
        self.world.log.broken = False
        self.look()
        assert self.status(session.id) == SessionStatus.PAUSED

    def test_a_paused_run_is_not_halted_by_the_next_server(self) -> None:
        """What it stands for is a file: a signal would halt what has to look at it."""
        session = self.begin()
        self.says("paused")
        self.look()
        self.restart()
        assert self.status(session.id) == SessionStatus.PAUSED
        assert "pause" not in self.world.agent(session.id).orders
        self.says("running")
        self.look()
        assert self.status(session.id) == SessionStatus.RUNNING

    def test_stop_is_a_signal(self) -> None:
        """Stop goes to the keeper, which finds everybody, and not through a file."""
        session = self.begin()
        self.successResultOf(self.world.sessions.stop(session.id))
        assert "stop" in self.world.agent(session.id).orders
        assert not self.world.control.orders(self.home).stop
        self.says("paused")
        self.look()
        self.world.ends(session.id, 143)
        assert self.status(session.id) == SessionStatus.STOPPED

    def test_the_end_is_what_the_run_wrote(self) -> None:
        """A stop by its file is no success, and what is left of it is removed first."""
        session = self.begin(script="/tmp/loki-run-a.sh")
        self.look()
        self.world.control.endings[session.id] = RunEnding(status="exited", outcome="stopped")
        self.world.ends(session.id, 0)
        ended = self.world.sessions.get(session.id)
        assert ended.status == SessionStatus.STOPPED
        assert ended.exit_code == 0
        assert self.world.control.cleared == [(session.id, 4711, "/tmp/loki-run-a.sh")]

    def test_what_is_to_be_removed_is_known_to_the_next_server(self) -> None:
        """The copy of its program is on record as soon as it was seen."""
        session = self.begin(script="/tmp/loki-run-a.sh")
        self.successResultOf(self.world.sessions.stop(session.id))
        self.restart()
        self.put(self.home)
        self.world.ends(session.id, None, signal=9)
        assert self.world.control.cleared == [(session.id, 4711, "/tmp/loki-run-a.sh")]

    def test_nothing_is_looked_at_for_nothing(self) -> None:
        """When its session has ended, and when the server ends, no timer is left."""
        session = self.begin()
        self.world.ends(session.id, 0)
        self.look()
        assert self.world.clock.getDelayedCalls() == []
        self.begin("one")
        self.world.launcher.close()
        assert self.world.clock.getDelayedCalls() == []

    def test_other_agents_are_steered_by_signals(self) -> None:
        """And a run of somebody else in their directory does not change that."""
        session = self.start(provider="claude")
        self.put(self.home, LiveRun(pid=99, name="s2"))
        assert self.pause(session.id).status == SessionStatus.PAUSED
        assert self.world.agent(session.id).orders[-1] == "pause"


class ObservedRunTests(RunCase):
    """Runs that somebody else started."""

    def test_it_is_steered_by_files(self) -> None:
        """Each order is a request, and the status stays what its files say."""
        self.observe()
        assert self.pause(ELSEWHERE).reason == PAUSE_REQUESTED
        assert self.world.control.orders(self.home).pause
        resumed = self.resume(ELSEWHERE)
        assert (resumed.reason, resumed.reason_code) == (None, None)
        stopped = self.successResultOf(self.world.sessions.stop(ELSEWHERE))
        assert stopped.status == SessionStatus.RUNNING
        assert "requested" in str(stopped.reason)
        assert self.world.control.orders(self.home).stop

    def test_a_request_that_is_dropped_is_told(self) -> None:
        """Also by a server that was started after it was made."""
        self.observe()
        self.pause(ELSEWHERE)
        self.look()
        self.restart()
        self.orders()
        self.look()
        assert len(self.messages("log:warn")) == 1
        assert self.world.sessions.get(ELSEWHERE).reason is None
        self.look()
        assert self.world.clock.getDelayedCalls() == []

    def test_what_became_of_an_input_is_told_by_the_next_server(self) -> None:
        """Also where nothing else was asked of the run, which is not looked after for anything."""
        self.observe()
        self.successResultOf(self.world.sessions.give_input(ELSEWHERE, "Do it.", None))
        self.restart()
        self.world.control.fate = (InputFate.REJECTED, "logs/human-input-1.md")
        self.successResultOf(self.world.observer.seen(self.home, [RunsBegin(), RunsTold()]))
        self.look()
        assert len(self.messages("log:warn")) == 1
        assert f"{ELSEWHERE}/input" not in self.world.log.kept

    def test_which_run_it_is(self) -> None:
        """By its id or its process, else the only one that has no id; never one of ours."""
        self.observe("one", name=None)
        self.pause(ELSEWHERE)
        self.put(f"{self.home}/one", LiveRun(pid=98), LiveRun(pid=99))
        self.refused(self.world.sessions.stop(ELSEWHERE), Conflict)
        self.put(f"{self.home}/one", LiveRun(pid=98, name="another"))
        self.refused(self.world.sessions.stop(ELSEWHERE), Conflict)
        self.put(f"{self.home}/one", LiveRun(pid=98, name="another"), LiveRun(pid=99))
        self.successResultOf(self.world.sessions.stop(ELSEWHERE))

    def test_an_input_that_nobody_read(self) -> None:
        """When its files say that it has ended, that is told."""
        self.observe()
        self.successResultOf(self.world.sessions.give_input(ELSEWHERE, "x", None))
        ended = SessionSighting(session_id=ELSEWHERE, status=SessionStatus.COMPLETED)
        self.successResultOf(self.world.observer.seen(self.home, [ended]))
        self.look()
        assert "before it read" in self.messages("log:warn")[0]

    def test_an_input_that_was_taken_last(self) -> None:
        """What became of it is looked at once more when the run has ended, ours or not."""
        self.observe("one")
        self.successResultOf(self.world.sessions.give_input(ELSEWHERE, "x", None))
        self.world.control.fate = (InputFate.TAKEN, "logs/human-input-1.md")
        ended = SessionSighting(session_id=ELSEWHERE, status=SessionStatus.COMPLETED)
        self.successResultOf(self.world.observer.seen(f"{self.home}/one", [ended]))
        self.look()
        session = self.begin("two")
        self.successResultOf(self.world.sessions.give_input(session.id, "x", None))
        self.world.ends(session.id, 0)
        assert len(self.messages("log:info")) == 2
        assert self.messages("log:warn") == []

    def test_nothing_is_started_beside_it(self) -> None:
        """It is named where it is known; else its process is; what may wait waits for its end."""
        self.observe("one")
        error = self.refused(self.world.sessions.start(self.wanted("one")), SessionAlreadyRunning)
        assert isinstance(error, SessionAlreadyRunning)
        assert error.details == {"sessionId": ELSEWHERE, "pid": 99}
        self.put(f"{self.home}/two", LiveRun(pid=98))
        error = self.refused(self.world.sessions.start(self.wanted("two")), SessionAlreadyRunning)
        assert isinstance(error, SessionAlreadyRunning)
        assert error.details == {"pid": 98}
        waiting = self.start("two", queue=True)
        assert waiting.status == SessionStatus.QUEUED
        self.world.clock.advance(2)
        assert self.status(waiting.id) == SessionStatus.QUEUED
        self.put(f"{self.home}/two")
        self.world.clock.advance(2)
        assert self.status(waiting.id) == SessionStatus.RUNNING

    def test_secrets_in_its_logs(self) -> None:
        """Lines of log files are redacted as those of agents are."""
        lines = LogLines(session_id=ELSEWHERE, source="agent", lines=["A_KEY=abc"], cursors={})
        self.successResultOf(self.world.observer.seen(self.home, [lines]))
        assert self.messages("log:info") == ["A_KEY=***"]
