"""Tests of watching state directories: what files say is told, in order, and once."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer
from zope.interface.verify import verifyObject

from loki_twisted.kernel.inotify import Inotify
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import TaskStatus
from loki_twisted.state import directory as directory_module
from loki_twisted.state import flaws as flaws_module
from loki_twisted.state import tree as tree_module
from loki_twisted.state import watcher as watcher_module
from loki_twisted.state.interface import (
    AgentsSighting,
    CurrentSession,
    IStateWatcher,
    LogLines,
    PhaseSighting,
    SessionGone,
    SessionSighting,
    TasksSighting,
    Unreadable,
)
from loki_twisted.state.reading import run_errand
from loki_twisted.state.trails import Trails
from loki_twisted.state.watcher import StateWatcher
from tests.fakes_state import (
    Listener,
    logged_failures,
    nothing_fails,
    open_below,
    refusing,
    turn,
    until,
)


class Project:
    """A project with a state directory, and a server that watches it."""

    def __init__(self, base: Path) -> None:
        self.dir = base
        self.state = base / ".loki"
        self.listener = Listener()
        self.watcher = self.make()

    def make(self, **more: Any) -> StateWatcher:
        """Another watcher of the same listener."""
        return StateWatcher(reactor, self.listener, **more)

    def watch(self) -> Deferred[None]:
        """Watch it with what is stored."""
        return self.watcher.watch(str(self.dir), dict(self.listener.cursors))

    async def restart(self) -> None:
        """End the server, and start another one."""
        await self.watcher.stop()
        self.watcher = self.make()
        await self.watch()

    def settle(self) -> Deferred[None]:
        """Wait until what is there has been told."""
        return self.watcher.settle(str(self.dir))

    def write(self, path: str, value: Any, *, in_place: bool = False) -> None:
        """Write a file as text, or as JSON; by renaming, or as careless programs do."""
        target = self.state / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = value if isinstance(value, str) else json.dumps(value)
        if in_place:
            target.write_text(text)
        else:
            target.with_suffix(".tmp").write_text(text)
            os.replace(target.with_suffix(".tmp"), target)

    def append(self, path: str, text: str | bytes) -> None:
        """Append to a file."""
        (self.state / path).parent.mkdir(parents=True, exist_ok=True)
        with open(self.state / path, "ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def session(self, name: str = "s1", **fields: Any) -> None:
        """Write all files of a session."""
        self.write(f"sessions/{name}/tasks.json", {"tasks": [{"id": "t1", "title": "Do"}]})
        self.write(f"sessions/{name}/agents.json", {"active": [{"id": "a1", "type": "dev"}]})
        self.write(f"sessions/{name}/phase.json", {"current": "testing"})
        self.write(f"sessions/{name}/session.json", {"status": "running", **fields})


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project that nobody watches yet; afterwards nothing of its watcher is left."""
    calls = set(reactor.getDelayedCalls())
    project = Project(tmp_path)
    yield project
    project.listener.release()
    pytest_twisted.blockon(project.watcher.stop())
    assert [reader for reader in reactor.getReaders() if isinstance(reader, Inotify)] == []
    assert [call for call in reactor.getDelayedCalls() if call not in calls] == []
    assert open_below(tmp_path) == []


@pytest.fixture
def calm() -> Iterator[None]:
    """Nothing fails."""
    with nothing_fails():
        yield


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short."""
    monkeypatch.setattr(flaws_module, "PATIENCE", 0.1)
    monkeypatch.setattr(flaws_module, "RETRY", 0.01)
    monkeypatch.setattr(flaws_module, "LATER_RETRY", 0.05)
    monkeypatch.setattr(directory_module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(tree_module, "POLL_PERIOD", 0.02)


def test_it_is_a_state_watcher(project: Project) -> None:
    """The watcher does what the session service asks of one."""
    verifyObject(IStateWatcher, project.watcher)


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_what_is_there_at_first_is_told(project: Project) -> None:
    """All files are told once, sessions before what belongs to them, before it is ready."""
    project.session("s1")
    project.session("s2", provider="codex")
    project.write("state.json", {"currentSession": "s2"})
    await project.watch()
    told = project.listener.told
    assert [type(sighting) for sighting in told] == [
        *([SessionSighting] * 2),
        *([PhaseSighting] * 2),
        *([TasksSighting] * 2),
        *([AgentsSighting] * 2),
        CurrentSession,
    ]
    assert {said.session_id: said.provider for said in project.listener.of(SessionSighting)} == {
        "s1": None,
        "s2": "codex",
    }
    assert project.listener.projects == {str(project.dir)}


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_changes_are_told(project: Project) -> None:
    """Each changed file is told as it is now, and no other file."""
    project.session()
    await project.watch()
    project.listener.told.clear()
    project.write("sessions/s1/session.json", {"status": "completed"})
    await until(lambda: project.listener.told)
    project.write("sessions/s1/tasks.json", [{"id": "t1", "title": "Do", "status": "done"}])
    await until(lambda: len(project.listener.told) == 2)
    session, tasks = project.listener.told
    assert isinstance(session, SessionSighting)
    assert session.status is SessionStatus.COMPLETED
    assert isinstance(tasks, TasksSighting)
    assert tasks.tasks[0].status is TaskStatus.COMPLETED


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_state_directory_may_come_later(project: Project) -> None:
    """A project without a state directory is ready at once, and is told when it gets one."""
    await project.watch()
    assert project.listener.told == []
    project.session()
    project.append("logs/agent.log", "first\n")
    await until(lambda: len(project.listener.told) == 5)
    assert project.listener.lines() == ["first"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_the_same_content_is_not_told_again(project: Project) -> None:
    """A file that is written anew with what it had says nothing new."""
    project.session()
    await project.watch()
    project.listener.told.clear()
    project.session()
    project.session(provider="new")
    await project.settle()
    assert [type(sighting) for sighting in project.listener.told] == [SessionSighting]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_session_that_is_gone_is_told(project: Project) -> None:
    """When a session's directory vanishes that is told, and the same session may come back."""
    for name in ("s1", "s2", "not-deep"):
        project.session(name)
    await project.watch()
    project.listener.told.clear()
    shutil.rmtree(project.state / "sessions/s1")
    await until(lambda: project.listener.told)
    assert project.listener.told == [SessionGone("s1")]
    project.session("s1")
    await until(lambda: len(project.listener.told) == 5)
    shutil.rmtree(project.state)
    await until(lambda: len(project.listener.of(SessionGone)) == 4)
    assert {gone.session_id for gone in project.listener.of(SessionGone)[1:]} == {
        "s1",
        "s2",
        "not-deep",
    }


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_session_that_went_while_no_server_ran_is_told(project: Project) -> None:
    """The next server tells which sessions are gone, once, and not of those that are there."""
    for name in ("s1", "s2", "s3"):
        project.session(name)
    await project.watch()
    shutil.rmtree(project.state / "sessions/s1")
    await until(lambda: project.listener.of(SessionGone))
    await project.watcher.stop()
    shutil.rmtree(project.state / "sessions/s2")
    (project.state / "sessions/s3/session.json").unlink()
    for _ in range(2):
        project.watcher = project.make()
        await project.watch()
        await project.watcher.stop()
    assert project.listener.of(SessionGone) == [SessionGone("s1"), SessionGone("s2")]
    assert [name for name in project.listener.cursors if "/directory:" in name] == [
        f"s3/directory:{project.dir}"
    ]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_session_of_logs_alone_that_went_while_no_server_ran_is_told(
    project: Project,
) -> None:
    """A session that is listed because it has a log is missed by the next server too."""
    await project.watch()
    project.append("sessions/s1/agent.log", "one\n")
    await project.settle()
    await project.watcher.stop()
    shutil.rmtree(project.state / "sessions/s1")
    project.watcher = project.make()
    await project.watch()
    assert project.listener.of(SessionGone) == [SessionGone("s1")]


@pytest.mark.promise("R18")
@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_session_that_is_replaced_is_told_anew(project: Project) -> None:
    """Another directory in a session's place means that session is gone, and then what it says."""
    project.session("s1")
    project.session("s2", provider="x")
    await project.watch()
    project.listener.told.clear()
    project.listener.holding = []  # so that all of it is seen at once
    (project.state / "sessions/s1").rename(project.dir / "away")
    (project.state / "sessions/s2").rename(project.state / "sessions/s1")
    settled = project.settle()
    await until(lambda: project.listener.holding)
    project.listener.release()
    await settled
    assert {said for said in project.listener.told if isinstance(said, SessionGone)} == {
        SessionGone("s1"),
        SessionGone("s2"),
    }
    gone_last = max(i for i, s in enumerate(project.listener.told) if isinstance(s, SessionGone))
    sessions = [s for s in project.listener.told[gone_last:] if isinstance(s, SessionSighting)]
    assert [(said.session_id, said.provider) for said in sessions] == [("s1", "x")]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_session_replaced_while_it_is_told_is_told_anew(project: Project) -> None:
    """A session deleted and made again, just as before, while it is being told, is told again."""
    await project.watch()
    project.listener.holding = []
    project.session()
    await until(lambda: project.listener.holding)
    (project.state / "sessions/s1").rename(project.dir / "away")
    project.session()
    await turn(0.05)
    project.listener.release()
    await project.settle()
    assert [type(sighting) for sighting in project.listener.told] == [
        *(SessionSighting, PhaseSighting, TasksSighting, AgentsSighting),
        SessionGone,
        *(SessionSighting, PhaseSighting, TasksSighting, AgentsSighting),
    ]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_only_a_sessions_own_directory_is_the_session(project: Project) -> None:
    """When a directory in a session's directory vanishes, the session is still there."""
    project.session()
    project.write("sessions/s1/artifacts/deep/file", "x")
    await project.watch()
    project.listener.told.clear()
    shutil.rmtree(project.state / "sessions/s1/artifacts")
    await project.settle()
    assert project.listener.told == []


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_settling_waits_for_the_newest(project: Project) -> None:
    """A file that has changed while it was told must be told again before all is settled."""
    project.session()
    await project.watch()
    project.listener.holding = []
    project.write("sessions/s1/phase.json", {"current": "old"})
    await until(lambda: project.listener.holding)
    project.write("sessions/s1/phase.json", {"current": "new"})
    over: list[None] = []
    settled = project.settle().addCallback(over.append)
    await turn(0.05)
    project.listener.holding.pop()()
    await until(lambda: project.listener.holding)
    assert over == []
    project.listener.release()
    await settled
    phases = [said.phase for said in project.listener.of(PhaseSighting)]
    assert phases == ["testing", "old", "new"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_settling_does_not_wait_for_what_was_taken(project: Project) -> None:
    """Who begins to wait in the middle of a batch waits for the rest of it, and no longer."""
    await project.watch()
    project.listener.holding = []
    project.session()
    project.append("logs/a.log", "line\n")
    await until(lambda: project.listener.holding)
    project.listener.holding.pop()()
    await until(lambda: project.listener.holding)
    assert [type(said) for said in project.listener.batches[-1]] == [LogLines]
    over: list[None] = []
    settled = project.settle().addCallback(over.append)
    await turn(0.05)
    assert over == []
    project.listener.release()
    await settled


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_file_that_is_again_what_it_was_is_told_again(project: Project) -> None:
    """What a file says while something else is being told of it is not taken for known."""
    project.write("sessions/s1/phase.json", {"current": "testing"})
    await project.watch()
    project.listener.holding = []
    project.write("sessions/s1/phase.json", {"current": "planning"})
    await until(lambda: project.listener.holding)
    project.write("sessions/s1/phase.json", {"current": "testing"})
    settled = project.settle()
    await turn(0.05)
    project.listener.release()
    await settled
    phases = [said.phase for said in project.listener.of(PhaseSighting)]
    assert phases == ["testing", "planning", "testing"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_settling_does_not_wait_for_what_is_gone(project: Project) -> None:
    """Who waits for files to be told does not wait for one that is removed meanwhile."""
    project.session()
    await project.watch()
    project.listener.holding = []
    project.write("sessions/s1/session.json", {"status": "paused"})
    await until(lambda: project.listener.holding)
    project.write("sessions/s1/phase.json", {"current": "other"})
    over: list[None] = []
    settled = project.settle().addCallback(over.append)
    await turn(0.05)
    os.unlink(project.state / "sessions/s1/phase.json")
    await turn(0.05)
    assert over == []
    project.listener.release()
    await settled
    assert [said.phase for said in project.listener.of(PhaseSighting)] == ["testing"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_file_that_is_removed_says_nothing(project: Project) -> None:
    """A removed file is not told; when it comes back it is."""
    project.session()
    await project.watch()
    project.listener.told.clear()
    os.unlink(project.state / "sessions/s1/agents.json")
    await project.settle()
    assert project.listener.told == []
    project.session()
    await until(lambda: project.listener.told)
    assert [type(sighting) for sighting in project.listener.told] == [AgentsSighting]


@pytest.mark.usefixtures("calm", "hasty")
@pytest_twisted.ensureDeferred
async def test_a_torn_file_that_heals_is_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file caught half-written keeps what it said, and is told when it is whole."""
    monkeypatch.setattr(flaws_module, "PATIENCE", 60.0)  # whoever writes it may be held up
    project.session()
    await project.watch()
    project.listener.told.clear()
    whole = json.dumps({"status": "paused"})
    for length in range(0, len(whole), 3):
        project.write("sessions/s1/session.json", whole[:length], in_place=True)
        await turn(0.012)
        if length % 2:  # and right in between
            project.write("sessions/s1/session.json", {"status": "running"}, in_place=True)
            await project.settle()
    project.write("sessions/s1/session.json", whole, in_place=True)
    await until(
        lambda: SessionStatus.PAUSED in [s.status for s in project.listener.of(SessionSighting)]
    )
    assert project.listener.of(Unreadable) == []


@pytest.mark.usefixtures("calm", "hasty")
@pytest_twisted.ensureDeferred
async def test_a_torn_file_is_looked_at_again_without_notice(project: Project) -> None:
    """Even if no notice comes when a torn file is whole, that is found."""
    project.session()
    project.write("sessions/s1/phase.json", "{")
    await project.watch()
    watcher = project.watcher._directories[str(project.dir)]._tree
    watcher._survey.close()  # no notice will come
    project.write("sessions/s1/phase.json", {"current": "healed"})
    await until(lambda: project.listener.of(PhaseSighting))
    assert project.listener.of(PhaseSighting)[0].phase == "healed"


@pytest.mark.usefixtures("calm", "hasty")
@pytest_twisted.ensureDeferred
async def test_each_unreadable_content_is_told_once(project: Project) -> None:
    """A file that stays unreadable is told of once for each content, whatever else happens."""
    project.session()
    await project.watch()
    for content, count in (("{", 1), ("", 2), ("{", 2), ("[]", 3), ("", 3)):
        project.write("sessions/s1/session.json", content, in_place=True)
        await until(lambda count=count: len(project.listener.of(Unreadable)) >= count)
        await turn(0.25)
        await project.settle()
    told = project.listener.of(Unreadable)
    assert [(said.session_id, said.path) for said in told] == [
        ("s1", "sessions/s1/session.json")
    ] * 3
    assert [said.reason.split(":")[0] for said in told] == [
        "is no valid JSON",
        "is empty",
        "holds no JSON object",
    ]


@pytest.mark.promise("R17")
@pytest.mark.usefixtures("calm", "hasty")
@pytest_twisted.ensureDeferred
async def test_hostile_files_hide_nothing(project: Project) -> None:
    """Pipes, links, huge and deep files are told of once each, and all good files are read."""
    for number in range(8):
        project.session(f"s{number}")
    sessions = project.state / "sessions"
    for name in ("s0", "s1", "s2", "s3", "s4", "s5", "s6"):
        os.unlink(sessions / name / "tasks.json")
    os.mkfifo(sessions / "s0/tasks.json")
    (sessions / "s1/tasks.json").symlink_to("/etc/shadow")
    (sessions / "s2/tasks.json").mkdir()
    with open(sessions / "s3/tasks.json", "wb") as sparse:
        sparse.truncate(100_000_000)
    (sessions / "s4/tasks.json").write_text("[" * 100_000)
    (sessions / "s5/tasks.json").write_bytes(b"\xff\xfe")
    (sessions / "s6/tasks.json").symlink_to("tasks.json")
    await project.watch()
    await until(lambda: len(project.listener.of(Unreadable)) == 6)
    await turn(0.2)
    await project.settle()
    assert len(project.listener.of(SessionSighting)) == 8
    assert [said.session_id for said in project.listener.of(TasksSighting)] == ["s7"]
    told = {said.session_id: said.reason for said in project.listener.of(Unreadable)}
    assert len(project.listener.of(Unreadable)) == len(told) == 6
    assert told["s0"] == told["s1"] == told["s6"] == "is not a regular file"
    assert told["s3"] == "is larger than 4194304 bytes, so it is not read"
    assert told["s4"] == "is nested too deeply"


@pytest.mark.usefixtures("hasty")
@pytest_twisted.ensureDeferred
async def test_what_was_not_taken_is_told_again(project: Project) -> None:
    """When the listener fails all of it is told again, until it is taken; that is logged once."""
    project.session()
    project.append("sessions/s1/agent.log", "old\n")
    with logged_failures() as failures:
        project.listener.refusals = 3
        await project.watch()
        assert len(project.listener.batches) == 5  # the fifth has only cursors
        assert len(project.listener.told) == 4
        project.listener.refusals = 2
        project.append("sessions/s1/agent.log", "new\n")
        await until(project.listener.lines)
        shutil.rmtree(project.state / "sessions/s1")
        project.listener.refusals = 2
        await until(lambda: project.listener.of(SessionGone))
    assert project.listener.lines() == ["new"]
    assert len(project.listener.told) == 6
    assert len(failures) == 3


@pytest.mark.usefixtures("hasty")
@pytest_twisted.ensureDeferred
async def test_what_was_taken_is_not_told_again(project: Project) -> None:
    """When only some of what was found at once is taken, the rest is told again and no more."""
    await project.watch()
    project.listener.picky = "two"
    with logged_failures() as failures:
        project.session()
        for name in ("one", "two", "three"):
            project.append(f"{name}.log", f"{name}\n")
        await until(lambda: project.listener.refused == 3)
        project.listener.picky = None
        await until(lambda: len(project.listener.lines()) == 3)
        await project.settle()
    assert len(failures) == 1
    assert sorted(project.listener.lines()) == ["one", "three", "two"]
    assert len(project.listener.of(SessionSighting)) == 1


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_slow_listener_is_waited_for(project: Project) -> None:
    """Nothing is told while a batch is being taken; then what files say by then is told."""
    project.session()
    await project.watch()
    project.listener.batches.clear()
    project.listener.holding = []
    project.write("sessions/s1/session.json", {"status": "paused"})
    await until(lambda: project.listener.holding)
    for status in ("running", "stopping", "stopped"):
        project.write("sessions/s1/session.json", {"status": status})
        await turn(0.03)
    assert len(project.listener.batches) == 1
    project.listener.release()
    await project.settle()
    statuses = [sighting.status for sighting in project.listener.of(SessionSighting)]
    assert statuses == ["running", "paused", "stopped"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_much_is_told_in_portions(project: Project) -> None:
    """Many sessions with much to say are told in many batches, each session in order."""
    for number in range(150):
        project.session(f"s{number}", provider="x" * 200)
    await project.watch()
    assert len(project.listener.batches) >= 2
    assert len(project.listener.told) == 600
    first_seen: dict[str, type] = {}
    for sighting in project.listener.told:
        assert not isinstance(sighting, CurrentSession | LogLines | Unreadable)
        first_seen.setdefault(sighting.session_id, type(sighting))
    assert set(first_seen.values()) == {SessionSighting}


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_batch_is_bounded_by_what_it_says(project: Project) -> None:
    """However large files are, what is told at once comes from little more than 256 KiB."""
    for number in range(20):
        project.session(f"s{number}")
        tasks = [{"id": f"{task}", "title": "x" * 1000} for task in range(50)]
        project.write(f"sessions/s{number}/tasks.json", tasks)
    await project.watch()
    assert len(project.listener.told) == 80
    told = [
        sum(len(said.tasks) for said in batch if isinstance(said, TasksSighting))
        for batch in project.listener.batches
    ]
    assert sum(told) == 1000
    assert max(told) <= 300


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_settling_tells_all_there_is(project: Project) -> None:
    """When settling is over, what files and logs said when it was asked for has been told."""
    project.session()
    await project.watch()
    for number in range(20):
        project.session(f"s{number}", provider=f"p{number}")
        project.append("agent.log", f"{number} " + "x" * 50_000 + "\n")
    await project.settle()
    told = {said.session_id: said.provider for said in project.listener.of(SessionSighting)}
    assert told == {f"s{number}": f"p{number}" for number in range(20)}
    assert len(project.listener.lines()) == 20
    await project.watcher.settle("/not/watched")


# Logs


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_logs_begin_at_their_end_in_a_new_project(project: Project) -> None:
    """What was logged before a project was first watched is old; what comes after is told."""
    project.append("logs/agent.log", "old\n")
    project.append("sessions/s1/work.log", "old\n")
    await project.watch()
    assert project.listener.told == []
    project.append("logs/agent.log", "new\n")
    project.append("sessions/s1/work.log", "new\n")
    project.append("logs/later.log", "first\n")
    await until(lambda: len(project.listener.lines()) == 3)
    told = {(said.session_id, said.source, *said.lines) for said in project.listener.of(LogLines)}
    assert told == {(None, "agent", "new"), ("s1", "work", "new"), (None, "later", "first")}
    assert sorted(project.listener.cursors) == [
        f"s1/directory:{project.dir}",
        f"s1/log:{project.dir}:sessions/s1/work.log",
        f"state:{project.dir}:",
        f"state:{project.dir}:logs/agent.log",
        f"state:{project.dir}:logs/later.log",
    ]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_restart_tells_what_was_logged_meanwhile(project: Project) -> None:
    """After a restart lines are told that came meanwhile, in old logs and in new ones."""
    project.append("agent.log", "old\n")
    await project.watch()
    project.append("agent.log", "one\n")
    await until(project.listener.lines)
    await project.watcher.stop()
    project.append("agent.log", "two\n")
    project.append("sessions/s1/new.log", "three\n")
    project.append("gone.log", "x\n")
    await project.restart()
    assert sorted(project.listener.lines()) == ["one", "three", "two", "x"]
    await project.watcher.stop()
    os.unlink(project.state / "gone.log")
    await project.restart()
    assert len(project.listener.lines()) == 4
    assert f"state:{project.dir}:gone.log" not in project.listener.cursors


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_project_without_logs_is_known_after_a_restart(project: Project) -> None:
    """A project that had no log when it was first watched is not new the second time."""
    await project.watch()
    await project.watcher.stop()
    project.append("agent.log", "one\n")
    await project.restart()
    assert project.listener.lines() == ["one"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_first_look_that_is_broken_off_is_a_first_look_again(project: Project) -> None:
    """Logs that were there at first are old even if the server ended before it knew them all."""
    for number in range(150):
        project.append(f"logs/{number}.log", "old\n")
    project.listener.holding = []
    project.watch()
    await until(lambda: project.listener.holding)
    stopped = project.watcher.stop()
    project.listener.release()
    await stopped
    assert 0 < len(project.listener.cursors) < 150
    await project.restart()
    assert project.listener.lines() == []
    assert len(project.listener.cursors) == 151


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_deleted_log_is_let_go(project: Project) -> None:
    """A log that is deleted is told to its end, and then holds no space on the disk."""
    await project.watch()
    project.append("agent.log", "one\n")
    await until(project.listener.lines)
    assert len(open_below(project.dir)) == 1
    project.append("agent.log", "two\n")
    os.unlink(project.state / "agent.log")
    await until(lambda: len(project.listener.lines()) == 2)
    await project.settle()
    assert open_below(project.dir) == []
    assert list(project.listener.cursors) == [f"state:{project.dir}:"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_rotated_log_that_becomes_a_log_again_is_old(project: Project) -> None:
    """What was told of a log before it was rotated away is not told again under a later name."""
    await project.watch()
    project.append("agent.log", "one\n")
    await project.settle()
    (project.state / "agent.log").rename(project.state / "agent.log.1")
    project.append("agent.log", "two\n")
    await project.settle()
    (project.state / "agent.log.1").rename(project.state / "older.log")
    project.append("older.log", "three\n")
    await project.settle()
    assert project.listener.lines() == ["one", "two", "three"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_log_that_is_renamed_to_a_log_is_told_once(project: Project) -> None:
    """Rotation by names that end in .log tells no line twice, also while nobody looks."""
    await project.watch()
    written = 0

    def write() -> None:
        nonlocal written
        project.append("agent.log", f"{written}\n")
        written += 1

    for step in range(12):
        write()
        await (project.restart() if step % 3 == 2 else project.settle())
        write()
        for number in (2, 1, 0):
            older = project.state / f"agent.{number + 1}.log"
            newer = project.state / (f"agent.{number}.log" if number else "agent.log")
            if newer.exists():
                newer.rename(older)
        write()
        if step % 4 == 3:
            await project.watcher.stop()
            await project.restart()
        else:
            await project.settle()
    assert sorted(map(int, project.listener.lines())) == list(range(written))


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_log_moves_with_its_session(project: Project) -> None:
    """The rest of a log in a renamed session directory is told under the new name, once."""
    await project.watch()
    project.append("sessions/s1/agent.log", "one\n")
    await until(project.listener.lines)
    project.append("sessions/s1/agent.log", "two\n")
    (project.state / "sessions/s1").rename(project.state / "sessions/s2")
    await until(lambda: len(project.listener.lines()) == 2)
    await project.settle()
    assert project.listener.of(LogLines)[0].session_id == "s1"
    assert project.listener.lines() == ["one", "two"]


class Writer:
    """Writes numbered lines to a log, often several bytes of a character apart."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.rng = random.Random(7)
        self.written = 0

    async def write(self) -> None:
        """Write some lines."""
        for _ in range(self.rng.randint(1, 5)):
            line = f"{self.written} zwölf 🚀\n".encode()
            self.written += 1
            if self.rng.random() < 0.9:
                self.project.append("logs/agent.log", line)
                continue
            for byte in line:
                self.project.append("logs/agent.log", bytes([byte]))
            await turn(0.001)


@pytest.mark.promise("R21")
@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_no_line_is_lost_or_told_twice(project: Project, is_full: bool) -> None:
    """Over rotations of every kind, restarts, and bytes that trickle, each line comes once."""
    await project.watch()
    writer = Writer(project)
    log = project.state / "logs/agent.log"
    for step in range(1000 if is_full else 60):
        await writer.write()
        await project.settle()
        if step % 5 < 3:
            await writer.write()
        match step % 5:
            case 0:
                log.rename(project.state / f"logs/agent.log.{step}")
            case 1:
                log.unlink()
            case 2:
                await project.restart()
            case 3:
                os.truncate(log, 0)
                await project.settle()
            case _:
                await turn(writer.rng.random() * 0.02)
        await writer.write()
    await project.settle()
    numbers = [int(line.split()[0]) for line in project.listener.lines()]
    assert numbers == list(range(writer.written))


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_flood_of_lines_comes_in_bounded_batches(project: Project) -> None:
    """However much is logged at once, a batch is bounded, and all lines come in order."""
    await project.watch()
    lines = [f"{number} " + "x" * 100 for number in range(20_000)]
    project.append("agent.log", "".join(line + "\n" for line in lines))
    await project.settle()
    assert project.listener.lines() == lines
    for number in range(10):
        project.append(f"{number}.log", "".join(line + "\n" for line in lines[:1000]))
    await project.settle()
    assert len(project.listener.lines()) == 30_000
    sizes = [
        sum(len(line) for said in batch if isinstance(said, LogLines) for line in said.lines)
        for batch in project.listener.batches
    ]
    assert max(sizes) <= (256 + 64) * 1024


# Several projects, and the server's own files


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_the_servers_own_files_are_not_touched(project: Project) -> None:
    """Nothing in the server's own directory is told, wherever it lies."""
    project.watcher = project.make(excluded=[str(project.state / "data"), str(project.dir)])
    project.session()
    for place in ("server", "data"):
        project.append(f"{place}/server.log", "secret\n")
        (project.state / place / "agents/s1").mkdir(parents=True)
    await project.watch()
    for place in ("server", "data"):
        project.append(f"{place}/server.log", "secret\n")
        project.append(f"{place}/agents/s1/out.log", "secret\n")
    project.append("agent.log", "seen\n")
    await until(project.listener.lines)
    await project.settle()
    assert project.listener.lines() == ["seen"]
    assert len(project.watcher._watches._holders) == 4  # the one above the tree too


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_projects_are_told_apart(project: Project, tmp_path: Path) -> None:
    """Each project's files are told as that project's, and one can be left alone."""
    told: list[tuple[str, Sequence[Any]]] = []
    seen = project.listener.seen

    def listen(project_dir: str, sightings: Sequence[Any]) -> Deferred[Any]:
        told.extend((Path(project_dir).name, sighting) for sighting in sightings)
        return seen(project_dir, sightings)

    project.listener.seen = listen  # type: ignore[method-assign]  # to hear of whom it is told
    dirs = [tmp_path / name for name in ("one", "two")]
    for number, path in enumerate(dirs):
        state = path / ".loki/sessions/s1"
        state.mkdir(parents=True)
        (state / "session.json").write_text(json.dumps({"provider": f"p{number}"}))
        await project.watcher.watch(str(path), {})
    sessions = [(name, s.provider) for name, s in told if isinstance(s, SessionSighting)]
    assert sessions == [("one", "p0"), ("two", "p1")]
    told.clear()
    project.watcher.unwatch(str(dirs[0]))
    project.watcher.unwatch(str(dirs[0]))
    for path in dirs:
        (path / ".loki/sessions/s1/phase.json").write_text('{"current": "x"}')
    await project.watcher.settle(str(dirs[1]))
    assert [(name, type(sighting)) for name, sighting in told] == [("two", PhaseSighting)]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_watching_twice_is_watching_once(project: Project) -> None:
    """A second watch of a watched project waits for the first, and tells nothing again."""
    project.session()
    first, second = project.watch(), project.watch()
    await second
    assert first.called
    await project.watch()
    assert len(project.listener.told) == 4


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("is_again", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_log_that_was_away_over_a_restart_goes_on(project: Project, is_again: bool) -> None:
    """A log that is moved out while one server runs, and back for another, is not told again."""
    await project.watch()
    project.append("logs/agent.log", "one\n")
    await project.settle()
    (project.state / "logs/agent.log").rename(project.dir / "away")
    await project.restart()
    if is_again:
        await project.restart()
    (project.dir / "away").rename(project.state / "other.log")
    project.append("other.log", "two\n")
    await project.settle()
    assert project.listener.lines() == ["one", "two"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_names_taken_just_before_the_end_are_known_to_the_next_server(
    project: Project,
) -> None:
    """Logs that take each other's names, with lines in the new ones, are told once."""
    await project.watch()
    project.append("a.log", "one\n")
    project.append("b.log", "two\n")
    await project.settle()
    (project.state / "b.log").rename(project.state / "a.log")
    project.append("b.log", "three\n")
    await project.settle()
    await project.restart()
    project.append("b.log", "four\n")
    await project.settle()
    assert sorted(project.listener.lines()) == ["four", "one", "three", "two"]


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("method", ["load", "paths"])
@pytest_twisted.ensureDeferred
async def test_a_watch_that_cannot_be_begun_fails_and_may_be_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whatever goes wrong before or after the first look, all who wait are told, and can retry."""
    project.session()

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(Trails, method, broken)
        for each in [project.watch(), project.watch()]:
            with pytest.raises(RuntimeError, match="broken"):
                await each
    await project.watch()
    assert project.listener.of(SessionSighting) != []


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_project_watched_again_goes_on(project: Project) -> None:
    """Lines that were being told when a project was left are not told again."""
    await project.watch()
    stale = dict(project.listener.cursors)
    project.listener.holding = []
    project.append("agent.log", "one\n")
    await until(lambda: project.listener.holding)
    project.watcher.unwatch(str(project.dir))
    project.append("agent.log", "two\n")
    again = project.watcher.watch(str(project.dir), stale)
    await turn(0.02)
    assert len(project.listener.holding) == 1
    project.listener.release()
    await again
    assert project.listener.lines() == ["one", "two"]


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_the_end_waits_for_what_is_being_told(project: Project) -> None:
    """Stopping waits for the batch that is being taken, and answers everybody who waits."""
    project.session()
    project.listener.holding = []
    ready = project.watch()
    await until(lambda: project.listener.holding)
    settled = project.settle()
    stopped = project.watcher.stop()
    await turn(0.02)
    assert not stopped.called
    project.listener.release()
    await stopped
    await ready
    await settled
    await project.watch()
    assert len(project.listener.batches) == 1


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_what_is_read_at_the_end_is_not_told(project: Project) -> None:
    """When the end comes while files are being read, they are not told any more."""
    pool, wait = ThreadPool(0, 1), Event()
    pool.start()
    try:
        pool.callInThread(wait.wait)
        project.watcher = project.make(pool=pool)
        project.session()
        project.watch()
        await until(lambda: project.watcher._directories[str(project.dir)]._in_flight)
        stopped = project.watcher.stop()
        assert not stopped.called
        wait.set()
        await stopped
    finally:
        wait.set()
        pool.stop()
    assert project.listener.batches == []


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_session_that_is_away_just_when_it_is_read_is_told_all_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is moved out and back before it is looked at has not changed, and counts."""
    project.session()
    await project.watch()
    session, away = project.state / "sessions/s1", project.state / "away"
    reads = 0

    def read(*args: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads > 1:
            return run_errand(*args)
        session.rename(away)
        try:
            return run_errand(*args)
        finally:
            away.rename(session)

    monkeypatch.setattr(watcher_module, "run_errand", read)
    project.write("sessions/s1/session.json", {"provider": "later"}, in_place=True)
    await until(lambda: project.listener.of(SessionSighting)[-1].provider == "later")


@pytest.mark.usefixtures("hasty")
@pytest_twisted.ensureDeferred
async def test_the_end_does_not_wait_for_a_pause(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping ends the pause after a batch that was not taken, and tells it no more."""
    monkeypatch.setattr(directory_module, "_FIRST_PAUSE", 1000)
    project.session()
    project.listener.refusals = 99
    with logged_failures():
        project.watch()
        await until(lambda: project.listener.batches)
        await turn()
        await project.watcher.stop()
    assert len(project.listener.batches) == 1


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_pool_that_is_passed_is_used_and_left_running(project: Project) -> None:
    """Files are read in the given pool, which is not stopped with the watcher."""
    pool = ThreadPool(0, 1)
    pool.start()
    try:
        project.watcher = project.make(pool=pool)
        project.session()
        await project.watch()
        assert len(pool.threads) == 1
        await project.watcher.stop()
        assert pool.started
        assert not pool.joined
    finally:
        pool.stop()


@pytest.mark.promise("R19")
@pytest.mark.usefixtures("calm", "hasty")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
@pytest_twisted.ensureDeferred
async def test_without_notices_everything_is_told_too(project: Project, number: int) -> None:
    """Where inotify cannot be had files are looked at again and again, and that is said."""
    project.watcher = project.make(open_inotify=refusing(number))
    project.session()
    await project.watch()
    assert len(project.watcher.problems()) == 1
    project.session(provider="later")
    project.append("sessions/s1/agent.log", "line\n")
    await until(project.listener.lines)
    await until(lambda: project.listener.of(SessionSighting)[-1].provider == "later")


@implementer(IReactorTime, IReactorFromThreads)
class Bare:
    """A reactor that knows time and threads, and no descriptors."""

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@pytest.mark.usefixtures("calm", "hasty")
@pytest_twisted.ensureDeferred
async def test_a_reactor_without_readers_is_enough(project: Project) -> None:
    """On a reactor that cannot read descriptors everything is found by looking again."""
    project.watcher = StateWatcher(Bare(), project.listener)
    await project.watch()
    assert "this reactor reads no descriptors" in project.watcher.problems()[0]
    project.session()
    await until(lambda: len(project.listener.told) == 4)


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_names_that_are_no_text_are_told_as_text(project: Project) -> None:
    """A log whose name is not UTF-8 is followed, under a name that can be stored and sent."""
    await project.watch()
    name = os.fsdecode(b"\xff.log")
    project.append(name, "line\n")
    await until(project.listener.lines)
    assert project.listener.of(LogLines)[0].source == "\\xff"
    await project.restart()
    project.append(name, "more\n")
    await until(lambda: len(project.listener.lines()) == 2)


def rearrange(project: Project, rng: random.Random, provider: str) -> None:
    """Do one thing to sessions that may happen to them."""
    name, other = (f"s{rng.randint(0, 5)}" for _ in range(2))
    sessions = project.state / "sessions"
    match rng.choices(range(5), (10, 10, 2, 10, 60))[0]:
        case 0:
            shutil.rmtree(sessions / name, ignore_errors=True)
        case 1 if (sessions / name).exists() and not (sessions / other).exists():
            (sessions / name).rename(sessions / other)
        case 2:
            shutil.rmtree(project.state, ignore_errors=True)
        case kind:
            path = f"sessions/{name}/session.json"
            project.write(path, {"provider": provider}, in_place=kind == 3)


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("seed", [1, 2])
@pytest_twisted.ensureDeferred
async def test_in_the_end_what_is_on_disk_was_told(
    project: Project, seed: int, is_full: bool
) -> None:
    """Whatever happens to sessions, what was told last is what files say in the end."""
    rng = random.Random(seed)
    await project.watch()
    for step in range(5000 if is_full else 400):
        rearrange(project, rng, f"p{step}")
        if rng.random() < 0.15:
            await turn(rng.choice((0, 0.002, 0.015)))
    await project.settle()
    known: dict[str, str | None] = {}
    for sighting in project.listener.told:
        if isinstance(sighting, SessionGone):
            known.pop(sighting.session_id, None)
        elif isinstance(sighting, SessionSighting):
            known[sighting.session_id] = sighting.provider
    on_disk = {
        path.parent.name: json.loads(path.read_text())["provider"]
        for path in project.state.glob("sessions/*/session.json")
    }
    assert known == on_disk


@pytest.mark.usefixtures("calm")
@pytest_twisted.ensureDeferred
async def test_a_recorded_run_is_survived(project: Project) -> None:
    """What a real run does to its directory is followed, its log to the last line."""
    await project.watch()
    timeline = Path(__file__).parent / "data/run1-simple/timeline.jsonl"
    for number, text in enumerate(timeline.read_text().splitlines()):
        step = json.loads(text)
        path = project.state / step["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        match step["op"]:
            case "delete":
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            case _ if step.get("dir"):
                path.mkdir(exist_ok=True)
            case _:
                content = step.get("content") or ""
                project.write(
                    step["path"],
                    content if isinstance(content, str) else json.dumps(content),
                    in_place=step["op"] != "rename",
                )
        if number % 20 == 0:
            await turn()
    project.append("logs/agent.log", "the last line\n")
    await until(lambda: "the last line" in project.listener.lines())
    assert project.watcher.problems() == []
