"""The session service over fake rooms: orders, agents, state directories, restarts and failures."""

from __future__ import annotations

import os
import tempfile

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver, IProviders
from loki_twisted.agents.interface import AgentEnd, IAgent, IAgentListener, IAgentRunner, Stray
from loki_twisted.log.interface import IEventLog, IRecords
from loki_twisted.model.errors import (
    AgentNotStarted,
    Conflict,
    InvalidRequest,
    NotFound,
    SessionAlreadyRunning,
    SessionNotFound,
    StorageFailed,
    StorageFull,
    TooManySessions,
    Unavailable,
)
from loki_twisted.model.sessions import Origin, Session, SessionStatus, Steering
from loki_twisted.model.tasks import Task, TaskQuery, TaskStatus
from loki_twisted.model.wire import StartOptions, StartSession
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.interface import ISessions, SessionQuery
from loki_twisted.sessions.launching import Launcher
from loki_twisted.sessions.observing import StateObserver
from loki_twisted.sessions.policy import LaunchPolicy
from loki_twisted.sessions.run_observer import RunObserver
from loki_twisted.sessions.run_status import Liveness
from loki_twisted.sessions.service import SessionService
from loki_twisted.sessions.steering import Steerer
from loki_twisted.state.interface import (
    AgentSeen,
    AgentsSighting,
    CurrentSession,
    ISightingListener,
    IStateWatcher,
    LogLines,
    PhaseSighting,
    SessionGone,
    SessionSighting,
    TasksSighting,
    Unreadable,
)
from tests.fakes_sessions import (
    FakeAgent,
    FakeControl,
    FakeDriver,
    FakeProviders,
    FakeRunner,
    FakeWatcher,
    MemoryLog,
)

START_MS = 1_795_478_400_000


class World:
    """A session service with everything under it; `restart` is a new one on the same disk."""

    def __init__(self, home: str, max_sessions: int = 2) -> None:
        self.home = home
        self.max_sessions = max_sessions
        self.clock = Clock()
        self.log = MemoryLog()
        self.runner = FakeRunner()
        self.control = FakeControl()
        self.build()

    def build(self) -> None:
        def now_ms() -> int:
            return START_MS + int(self.clock.seconds() * 1000)

        self.watcher = FakeWatcher()
        self.book = SessionBook(self.log, self.log, now_ms)
        runs = RunObserver(self.clock, self.book, lambda run: Liveness.UNKNOWN)
        self.observer = StateObserver(self.book, runs)
        self.steerer = Steerer(
            reactor=self.clock, book=self.book, control=self.control, is_told=runs.tells
        )
        entropy = iter(range(1, 1000))
        self.launcher = Launcher(
            reactor=self.clock,
            book=self.book,
            records=self.log,
            providers=FakeProviders(),
            runner=self.runner,
            watcher=self.watcher,
            steerer=self.steerer,
            policy=LaunchPolicy(
                loki_dir=self.home,
                project_roots=[self.home],
                max_sessions=self.max_sessions,
            ),
            now_ms=now_ms,
            entropy=lambda count: next(entropy).to_bytes(count, "big"),
            runs=runs,
        )
        self.sessions = SessionService(self.book, self.launcher, self.log)

    def agent(self, session_id: str) -> FakeAgent:
        return self.runner.agents[session_id]

    def says(self, session_id: str, *lines: str) -> Deferred[object]:
        listener = self.agent(session_id).listener
        assert listener is not None
        return listener.lines_received("stdout", lines, {f"{session_id}/stdout": str(len(lines))})

    def ends(
        self,
        session_id: str,
        code: int | None,
        signal: int | None = None,
        problem: str | None = None,
    ) -> None:
        listener = self.agent(session_id).listener
        assert listener is not None
        listener.ended(AgentEnd(code, signal, problem))


class SessionCase(SynchronousTestCase):
    """A world of its own for each test."""

    max_sessions = 2

    def setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = os.path.realpath(home.name)
        for name in ("one", "two", "three"):
            os.mkdir(os.path.join(self.home, name))
        self.world = World(self.home, self.max_sessions)

    def wanted(self, directory: str = ".", **wanted: object) -> StartSession:
        return StartSession(project_dir=directory, **wanted)  # type: ignore[arg-type]

    def start(self, directory: str = ".", **wanted: object) -> Session:
        request = self.wanted(directory, **wanted)
        return self.successResultOf(self.world.sessions.start(request))

    def refused(self, done: Deferred[object], kind: type[Exception]) -> Exception:
        return self.failureResultOf(done, kind).value

    def status(self, session_id: str) -> SessionStatus:
        return self.world.sessions.get(session_id).status

    def restart(self) -> None:
        self.world.launcher.close()
        self.world.build()
        self.successResultOf(Deferred.fromCoroutine(self.world.book.load()))
        self.successResultOf(Deferred.fromCoroutine(self.world.launcher.adopt_all()))


class InterfaceTests(SessionCase):
    """The fakes and the service are what they claim to be."""

    def test_interfaces(self) -> None:
        """Each provides its interface."""
        session = self.start()
        agent = self.world.agent(session.id)
        verifyObject(ISessions, self.world.sessions)
        verifyObject(ISightingListener, self.world.observer)
        verifyObject(IAgentListener, agent.listener)
        verifyObject(IAgent, agent)
        verifyObject(IAgentRunner, self.world.runner)
        verifyObject(IProviders, FakeProviders())
        verifyObject(IDriver, FakeDriver())
        verifyObject(IStateWatcher, self.world.watcher)
        verifyObject(IEventLog, self.world.log)
        verifyObject(IRecords, self.world.log)


class StartTests(SessionCase):
    """Starting sessions."""

    def test_a_session_runs_and_is_told_once(self) -> None:
        """It is on record, running, with its agent's pid, and its start is one event."""
        session = self.start(provider="claude")
        assert session.status is SessionStatus.RUNNING
        assert (session.pid, session.project_dir) == (4711, self.home)
        assert self.world.log.rows[session.id] == session == self.world.sessions.get(session.id)
        assert self.world.log.types() == ["session:started"]
        assert self.world.watcher.watched == [self.home]
        assert session.id == f"session_{START_MS}_00000001"

    def test_one_session_for_a_directory(self) -> None:
        """A second one in the same directory is refused, and names the first."""
        first = self.start("one")
        error = self.refused(
            self.world.sessions.start(StartSession(project_dir="one")), SessionAlreadyRunning
        )
        assert error.details == {"sessionId": first.id}
        assert self.start("two").status is SessionStatus.RUNNING

    @pytest.mark.threat("T29")
    def test_as_many_as_may_be(self) -> None:
        """Beyond the limit a session is refused, and admitted when one has ended."""
        first = self.start("one")
        self.start("two")
        self.refused(self.world.sessions.start(StartSession(project_dir="three")), TooManySessions)
        self.world.ends(first.id, 0)
        self.start("three")

    @pytest.mark.promise("R26")
    @pytest.mark.threat("T29")
    def test_limits_hold_while_agents_are_being_started(self) -> None:
        """Many requests at the same moment do not slip through."""
        self.world.runner.automatic = False
        self.assertNoResult(self.world.sessions.start(StartSession(project_dir="one")))
        self.refused(
            self.world.sessions.start(StartSession(project_dir="one")), SessionAlreadyRunning
        )
        self.assertNoResult(self.world.sessions.start(StartSession(project_dir="two")))
        self.refused(self.world.sessions.start(StartSession(project_dir="three")), TooManySessions)

    @pytest.mark.promise("R26")
    def test_a_program_that_cannot_be_started(self) -> None:
        """Its session has failed, with the reason, and the directory is free again."""
        self.world.runner.error = AgentNotStarted("No such file.")
        self.refused(self.world.sessions.start(StartSession()), AgentNotStarted)
        (session,) = self.world.sessions.list(SessionQuery()).sessions
        assert (session.status, session.reason) == (SessionStatus.FAILED, "No such file.")
        assert self.world.log.types() == ["session:failed"]
        self.world.runner.error = None
        self.start()

    @pytest.mark.promise("R3", "R15")
    def test_nothing_starts_that_is_not_on_record(self) -> None:
        """When the log cannot be written no agent is spawned and no session is left."""
        self.world.log.broken = True
        self.refused(self.world.sessions.start(StartSession()), StorageFailed)
        assert self.world.runner.agents == {}
        assert self.world.sessions.list(SessionQuery()).total == 0
        self.world.log.broken = False
        self.start()

    def test_an_agent_whose_start_cannot_be_told_is_stopped(self) -> None:
        """When the log breaks between the record and the spawn, the agent is ended again."""
        self.world.runner.automatic = False
        started = self.world.sessions.start(StartSession())
        self.world.log.broken = True
        (session_id,) = self.world.runner.agents
        self.world.runner.starting[0].callback(self.world.agent(session_id))
        self.refused(started, StorageFailed)
        assert "stop" in self.world.agent(session_id).orders
        self.world.log.broken = False
        self.world.ends(session_id, None, 15)
        assert self.status(session_id) is SessionStatus.STOPPED

    def test_an_agent_that_could_not_be_taken_in_charge_is_ended(self) -> None:
        """Whatever goes wrong after the spawn, what may run is found again and stopped."""
        self.world.runner.automatic = False
        started = self.world.sessions.start(StartSession())
        (session_id,) = self.world.runner.agents
        self.world.runner.starting[0].errback(OSError(24, "Too many open files"))
        self.refused(started, AgentNotStarted)
        assert self.world.agent(session_id).orders == []
        self.world.clock.advance(1)
        assert "stop" in self.world.agent(session_id).orders
        self.world.ends(session_id, None, 15)
        assert self.status(session_id) is SessionStatus.STOPPED
        self.world.runner.automatic = True
        self.start()

    @pytest.mark.threat("T17")
    def test_paths_outside_the_roots(self) -> None:
        """Neither by dots nor by links nor absolutely can a request leave the roots."""
        os.symlink("/etc", os.path.join(self.home, "link"))
        for directory in ("..", "/", "link", "/etc", "a\0b"):
            error = self.refused(
                self.world.sessions.start(StartSession(project_dir=directory)), InvalidRequest
            )
            assert error.details["errors"][0]["path"] == "projectDir"
        for prd in ("../x", "/etc/passwd", "link/passwd", "one", "absent.md"):
            error = self.refused(
                self.world.sessions.start(StartSession(prd_path=prd)), InvalidRequest
            )
            assert error.details["errors"][0]["path"] == "prdPath"
        assert self.world.runner.agents == {}

    def test_a_prd_is_resolved_against_the_project(self) -> None:
        """Relative to the session's own directory, and absolute afterwards."""
        path = os.path.join(self.home, "one", "prd.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write("# PRD")
        assert self.start("one", prd_path="prd.md").prd_path == path

    def test_a_time_limit_stops_the_session(self) -> None:
        """When it is over the agent is told to stop, and the reason stays."""
        session = self.start(options=StartOptions(timeout=5000))
        self.world.clock.advance(4.9)
        assert "stop" not in self.world.agent(session.id).orders
        self.world.clock.advance(0.2)
        assert "stop" in self.world.agent(session.id).orders
        self.world.ends(session.id, None, 15)
        ended = self.world.sessions.get(session.id)
        assert ended.status is SessionStatus.STOPPED
        assert ended.reason == "It ran longer than its time limit."
        assert ended.exit_code == 143

    def test_a_server_that_closes_starts_nothing(self) -> None:
        """A start during the shutdown is refused."""
        self.world.launcher.close()
        self.refused(self.world.sessions.start(StartSession()), Unavailable)

    def test_nobody_is_started_without_room_on_the_disk(self) -> None:
        """A start is refused before anything is spawned; who waits has to wait on."""
        first = self.start("one")
        waiting = self.start("one", queue=True)
        self.world.launcher.lack = lambda: "There is no room."
        self.refused(self.world.sessions.start(self.wanted("two")), StorageFull)
        self.refused(self.world.sessions.start(self.wanted("two", queue=True)), StorageFull)
        self.world.ends(first.id, 0)
        assert self.status(waiting.id) is SessionStatus.QUEUED
        assert list(self.world.runner.agents) == [first.id]
        self.world.launcher.lack = lambda: None
        self.world.clock.advance(2)
        assert self.status(waiting.id) is SessionStatus.RUNNING


class QueueTests(SessionCase):
    """Waiting for a place."""

    def test_a_session_waits_for_its_turn(self) -> None:
        """It is queued with the reason, and starts by itself when there is a place."""
        first = self.start("one")
        waiting = self.start("one", queue=True)
        assert waiting.status is SessionStatus.QUEUED
        assert "already runs" in str(waiting.reason)
        self.world.ends(first.id, 0)
        assert self.status(waiting.id) is SessionStatus.RUNNING
        assert self.world.sessions.get(waiting.id).reason is None

    def test_first_come_first_served(self) -> None:
        """Equals start in the order in which they were asked for."""
        first = self.start("one")
        self.start("two")
        third = self.start("three", queue=True)
        self.world.clock.advance(1)
        fourth = self.start("one", queue=True)
        self.world.ends(first.id, 0)
        assert self.status(third.id) is SessionStatus.RUNNING
        assert self.status(fourth.id) is SessionStatus.QUEUED

    def test_waiting_does_not_count_towards_the_time_limit(self) -> None:
        """The limit of a session that waited begins when it starts."""
        first = self.start("one")
        waiting = self.start("one", queue=True, options=StartOptions(timeout=5000))
        self.world.clock.advance(60)
        self.world.ends(first.id, 0)
        agent = self.world.agent(waiting.id)
        self.world.clock.advance(4)
        assert "stop" not in agent.orders
        self.world.clock.advance(2)
        assert "stop" in agent.orders

    def test_a_queued_session_can_be_stopped(self) -> None:
        """It ends at once, and never starts."""
        first = self.start("one")
        waiting = self.start("one", queue=True)
        stopped = self.successResultOf(self.world.sessions.stop(waiting.id))
        assert stopped.status is SessionStatus.STOPPED
        self.world.ends(first.id, 0)
        assert waiting.id not in self.world.runner.agents

    def test_the_queue_survives_a_restart(self) -> None:
        """A session that waited is started by the next server, as it was asked for."""
        first = self.start("one", provider="codex")
        waiting = self.start("one", queue=True, prompt="Go on")
        self.restart()
        self.world.ends(first.id, 0)
        assert self.status(waiting.id) is SessionStatus.RUNNING


class OrderTests(SessionCase):
    """Stop, pause, resume, input and delete."""

    @pytest.mark.promise("R26")
    def test_a_start_that_nobody_waits_for_any_more(self) -> None:
        """It has failed, and that is on record when it can be; no agent was started."""
        self.world.log.automatic = False
        starting = self.world.sessions.start(self.wanted("one"))
        lost = self.world.sessions.start(self.wanted("two"))
        self.world.clock.advance(10)
        for each in (starting, lost):
            self.refused(each, StorageFailed)
        assert self.world.log.rows == {}
        self.world.log.automatic = True
        self.world.log.commit()
        ended = list(self.world.log.rows.values())
        assert [each.status for each in ended] == [SessionStatus.FAILED] * 2
        assert "nobody waited" in str(ended[0].reason)
        assert self.world.runner.agents == {}
        assert self.start("one").status is SessionStatus.RUNNING

    @pytest.mark.promise("R11")
    def test_a_stop_does_not_wait_for_a_disk_that_takes_long(self) -> None:
        """The agent is told at once, the answer comes soon, and the record when it can be made."""
        session = self.start()
        self.world.log.automatic = False
        stopping = self.world.sessions.stop(session.id)
        assert self.world.agent(session.id).orders[-1] == "stop"
        self.assertNoResult(stopping)
        self.world.clock.advance(2)
        assert self.successResultOf(stopping).status is SessionStatus.STOPPING
        assert self.status(session.id) is SessionStatus.RUNNING
        self.world.log.commit()
        assert self.status(session.id) is SessionStatus.STOPPING

    @pytest.mark.promise("R11")
    def test_stop_is_an_order_and_the_end_is_an_event(self) -> None:
        """It answers stopping at once; stopped is told when the agent has ended."""
        session = self.start()
        stopping = self.successResultOf(self.world.sessions.stop(session.id))
        assert stopping.status is SessionStatus.STOPPING
        assert self.world.log.types() == ["session:started"]
        again = self.successResultOf(self.world.sessions.stop(session.id))
        assert again.status is SessionStatus.STOPPING
        self.world.ends(session.id, None, 9)
        assert self.world.log.types() == ["session:started", "session:stopped"]
        ended = self.world.sessions.get(session.id)
        assert (ended.status, ended.exit_code, ended.pid) == (SessionStatus.STOPPED, 137, None)
        self.refused(self.world.sessions.stop(session.id), Conflict)

    @pytest.mark.promise("R3", "R15")
    def test_stop_works_while_the_log_does_not(self) -> None:
        """The agent is ended even if the order cannot be put on record."""
        session = self.start()
        self.world.log.broken = True
        stopping = self.successResultOf(self.world.sessions.stop(session.id))
        assert stopping.status is SessionStatus.STOPPING
        assert self.world.agent(session.id).orders[-1] == "stop"
        self.world.ends(session.id, None, 15)
        self.world.clock.advance(1)
        self.world.log.broken = False
        self.world.clock.advance(1)
        assert self.status(session.id) is SessionStatus.STOPPED
        assert self.world.log.types().count("session:stopped") == 1

    def test_stop_while_it_starts(self) -> None:
        """An agent that comes up after the order is stopped at once."""
        self.world.runner.automatic = False
        started = self.world.sessions.start(StartSession())
        (session_id,) = self.world.runner.agents
        self.successResultOf(self.world.sessions.stop(session_id))
        self.world.runner.starting[0].callback(self.world.agent(session_id))
        self.successResultOf(started)
        assert self.world.agent(session_id).orders == ["stop"]
        self.world.ends(session_id, None, 15)
        assert self.world.log.types() == ["session:started", "session:stopped"]

    def test_pause_and_resume(self) -> None:
        """The agent is halted and goes on, with an event for each."""
        session = self.start()
        agent = self.world.agent(session.id)
        agent.orders.clear()
        paused = self.successResultOf(self.world.sessions.pause(session.id))
        assert (paused.status, agent.orders) == (SessionStatus.PAUSED, ["pause"])
        self.refused(self.world.sessions.pause(session.id), Conflict)
        resumed = self.successResultOf(self.world.sessions.resume(session.id))
        assert (resumed.status, agent.orders) == (SessionStatus.RUNNING, ["pause", "resume"])
        self.refused(self.world.sessions.resume(session.id), Conflict)
        assert self.world.log.types()[1:] == ["session:paused", "session:resumed"]

    def test_input_reaches_the_agent_as_a_line(self) -> None:
        """What the driver makes of a text goes to standard input, in UTF-8."""
        session = self.start()
        self.successResultOf(self.world.sessions.give_input(session.id, "jä", None))
        assert self.world.agent(session.id).orders[-1] == "say jä\n".encode()

    def test_input_that_nobody_reads_is_a_conflict(self) -> None:
        """Neither an agent without input nor one that has ended is written to."""
        deaf = self.start("one", provider="codex")
        self.refused(self.world.sessions.give_input(deaf.id, "x", None), Conflict)
        ended = self.start("two")
        self.world.ends(ended.id, 0)
        self.refused(self.world.sessions.give_input(ended.id, "x", None), Conflict)

    def test_delete_removes_the_record(self) -> None:
        """A running session cannot be deleted; an ended one is really gone, its events are not."""
        session = self.start()
        self.refused(self.world.sessions.delete(session.id), Conflict)
        self.world.ends(session.id, 0)
        self.successResultOf(self.world.sessions.delete(session.id))
        assert self.world.log.rows == {}
        assert self.world.runner.forgotten == [session.id]
        with pytest.raises(SessionNotFound):
            self.world.sessions.get(session.id)
        self.refused(self.world.sessions.delete(session.id), SessionNotFound)
        assert self.world.log.types() == ["session:started", "session:completed"]

    def test_deleted_twice_at_once(self) -> None:
        """One is carried out; if it fails, the session can be deleted again."""
        session = self.start()
        self.world.ends(session.id, 0)
        log = self.world.log
        log.automatic = False
        for is_broken in (True, False):
            first = self.world.sessions.delete(session.id)
            error = self.refused(self.world.sessions.delete(session.id), Conflict)
            assert "being deleted" in str(error)
            log.broken = is_broken
            log.commit()
            if is_broken:
                self.refused(first, StorageFailed)
            else:
                self.successResultOf(first)
        assert log.rows == {}
        assert self.world.runner.forgotten == [session.id]

    def test_unknown_sessions(self) -> None:
        """Every order and question about a session that is not there says so."""
        sessions = self.world.sessions
        for done in (
            sessions.stop("x"),
            sessions.pause("x"),
            sessions.resume("x"),
            sessions.give_input("x", "y", None),
            sessions.delete("x"),
            sessions.tasks(TaskQuery(session_id="x")),
            sessions.task("x", "t"),
            sessions.task_counts("x"),
        ):
            self.refused(done, SessionNotFound)
        session = self.start()
        error = self.refused(sessions.task(session.id, "t"), NotFound)
        assert not isinstance(error, SessionNotFound)


class AgentTests(SessionCase):
    """What agents print, and how they end."""

    def test_lines_become_events_rows_and_cursors_together(self) -> None:
        """What was said, what it changed and how far we read are one batch."""
        session = self.start()
        self.successResultOf(
            self.world.says(session.id, "phase:started testing", "hello", "task:started t1")
        )
        assert self.world.log.types()[1:] == ["phase:started", "log:info", "task:started"]
        now = self.world.sessions.get(session.id)
        assert (now.current_phase, now.task_count) == ("testing", 1)
        assert self.world.log.task_rows[session.id, "t1"].status is TaskStatus.RUNNING
        assert self.world.log.kept[f"{session.id}/stdout"] == "3"

    def test_lines_that_could_not_be_stored_can_be_given_again(self) -> None:
        """A failed batch leaves no trace, so the same lines count once."""
        session = self.start()
        self.world.log.broken = True
        self.refused(self.world.says(session.id, "task:started t1"), StorageFailed)
        assert self.world.sessions.get(session.id).task_count == 0
        self.world.log.broken = False
        self.successResultOf(self.world.says(session.id, "task:started t1"))
        assert self.world.sessions.get(session.id).task_count == 1
        assert self.world.log.types().count("task:started") == 1

    def test_a_line_that_the_driver_cannot_bear(self) -> None:
        """It is a log line like any other, and those around it are told."""
        session = self.start()
        self.successResultOf(self.world.says(session.id, "before", "unbearable", "after"))
        said = [fact.data["message"] for _, fact in self.world.log.events[1:]]
        assert said == ["before", "unbearable", "after"]
        assert len(self.flushLoggedErrors(OverflowError)) == 1

    def test_many_facts_at_once(self) -> None:
        """Thousands of tasks and agents in one piece of output are counted right, and quickly."""
        session = self.start()
        lines = [f"task:{word} t{n}" for n in range(5000) for word in ("created", "completed")]
        self.successResultOf(self.world.says(session.id, *lines))
        now = self.world.sessions.get(session.id)
        assert (now.task_count, now.completed_tasks) == (5000, 5000)
        self.successResultOf(self.world.says(session.id, "task:started t7"))
        assert self.world.sessions.get(session.id).completed_tasks == 4999

    def test_endings(self) -> None:
        """Code 0 is completed; another code, a signal or a loss is failed, and says why."""
        for code, signal, problem, status, exit_code in (
            (0, None, None, SessionStatus.COMPLETED, 0),
            (3, None, None, SessionStatus.FAILED, 3),
            (None, 9, None, SessionStatus.FAILED, 137),
            (None, None, "It is lost.", SessionStatus.FAILED, None),
        ):
            session = self.start()
            self.world.ends(session.id, code, signal, problem)
            ended = self.world.sessions.get(session.id)
            assert (ended.status, ended.exit_code) == (status, exit_code)
            assert (ended.reason is None) == (status is SessionStatus.COMPLETED)
            last = self.world.log.events[-1]
            assert last[1].type == f"session:{status}"

    def test_readers_see_what_is_on_disk(self) -> None:
        """A change shows when it is committed, and decisions already count with it before."""
        session = self.start()
        self.world.log.automatic = False
        pausing = self.world.sessions.pause(session.id)
        assert self.status(session.id) is SessionStatus.RUNNING
        self.refused(self.world.sessions.pause(session.id), Conflict)
        self.world.log.commit()
        self.successResultOf(pausing)
        assert self.status(session.id) is SessionStatus.PAUSED


class RestartTests(SessionCase):
    """A new server on the data of an old one."""

    def test_agents_are_followed_from_where_they_were(self) -> None:
        """The next server goes on at the stored position, and knows the state."""
        session = self.start()
        self.successResultOf(self.world.says(session.id, "task:started t1"))
        self.restart()
        agent = self.world.agent(session.id)
        assert agent.cursors is not None
        assert agent.cursors[f"{session.id}/stdout"] == "1"
        assert self.world.sessions.get(session.id).task_count == 1
        self.world.ends(session.id, 0)
        assert self.world.log.types() == ["session:started", "task:started", "session:completed"]

    @pytest.mark.promise("R16")
    def test_an_agent_that_is_on_no_record(self) -> None:
        """An agent of which the log knows nothing is a session, with all that it has printed."""
        self.world.runner.agents["session_lost"] = FakeAgent()
        self.world.runner.unknown = [
            Stray("session_lost", "/project", True, "codex", Steering.SIGNALS)
        ]
        self.restart()
        session = self.world.sessions.get("session_lost")
        assert session.status is SessionStatus.RUNNING
        assert (session.project_dir, session.provider) == ("/project", "codex")
        assert session.accepts_input
        assert self.world.log.types() == ["session:started"]
        agent = self.world.agent("session_lost")
        assert "session_lost/stdout" not in (agent.cursors or {})
        self.restart()
        assert self.status("session_lost") is SessionStatus.RUNNING
        assert self.world.log.types() == ["session:started"]

    @pytest.mark.promise("R12")
    def test_an_agent_whose_files_are_away(self) -> None:
        """They are looked for for a minute: one that is found goes on, the other one has failed."""
        kept, lost = self.start("one"), self.start("two")
        away = [self.world.runner.agents.pop(each.id) for each in (kept, lost)]
        self.restart()
        assert len(self.flushLoggedErrors(FileNotFoundError)) == 2
        assert self.status(kept.id) is SessionStatus.RUNNING
        self.world.clock.pump([1] * 30)
        self.world.runner.agents[kept.id] = away[0]
        self.world.clock.pump([1] * 30)
        assert self.flushLoggedErrors(FileNotFoundError) == []
        assert self.status(lost.id) is SessionStatus.FAILED
        assert "removed while no server ran" in str(self.world.sessions.get(lost.id).reason)
        self.world.ends(kept.id, 7)
        assert self.world.sessions.get(kept.id).exit_code == 7

    def test_one_that_was_to_stop_before_it_was_spawned(self) -> None:
        """It has stopped when the next server comes: there is nothing to look for."""
        self.world.runner.automatic = False
        self.assertNoResult(self.world.sessions.start(StartSession()))
        (session_id,) = self.world.runner.agents
        self.successResultOf(self.world.sessions.stop(session_id))
        del self.world.runner.agents[session_id]
        self.restart()
        assert self.status(session_id) is SessionStatus.STOPPED

    def test_an_agent_that_was_never_spawned(self) -> None:
        """A session whose server died before the spawn has failed, and says so."""
        self.world.runner.automatic = False
        self.assertNoResult(self.world.sessions.start(StartSession()))
        (session_id,) = self.world.runner.agents
        del self.world.runner.agents[session_id]
        self.restart()
        ended = self.world.sessions.get(session_id)
        assert ended.status is SessionStatus.FAILED
        assert self.world.log.types() == ["session:failed"]

    def test_an_agent_that_was_just_spawned(self) -> None:
        """A session whose server died right after the spawn runs."""
        self.world.runner.automatic = False
        self.assertNoResult(self.world.sessions.start(StartSession()))
        self.restart()
        (session,) = self.world.sessions.list(SessionQuery()).sessions
        assert session.status is SessionStatus.RUNNING
        assert self.world.log.types() == ["session:started"]

    def test_orders_that_a_crash_cut_off_are_carried_out(self) -> None:
        """What was to be stopped or halted is, by the next server."""
        stopping, paused = self.start("one"), self.start("two")
        self.successResultOf(self.world.sessions.stop(stopping.id))
        self.successResultOf(self.world.sessions.pause(paused.id))
        for session in (stopping, paused):
            self.world.agent(session.id).orders.clear()
        self.restart()
        assert self.world.agent(stopping.id).orders == ["stop"]
        assert self.world.agent(paused.id).orders == ["pause"]

    def test_an_agent_whose_output_cannot_be_opened_is_followed_later(self) -> None:
        """It runs, that is told, and what it prints is read as soon as that can be done."""
        self.world.runner.unread = OSError(24, "Too many open files")
        session = self.start()
        assert session.status is SessionStatus.RUNNING
        self.world.clock.advance(1)
        assert len(self.flushLoggedErrors(OSError)) == 1
        agent = self.world.agent(session.id)
        assert agent.listener is None
        agent.unread = None
        self.world.clock.advance(1)
        self.world.says(session.id, "one")
        self.world.ends(session.id, 0)
        assert self.status(session.id) is SessionStatus.COMPLETED

    def test_an_agent_that_makes_trouble_holds_up_no_other(self) -> None:
        """One that cannot be read is tried again, which is told once; the others are followed."""
        one, two = self.start("one"), self.start("two")
        self.world.runner.trouble.add(one.id)
        for session in (one, two):
            self.world.agent(session.id).listener = None
        self.restart()
        assert len(self.flushLoggedErrors(OSError)) == 1
        assert self.world.agent(one.id).listener is None
        assert self.world.agent(two.id).listener is not None
        self.world.clock.pump([1, 1])
        assert self.flushLoggedErrors(OSError) == []
        self.world.runner.trouble.clear()
        self.world.clock.advance(1)
        assert self.world.agent(one.id).listener is not None

    def test_a_time_limit_goes_on(self) -> None:
        """The limit counts from the first start, not from the last server's."""
        session = self.start(options=StartOptions(timeout=5000))
        self.world.clock.advance(3)
        self.restart()
        self.world.agent(session.id).orders.clear()
        self.world.clock.advance(2.1)
        assert self.world.agent(session.id).orders == ["stop"]

    def test_what_its_files_say_is_told_after_its_start(self) -> None:
        """Also where the agent writes them before it is known to run; others do not wait."""
        started, told = self.seen_early()
        self.successResultOf(self.world.observer.seen(f"{self.home}/two", [SessionGone("x")]))
        (session_id,) = self.world.runner.agents
        self.world.runner.starting[0].callback(self.world.agent(session_id))
        self.successResultOf(started)
        self.successResultOf(told)
        assert self.world.log.types() == ["session:started", "agent:spawned"]

    def test_what_its_files_say_waits_for_no_start_that_fails(self) -> None:
        """If the agent does not come to run, what it has written is told behind that."""
        started, told = self.seen_early()
        self.world.runner.starting[0].errback(AgentNotStarted("It hangs."))
        self.refused(started, AgentNotStarted)
        self.successResultOf(told)
        assert self.world.log.types()[0] == "session:failed"

    def test_what_its_files_say_does_not_hold_up_the_end(self) -> None:
        """A server that ends waits for no agent in order to leave its files."""
        _, told = self.seen_early()
        self.world.launcher.close()
        self.successResultOf(told)

    def seen_early(self) -> tuple[Deferred[Session], Deferred[object]]:
        """See files of an agent that is not known to run: its start, and the telling of them."""
        self.world.runner.automatic = False
        started = self.world.sessions.start(StartSession(project_dir="one"))
        (session_id,) = self.world.runner.agents
        seen = AgentsSighting(session_id, [AgentSeen("a1", "coder")])
        told = self.world.observer.seen(f"{self.home}/one", [seen])
        self.assertNoResult(told)
        return started, told

    def test_agents_at_work_are_not_spawned_again(self) -> None:
        """Sub-agents that were told are known to the next server."""
        session = self.start()
        seen = AgentsSighting(session.id, [AgentSeen("a1", "coder")])
        self.successResultOf(self.world.observer.seen(self.home, [seen]))
        self.restart()
        self.successResultOf(self.world.observer.seen(self.home, [seen]))
        assert self.world.log.types().count("agent:spawned") == 1


class ObservedTests(SessionCase):
    """Sessions that only stand in a state directory, and what files say of ours."""

    def see(self, *sightings: object) -> None:
        self.successResultOf(
            self.world.observer.seen(self.home, sightings)  # type: ignore[arg-type]
        )

    def test_a_session_that_only_stands_there(self) -> None:
        """It is listed as observed, with what its files say."""
        self.see(
            SessionSighting(session_id="s1", status=SessionStatus.RUNNING, provider="codex"),
            PhaseSighting(session_id="s1", phase="testing", progress=0.5),
            TasksSighting(
                "s1", [Task(id="t", session_id="s1", title="T", status=TaskStatus.RUNNING)]
            ),
        )
        session = self.world.sessions.get("s1")
        assert session.origin is Origin.OBSERVED
        assert (session.provider, session.current_phase) == ("codex", "testing")
        assert self.world.log.types("s1") == [
            "session:started",
            "phase:started",
            "task:created",
            "task:started",
        ]
        self.see(SessionSighting(session_id="s1", status=SessionStatus.COMPLETED, exit_code=0))
        assert self.world.log.types("s1")[4:] == ["session:completed"]

    def test_the_same_again_is_nothing(self) -> None:
        """What was told before, also by an earlier server, is not told again."""
        sighting = SessionSighting(
            session_id="s1", status=SessionStatus.RUNNING, current_phase="testing"
        )
        self.see(sighting)
        told = self.world.log.types()
        assert told == ["session:started", "phase:started"]
        self.see(sighting)
        self.restart()
        self.see(sighting)
        assert self.world.log.types() == told

    def test_nobody_elses_session_is_ever_ordered_about(self) -> None:
        """Stop, pause, resume and input of an observed session are conflicts."""
        self.see(SessionSighting(session_id="s1", status=SessionStatus.RUNNING))
        sessions = self.world.sessions
        for done in (
            sessions.stop("s1"),
            sessions.pause("s1"),
            sessions.resume("s1"),
            sessions.give_input("s1", "x", None),
            sessions.delete("s1"),
        ):
            self.refused(done, Conflict)

    def test_files_do_not_overrule_us_about_our_own(self) -> None:
        """The status of a session of ours is never taken from a file."""
        session = self.start()
        self.see(
            SessionSighting(session_id=session.id, status=SessionStatus.COMPLETED, exit_code=0)
        )
        assert self.status(session.id) is SessionStatus.RUNNING

    def test_deleted_sessions_do_not_come_back_by_their_files(self) -> None:
        """Files of a deleted session are passed over until they are gone."""
        sighting = SessionSighting(session_id="s1", status=SessionStatus.COMPLETED)
        self.see(sighting)
        self.successResultOf(self.world.sessions.delete("s1"))
        self.see(sighting)
        self.restart()
        self.see(sighting)
        assert self.world.sessions.list(SessionQuery()).total == 0
        self.see(SessionGone("s1"))
        self.see(sighting)
        assert self.world.sessions.list(SessionQuery()).total == 1

    def test_logs_of_a_deleted_session_are_passed_over(self) -> None:
        """Its lines are not told again by the next server, which begins without its cursors."""
        self.see(SessionSighting(session_id="s1", status=SessionStatus.COMPLETED))
        lines = LogLines(session_id="s1", source="x", lines=["one"], cursors={"s1/log:x": "1"})
        self.see(lines)
        told = len(self.world.log.events)
        self.successResultOf(self.world.sessions.delete("s1"))
        self.restart()
        self.see(lines, Unreadable("s1", "sessions/s1/tasks.json", "is no JSON"))
        assert len(self.world.log.events) == told
        assert self.world.log.kept["s1/log:x"] == "1"

    def test_a_directory_that_is_gone_before_its_first_line_is_told(self) -> None:
        """Its session has ended behind its last lines; one that is there again has not."""
        lines = LogLines(session_id="s1", source="x", lines=["one"], cursors={})
        self.see(SessionGone("s1"), lines)
        assert self.status("s1") is SessionStatus.STOPPED
        assert self.world.log.types("s1") == ["log:info", "session:stopped"]
        self.see(SessionGone("s2"))
        self.see(SessionSighting(session_id="s2", status=SessionStatus.RUNNING))
        self.see(LogLines(session_id="s2", source="x", lines=["one"], cursors={}))
        assert self.status("s2") is SessionStatus.RUNNING

    def test_a_delete_that_could_not_be_stored_changes_nothing(self) -> None:
        """The session is still there, and its files are still believed."""
        self.see(SessionSighting(session_id="s1", status=SessionStatus.COMPLETED))
        self.world.log.broken = True
        self.refused(self.world.sessions.delete("s1"), StorageFailed)
        self.world.log.broken = False
        self.see(SessionSighting(session_id="s1", status=SessionStatus.RUNNING))
        assert self.status("s1") is SessionStatus.RUNNING

    def test_what_was_stored_of_a_portion_is_not_told_again(self) -> None:
        """When a portion fails in its middle, only the rest of it is told the next time."""
        log = self.world.log
        log.automatic = False
        both = [
            LogLines(session_id=None, source=name, lines=[name], cursors={f"state:{name}": "1"})
            for name in ("a", "b")
        ]
        first = self.world.observer.seen(self.home, both)
        kept = log._waiting.pop()
        log.commit()
        kept[1].errback(StorageFailed("The disk is gone."))
        self.failureResultOf(first, StorageFailed)
        log.automatic = True
        self.see(*both)
        assert [fact.data["message"] for _, fact in log.events] == ["a", "b"]

    def test_a_directory_that_vanishes(self) -> None:
        """A session at work whose directory is gone is over."""
        self.see(SessionSighting(session_id="s1", status=SessionStatus.RUNNING))
        self.see(SessionGone("s1"))
        assert self.status("s1") is SessionStatus.STOPPED
        assert self.world.log.types()[-1] == "session:stopped"

    def test_logs_find_their_session(self) -> None:
        """Lines go to the session of the file, else to the one that is named or at work."""
        lines = LogLines(session_id=None, source="agent", lines=["one"], cursors={"state:x": "1"})
        self.see(lines)
        assert self.world.log.events[-1][0] == ""
        session = self.start()
        self.see(lines)
        assert self.world.log.events[-1][0] == session.id
        self.see(CurrentSession("s9"), lines)
        assert self.world.log.events[-1][0] == "s9"
        assert self.world.log.kept["state:x"] == "1"
        self.see(Unreadable("s2", "sessions/s2/tasks.json", "is no JSON"))
        name, fact = self.world.log.events[-1]
        assert (name, fact.type) == ("s2", "log:warn")
        assert self.world.sessions.get("s2").origin is Origin.OBSERVED

    def test_long_lists_are_told_in_parts(self) -> None:
        """However many tasks and agents are new, all are told, and few at once."""
        log = self.world.log
        log.automatic = False
        tasks = [
            Task(id=f"t{n}", session_id="s1", title="T", status=TaskStatus.PENDING)
            for n in range(5_000)
        ]
        agents = [AgentSeen(f"a{n}", "coder") for n in range(1_000)]
        done = self.world.observer.seen(
            self.home, [TasksSighting("s1", tasks), AgentsSighting("s1", agents)]
        )
        largest = 0
        while log._waiting:
            before = len(log.events)
            log.commit()
            largest = max(largest, len(log.events) - before)
        self.successResultOf(done)
        assert largest <= 500
        assert log.types() == ["task:created"] * 5_000 + ["agent:spawned"] * 1_000
        log.automatic = True
        self.restart()
        self.see(TasksSighting("s1", tasks[1:]), AgentsSighting("s1", agents))
        session = self.world.sessions.get("s1")
        assert (session.task_count, session.agents.active) == (4_999, 1_000)
        assert len(log.task_rows) == 4_999
        assert len(log.events) == 6_000

    def test_a_long_list_that_fails_in_its_middle_is_told_to_its_end(self) -> None:
        """What could not be stored of it is told the next time, and nothing else."""
        log = self.world.log
        log.automatic = False
        tasks = [
            Task(id=f"t{n}", session_id="s1", title="T", status=TaskStatus.RUNNING)
            for n in range(1_000)
        ]
        done = self.world.observer.seen(self.home, [TasksSighting("s1", tasks)])
        log.commit()
        log.broken = True
        log.commit()
        self.failureResultOf(done, StorageFailed)
        log.broken, log.automatic = False, True
        self.see(TasksSighting("s1", tasks))
        assert log.types() == ["task:created", "task:started"] * 1_000

    def test_what_could_not_be_stored_is_told_again(self) -> None:
        """The watcher learns of the failure, and the same look later tells it once."""
        sighting = SessionSighting(session_id="s1", status=SessionStatus.RUNNING)
        self.world.log.broken = True
        self.failureResultOf(self.world.observer.seen(self.home, [sighting]))
        self.world.log.broken = False
        self.see(sighting)
        assert self.status("s1") is SessionStatus.RUNNING
        assert self.world.log.types() == ["session:started"]


class QuestionTests(SessionCase):
    """Lists and counts."""

    def test_lists_pages_and_counts(self) -> None:
        """Newest first, filtered, with the total before the page is cut."""
        first = self.start("one")
        self.world.clock.advance(1)
        second = self.start("two", provider="codex")
        sessions = self.world.sessions
        page = sessions.list(SessionQuery())
        assert [s.id for s in page.sessions] == [second.id, first.id]
        assert (page.total, page.running) == (2, 2)
        assert sessions.active_session() == second.id
        page = sessions.list(SessionQuery(limit=1, offset=1))
        assert ([s.id for s in page.sessions], page.total) == ([first.id], 2)
        assert sessions.list(SessionQuery(provider="codex")).total == 1
        self.world.ends(second.id, 0)
        running = frozenset({SessionStatus.RUNNING})
        assert sessions.list(SessionQuery(statuses=running)).total == 1
        assert sessions.counts() == {SessionStatus.RUNNING: 1, SessionStatus.COMPLETED: 1}
        assert sessions.active_session() == first.id


class LoopTests(SessionCase):
    """What fails once in what is done again and again."""

    def test_turns_are_given_again(self) -> None:
        """A round of turns that fails is followed by another."""
        first = self.start()
        self.start("one")
        waiting = self.start("two", queue=True)
        launcher = self.world.launcher
        lacks: list[Exception] = [OSError(24, "Too many open files")]

        def lack() -> str | None:
            if lacks:
                raise lacks.pop()
            return None

        launcher.lack = lambda: "No room."
        self.world.ends(first.id, 0)
        launcher.lack = lack
        self.world.clock.advance(2)
        assert len(self.flushLoggedErrors(OSError)) == 1
        self.world.clock.advance(2)
        assert self.status(waiting.id) is SessionStatus.RUNNING

    def test_an_end_is_told_whatever_was_left(self) -> None:
        """Where the files of a state directory cannot be read, it ends all the same."""
        session = self.start()
        self.patch(self.world.watcher, "settle", lambda _: fail(OSError(24, "Too many open files")))
        self.world.ends(session.id, 0)
        assert len(self.flushLoggedErrors(OSError)) == 1
        assert self.status(session.id) is SessionStatus.COMPLETED
