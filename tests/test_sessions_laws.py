"""
The law of sessions: whatever is ordered when, and whatever happens to agents and servers.

Through the HTTP API, over the real session service with agents, disk and clock of the test. A model
beside it, which is a dozen lines, says what every answer and every status has to be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred

from loki_twisted.log.interface import Batch
from loki_twisted.model.errors import AgentNotStarted
from tests.fakes_sessions import MemoryLog
from tests.fakes_web import Connection, Response, Server, request_bytes
from tests.test_sessions_service import World

DIRECTORIES = ("one", "two", "three")
MOST_SESSIONS = 2

CONFLICT = 409, "CONFLICT"
UNAVAILABLE = 503, "SERVICE_UNAVAILABLE"

FINAL = {"stopped", "failed", "completed"}
AT_WORK = {"starting", "running", "paused", "stopping"}
LEGAL = {
    None: {"queued", "starting"},
    "queued": {"starting", "stopped", "failed"},
    "starting": {"running", "stopping", "failed"},
    "running": {"paused", "stopping", "completed", "failed", "stopped"},
    "paused": {"running", "stopping", "completed", "failed", "stopped"},
    "stopping": {"stopped"},
}
"""What may follow on record. Nothing follows an end."""

AFTER: dict[str, set[str]] = {
    "": {"started", "stopped", "failed"},
    "started": {"paused", "stopped", "failed", "completed"},
    "paused": {"resumed", "stopped", "failed", "completed"},
    "resumed": {"paused", "stopped", "failed", "completed"},
}
"""Which events may follow. Nothing follows an end."""


class WatchedLog(MemoryLog):
    """A log that notes each status of each session that was on record."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[str, list[str]] = {}

    def _put_rows(self, batch: Batch) -> None:
        super()._put_rows(batch)
        if batch.session is not None:
            known = self.statuses.setdefault(batch.session.id, [])
            status = str(batch.session.status)
            if known[-1:] != [status]:
                known.append(status)


@attrs.define
class Current:
    """The sessions of the server of today: routes are the same in each, and take long to make."""

    world: World

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.sessions, name)


@attrs.define
class Expected:
    """
    What is known of a session.

    :ivar turn: What its agent said last of what it does: ``on``, ``done``, ``failed`` or nothing.
    :ivar messages: How many wait for the end of its turn.
    :ivar waits: Whether its agent is being started; its client is not answered before.
    """

    directory: str
    status: str
    turn: str = ""
    messages: int = 0
    waits: tuple[Connection, Deferred[Any]] | None = None


class Sessions(RuleBasedStateMachine):
    """A server, and what it has to be."""

    def __init__(self) -> None:
        super().__init__()
        self.home = TemporaryDirectory()
        home = os.path.realpath(self.home.name)
        for name in DIRECTORIES:
            os.mkdir(os.path.join(home, name))
        self.world = World(home, MOST_SESSIONS)
        self.log = self.world.log = WatchedLog()
        self.world.build()
        self.server = Server(sessions=Current(self.world))  # type: ignore[arg-type]
        self.expected: dict[str, Expected] = {}
        self.deleted: list[str] = []

    # The model

    def obstacle(self, directory: str) -> tuple[int, str] | None:
        """What is in the way of a new session, which comes last."""
        taken = self.give_turns()
        if directory in taken:
            return 409, "SESSION_ALREADY_RUNNING"
        if self.at_work() >= MOST_SESSIONS:
            return 429, "TOO_MANY_SESSIONS"
        return None

    def at_work(self) -> int:
        return sum(each.status in AT_WORK for each in self.expected.values())

    def give_turns(self) -> set[str]:
        """Who waits goes to work where there is room; gives the directories that are taken."""
        taken = {each.directory for each in self.expected.values() if each.status in AT_WORK}
        for each in self.expected.values():
            if each.status == "queued" and each.directory not in taken:
                taken.add(each.directory)
                if self.at_work() < MOST_SESSIONS:
                    each.status = "running"
        return taken

    def end(self, session: Expected, code: int | None) -> None:
        """It has ended: as it was told to, or as its agent said, or else as its exit code says."""
        if session.status == "stopping":
            session.status = "stopped"
        elif session.turn == "done" or (session.turn == "" and code == 0):
            session.status = "completed"
        else:
            session.status = "failed"
        self.give_turns()

    # What a client sees

    def ask(self, method: str, target: str, body: object = None) -> Response:
        return self.server.ask(method, target, body=body)

    def listed(self) -> dict[str, str]:
        sessions = self.ask("GET", "/api/sessions?limit=1000").json["sessions"]
        return {each["id"]: each["status"] for each in sessions}

    def newcomer(self, directory: str, status: str) -> Expected:
        """The session that has come."""
        [name] = self.listed().keys() - self.expected.keys()
        return self.expected.setdefault(name, Expected(directory, status))

    def some(self, *statuses: str) -> list[str]:
        return [name for name, each in self.expected.items() if each.status in statuses]

    def pick(self, data: st.DataObject) -> str:
        """One of those that have not ended, or of the last that have."""
        ended = self.some(*FINAL)[-2:]
        return data.draw(st.sampled_from([*self.some("queued", *AT_WORK), *ended]))

    # What happens

    @rule(
        directory=st.sampled_from(DIRECTORIES),
        how=st.sampled_from(["now", "queue", "queue", "slowly", "not at all", "the disk fails"]),
    )
    def start(self, directory: str, how: str) -> None:
        """A session is asked for, and its agent starts, soon or later, or cannot be started."""
        obstacle = self.obstacle(directory)
        body = {"projectDir": directory, "queue": how == "queue"}
        if obstacle is not None and how != "queue":
            answer = self.ask("POST", "/api/sessions", body)
            assert (answer.status, answer.code) == obstacle
        elif how == "slowly":
            self.start_slowly(body)
        elif how in ("not at all", "the disk fails"):
            self.start_in_vain(body, how)
        else:
            status = "running" if obstacle is None else "queued"
            answer = self.ask("POST", "/api/sessions", body)
            assert (answer.status, answer.json["status"]) == (201, status)
            self.newcomer(directory, status)

    def start_in_vain(self, body: Mapping[str, object], how: str) -> None:
        """Where nothing can be put on record there is no session; else one that has failed."""
        agents = len(self.world.runner.agents)
        self.log.broken = how == "the disk fails"
        self.world.runner.error = AgentNotStarted("There is no such program.")
        answer = self.ask("POST", "/api/sessions", body)
        self.world.runner.error = None
        if not self.log.broken:
            self.newcomer(str(body["projectDir"]), "failed")
        self.log.broken = False
        assert (answer.status, answer.code) == UNAVAILABLE
        assert len(self.world.runner.agents) == agents

    def start_slowly(self, body: Mapping[str, object]) -> None:
        self.world.runner.automatic = False
        client = self.send("POST", "/api/sessions", body)
        self.world.runner.automatic = True
        session = self.newcomer(str(body["projectDir"]), "starting")
        session.waits = client, self.world.runner.starting.pop()

    def send(self, method: str, target: str, body: object = None) -> Connection:
        client = self.server.connect()
        client.send(request_bytes(method, target, body=body))
        assert client.responses() == []
        return client

    @precondition(lambda self: any(each.waits for each in self.expected.values()))
    @rule(data=st.data())
    def have_started(self, data: st.DataObject) -> None:
        """An agent has started; one that was told to stop meanwhile is told now."""
        waiting = [name for name, each in self.expected.items() if each.waits]
        name = data.draw(st.sampled_from(waiting))
        session = self.expected[name]
        assert session.waits is not None
        client, started = session.waits
        session.waits = None
        started.callback(self.world.runner.agents[name])
        assert client.response().status == 201
        if session.status == "starting":
            session.status = "running"
        else:
            assert "stop" in self.world.agent(name).orders

    @precondition(lambda self: self.expected)
    @rule(
        data=st.data(),
        word=st.sampled_from(["stop", "stop", "pause", "resume", "input", "delete"]),
        when=st.sampled_from(["now", "now", "now", "at a crash", "while the disk fails"]),
    )
    def order(self, data: st.DataObject, word: str, when: str) -> None:
        """An order is given to a session, wherever that stands."""
        name = self.pick(data)
        following = STEPS[word](self.expected[name].status)
        if when == "now" or word == "stop":
            self.carry_out(name, word, following)
        elif when == "while the disk fails":
            self.log.broken = True
            answer = self.ask(*request(name, word))
            self.log.broken = False
            assert (answer.status, answer.code) == (CONFLICT if following is None else UNAVAILABLE)
        elif following is not None:
            self.log.automatic = False
            self.send(*request(name, word))
            self.log.lose()
            self.log.automatic = True
            self.begin_anew()

    def carry_out(self, name: str, word: str, following: str | None) -> None:
        session = self.expected[name]
        answer = self.ask(*request(name, word))
        if following is None:
            assert (answer.status, answer.code) == CONFLICT
            assert answer.json["details"]["status"] == session.status
            return
        assert answer.status == 200
        session.status = following
        if word == "delete":
            del self.expected[name]
            self.deleted.append(name)
        elif word == "input":
            session.messages += session.turn == "on"
            session.turn = "on"
        else:
            assert answer.json["status"] == following
        self.give_turns()

    @precondition(lambda self: self.some("running", "paused", "stopping"))
    @rule(data=st.data(), does=st.sampled_from(["done", "failed", 0, 0, 3, None]))
    def act(self, data: st.DataObject, does: str | int | None) -> None:
        """An agent says that its turn is over, or ends with an exit code or by SIGKILL."""
        at_work = self.some("running", "paused", "stopping")
        able = [name for name in at_work if not self.expected[name].waits]
        if not able:
            return
        name = data.draw(st.sampled_from(able))
        session = self.expected[name]
        if not isinstance(does, str):
            self.world.ends(name, does, None if does is not None else 9)
            self.end(session, does)
        elif session.status == "running":
            self.world.says(name, f"{does} That was it.")
            # What waits for that is its next.
            session.turn = "on" if session.messages else does
            session.messages -= session.messages > 0

    @rule(are_there=st.booleans())
    def restart(self, are_there: bool) -> None:
        """
        Another server comes, and finds the agents again.

        :param are_there: Whether those were started that were about to be.
        """
        self.world.launcher.close()
        if not are_there:
            for name, each in self.expected.items():
                if each.waits:
                    del self.world.runner.agents[name]
                    self.end(each, None)
        self.begin_anew()

    def begin_anew(self) -> None:
        self.world.clock.advance(1)  # ids are made of the time
        self.world.build()
        for done in (self.world.book.load(), self.world.launcher.adopt_all()):
            outcome: list[object] = []
            Deferred.fromCoroutine(done).addBoth(outcome.append)
            assert outcome == [None]
        for each in self.expected.values():
            each.waits = None
            if each.status == "starting":
                each.status = "running"
        self.give_turns()

    # What is always so

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        """Each session stands where it has to, in the list and by itself; what is gone is gone."""
        assert self.listed() == {name: each.status for name, each in self.expected.items()}
        for name in self.some(*AT_WORK, "queued"):
            session = self.ask("GET", f"/api/sessions/{name}").json["session"]
            assert session["status"] == self.expected[name].status
            assert session["exitCode"] is None
        for name in self.deleted[-1:]:
            answer = self.ask("GET", f"/api/sessions/{name}")
            assert (answer.status, answer.code) == (404, "SESSION_NOT_FOUND")

    @invariant()
    def every_step_on_record_is_legal(self) -> None:
        """None follows that may not, and nothing an end."""
        for statuses in self.log.statuses.values():
            before = None
            for status in statuses:
                assert status in LEGAL.get(before, ()), statuses
                before = status

    @invariant()
    def events_tell_the_same_story(self) -> None:
        """They follow one another as they may, and there is an end exactly where there is one."""
        for name, statuses in self.log.statuses.items():
            told = [
                kind.partition(":")[2]
                for kind in self.log.types(name)
                if kind.startswith("session:") and kind != "session:updated"
            ]
            before = ""
            for word in told:
                assert word in AFTER.get(before, ()), told
                before = word
            ends = [word for word in told if word in FINAL]
            assert ends == [status for status in statuses if status in FINAL]

    def teardown(self) -> None:
        self.home.cleanup()


def stop_from(status: str) -> str | None:
    """Where an order to stop leads."""
    if status == "queued":
        return "stopped"
    return "stopping" if status in AT_WORK else None


def request(name: str, word: str) -> tuple[str, str, object]:
    """How an order is given."""
    if word == "delete":
        return "DELETE", f"/api/sessions/{name}", None
    return "POST", f"/api/sessions/{name}/{word}", {"input": "Go on."} if word == "input" else None


STEPS: dict[str, Callable[[str], str | None]] = {
    "stop": stop_from,
    "pause": {"running": "paused"}.get,
    "resume": {"paused": "running"}.get,
    "input": {"running": "running", "paused": "paused"}.get,
    "delete": {each: each for each in FINAL}.get,
}
"""By the word of an order: where it leads from a status, or None if it is a conflict."""


@pytest.mark.promise("R29")
@pytest.mark.timeout(3600)
def test_r29_sessions_are_what_the_model_says(is_full: bool) -> None:
    """Whatever is ordered and happens, each step is legal, told once, and ends are for good."""
    run_state_machine_as_test(
        Sessions,
        settings=settings(
            max_examples=500 if is_full else 60,
            stateful_step_count=50 if is_full else 30,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
