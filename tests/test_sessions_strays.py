"""Agents of whose sessions the log knows nothing, or less than lies with their files."""

from __future__ import annotations

import copy
import json

import pytest

from loki_twisted.agents.interface import Stray
from loki_twisted.model.sessions import ReasonCode, Session, SessionStatus, Steering
from loki_twisted.model.wire import StartOptions
from loki_twisted.sessions.intent import intent_from_text
from tests.fakes_sessions import MemoryLog
from tests.test_sessions_service import SessionCase

# A session that was never started.
_OTHER = "session_1_a"


def stray(session_id: str, intent: str, cwd: str = "/project") -> Stray:
    return Stray(session_id, cwd, True, "codex", Steering.SIGNALS, intent)


class StrayCase(SessionCase):
    """A server whose log is lost while agents run."""

    def lose_log(self, *sessions: Session, log: MemoryLog | None = None) -> None:
        """Have the next server find these agents beside another log."""
        runner = self.world.runner
        plans = runner.plans[len(runner.plans) - len(sessions) :]
        intents = {each.id: plan.intent for each, plan in zip(sessions, plans, strict=True)}
        runner.unknown = [stray(name, intent) for name, intent in intents.items()]
        self.world.log = log or MemoryLog()
        self.restart()

    def ordered(self, session: Session) -> bool:
        """Whether its agent was told to stop."""
        return "stop" in self.world.agent(session.id).orders


class StrayTests(StrayCase):
    """What is on record again of a session."""

    @pytest.mark.promise("R16")
    def test_a_session_is_as_it_was(self) -> None:
        """What it was started for, and as what, is known, and its agent is not told it again."""
        before = self.start("one", provider="claude", model="opus", prompt="it", priority=3)
        self.lose_log(before)
        found = self.world.sessions.get(before.id)
        assert found.status is SessionStatus.RUNNING
        for name in ("model", "priority", "project_dir", "provider", "driven_by", "started_at"):
            assert getattr(found, name) == getattr(before, name)
        assert self.world.log.types() == ["session:started"]
        assert self.world.agent(before.id).heard == "do it\n"
        self.restart()
        assert self.status(before.id) is SessionStatus.RUNNING
        assert self.world.log.types() == ["session:started"]

    def test_its_time_is_over_when_it_was_to_be(self) -> None:
        """A limit of time holds as from its start, however late it is found."""
        session = self.start(options=StartOptions(timeout=10_000))
        self.world.clock.advance(6)
        self.lose_log(session)
        self.world.clock.advance(3.9)
        assert not self.ordered(session)
        self.world.clock.advance(0.2)
        assert self.ordered(session)
        assert self.world.sessions.get(session.id).reason_code is ReasonCode.TIMED_OUT

    def test_it_spends_no_more_than_it_may(self) -> None:
        """A limit of cost holds, with all that it has spent since its start."""
        session = self.start(options=StartOptions(budget_usd=1.0))
        self.world.says(session.id, "total 0.6 10")
        self.lose_log(session)
        self.world.says(session.id, "total 0.6 10")
        assert not self.ordered(session)
        self.world.says(session.id, "total 1.2 10")
        assert self.ordered(session)
        assert self.world.sessions.get(session.id).reason_code is ReasonCode.OVER_BUDGET

    def test_of_a_conversation(self) -> None:
        """What was spent in a conversation before is not counted once more."""
        first = self.start()
        self.world.says(first.id, "named chat-1", "total 5 10")
        self.world.ends(first.id, 0)
        wanted = self.wanted(prompt="more", options=StartOptions(budget_usd=1.0))
        sessions = self.world.sessions
        session = self.successResultOf(sessions.continue_session(first.id, wanted))
        self.lose_log(session)
        self.world.says(session.id, "total 5.5 20")
        assert not self.ordered(session)
        assert self.world.sessions.get(session.id).usage.cost == 0.5

    @pytest.mark.promise("R16")
    def test_what_people_say_stands_behind_what_was_said(self) -> None:
        """Messages that the log knows nothing of stand in its input: new ones come after them."""
        session = self.start(prompt="it")
        for text in ("one", "two"):
            self.world.says(session.id, "done")
            self.successResultOf(self.world.sessions.give_input(session.id, text, None))
        assert self.world.agent(session.id).heard == "do it\nsay one\nsay two\n"
        self.lose_log(session)
        for text in ("three", "four"):
            self.world.says(session.id, "done")
            self.successResultOf(self.world.sessions.give_input(session.id, text, None))
        assert (
            self.world.agent(session.id).heard == "do it\nsay one\nsay two\nsay three\nsay four\n"
        )
        self.restart()
        assert (
            self.world.agent(session.id).heard == "do it\nsay one\nsay two\nsay three\nsay four\n"
        )

    @pytest.mark.promise("R16")
    def test_one_that_waits_by_an_older_log(self) -> None:
        """A session that has had its turn since, by its agent, is at work, whatever there is."""
        first, second = self.start("one"), self.start("two")
        waiting = self.start("three", queue=True, options=StartOptions(timeout=10_000))
        older = copy.deepcopy(self.world.log)
        self.world.ends(first.id, 0)
        assert self.status(waiting.id) is SessionStatus.RUNNING
        self.lose_log(log=older)
        assert self.status(waiting.id) is SessionStatus.RUNNING
        assert self.status(second.id) is SessionStatus.RUNNING
        self.restart()
        assert self.status(waiting.id) is SessionStatus.RUNNING
        self.world.clock.advance(10)
        assert self.ordered(waiting)

    def test_one_that_was_deleted(self) -> None:
        """What is left of the files of a session whose record was deleted is none."""
        session = self.start()
        [plan] = self.world.runner.plans
        self.world.ends(session.id, 0)
        self.successResultOf(self.world.sessions.delete(session.id))
        self.world.runner.unknown = [stray(session.id, plan.intent)]
        self.restart()
        assert list(self.world.book) == []


class LostIntentTests(StrayCase):
    """What was started for is lost, but not the agent."""

    def found(self, session_id: str, intent: str, cwd: str = "/project") -> list[Session]:
        """Say what sessions there are with such a stray."""
        self.world.runner.unknown = [stray(session_id, intent, cwd)]
        self.world.log = MemoryLog()
        self.restart()
        return [each.state.session for each in self.world.book]

    @pytest.mark.promise("R16")
    def test_it_is_found_by_how_it_was_started(self) -> None:
        """Lost, broken, another's, of another version or shape: where and as what is known."""
        session = self.start(prompt="it", model="opus")
        [plan] = self.world.runner.plans
        for intent in (
            "",
            plan.intent[:-1],
            plan.intent.replace(session.id, _OTHER),
            plan.intent.replace('"version":1', '"version":2'),
            plan.intent.replace('"status":"starting"', '"status":"completed"'),
            json.dumps({**json.loads(plan.intent), "cursors": {}}),
            json.dumps({**json.loads(plan.intent), "cursors": {f"{session.id}/request": "{"}}),
        ):
            [found] = self.found(session.id, intent)
            assert (found.id, found.project_dir, found.model) == (session.id, "/project", None)
            assert (found.provider, found.status) == ("codex", SessionStatus.RUNNING)

    @pytest.mark.promise("R16")
    def test_what_an_agent_has_written_there(self) -> None:
        """What would harm this start or the next is not taken: times, places, cursors of others."""
        session = self.start(prompt="it", model="opus")
        [plan] = self.world.runner.plans
        intent = json.loads(plan.intent)
        for changes in (
            {"startedAt": "nonsense"},
            {"startedAt": ""},
            {"startedAt": "2026-11-27"},
            {"startedAt": "0001-01-01T00:00:00-23:59"},
            {"projectDir": "../../etc"},
            {"projectDir": ""},
            {"projectDir": "/a\0b"},
        ):
            text = json.dumps({**intent, "session": {**intent["session"], **changes}})
            assert [each.model for each in self.found(session.id, text)] == [None], changes
        for name, value in (
            (f"{session.id}/talk", "["),
            (f"{session.id}/agents", "{"),
            (f"{session.id}/stdout", "-5"),
            (f"{session.id}/deadline", "soon"),
            (f"{session.id}/deadline", "9" * 400 + " 0"),
            (f"{_OTHER}/deadline", "0 0"),
            ("request", "{}"),
        ):
            text = json.dumps({**intent, "cursors": {**intent["cursors"], name: value}})
            assert [each.model for each in self.found(session.id, text)] == [None], name
            self.restart()
            assert self.status(session.id) is SessionStatus.RUNNING
        assert [each.model for each in self.found(session.id, plan.intent)] == ["opus"]
        for cwd in ("elsewhere", "/a\0b", "/a\udcff"):
            assert self.found(session.id, "", cwd) == []
        odd = Stray(session.id, "/project", True, "x\udcff", Steering.SIGNALS, "")
        self.world.runner.unknown = [odd]
        self.restart()
        assert list(self.world.book) == []

    def test_what_says_nothing_at_all_disturbs_nobody(self) -> None:
        """Of one nothing can be read: the other is found."""
        session = self.start()
        [plan] = self.world.runner.plans
        assert self.found(_OTHER, "", cwd="") == []
        strays = [stray(_OTHER, "{", cwd=""), stray(session.id, plan.intent)]
        self.world.runner.unknown = strays
        self.restart()
        assert [each.id for each in self.world.book] == [session.id]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "[" * 100_000, '{"version": 1, "session": {}, "cursors": {}}']
)
def test_no_intent(text: str) -> None:
    """What is none is told by one kind of error."""
    with pytest.raises(ValueError, match=r"."):
        intent_from_text(_OTHER, text)
