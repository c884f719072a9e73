"""What the agent of a session prints, as the session service gives it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from loki_twisted.agents.interface import IAgentOutput
from loki_twisted.model.errors import AgentNotStarted, NotFound, SessionNotFound
from loki_twisted.model.sessions import Origin, Session, SessionStatus
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.interface import IOutput, OutputStream, SessionQuery
from tests.fakes_output import FakeOutput
from tests.fakes_sessions import FakeAgentOutput
from tests.test_sessions_service import SessionCase

FAILED = SessionQuery(statuses=frozenset({SessionStatus.FAILED}))


def test_the_doubles_are_what_the_product_calls() -> None:
    """What these tests and those of the web read from has the right methods."""
    assert verifyObject(IAgentOutput, FakeAgentOutput())
    assert verifyObject(IOutput, FakeOutput())


class OutputTests(SessionCase):
    """Over an agent that prints what a test says."""

    def print(self, session_id: str, stream: str = "stdout") -> FakeAgentOutput:
        """Let there be a stream of an agent."""
        printed = FakeAgentOutput()
        self.world.runner.outputs[session_id, stream] = printed
        return printed

    def open(self, session_id: str, stream: OutputStream = OutputStream.STDOUT) -> IOutput:
        return self.world.sessions.output(session_id, stream)

    def begin_to_wait(self, output: IOutput) -> Deferred[None]:
        """Wait for more, after the first look that follows the beginning."""
        self.successResultOf(output.more())
        waiting = output.more()
        self.assertNoResult(waiting)
        return waiting

    def test_it_is_an_output(self) -> None:
        """It has what the web calls, and gives what its stream has."""
        session_id = self.start("one").id
        self.print(session_id).write(b"out")
        self.print(session_id, "stderr").write(b"err")
        output = self.open(session_id)
        assert verifyObject(IOutput, output)
        assert (output.size(), output.read(1, 9), output.is_over) == (3, b"ut", False)
        assert self.open(session_id, OutputStream.STDERR).read(0, 9) == b"err"

    def test_who_waits_is_told_of_more(self) -> None:
        """The agent's bell rings for whoever waits."""
        session_id = self.start("one").id
        printed = self.print(session_id)
        output = self.open(session_id)
        waiting = self.begin_to_wait(output)
        printed.write(b"more")
        self.successResultOf(waiting)
        assert output.read(0, 9) == b"more"

    def test_who_waits_is_told_of_the_end(self) -> None:
        """When the end of the session is on record, there will be no more."""
        session_id = self.start("one").id
        self.print(session_id)
        output = self.open(session_id)
        waiting = self.begin_to_wait(output)
        self.world.log.automatic = False
        self.world.ends(session_id, 0)
        self.assertNoResult(waiting)
        assert not output.is_over
        self.world.log.commit()
        self.successResultOf(waiting)
        assert output.is_over

    def test_a_session_that_waits_for_its_turn(self) -> None:
        """What it will print is empty until it does, and can be waited for."""
        self.start("one")
        queued = self.start("one", queue=True)
        assert queued.status is SessionStatus.QUEUED
        output = self.open(queued.id)
        assert (output.size(), output.read(0, 9), output.is_over) == (0, b"", False)
        waiting = self.begin_to_wait(output)
        printed = self.print(queued.id)
        self.successResultOf(self.world.sessions.stop(self.first().id))
        self.world.ends(self.first().id, 0)
        self.successResultOf(waiting)
        waiting = output.more() if output.read(0, 9) == b"" else None
        assert waiting is not None
        printed.write(b"begun")
        self.successResultOf(waiting)
        assert output.read(0, 9) == b"begun"

    def first(self) -> Session:
        """The session that was started first."""
        return min(self.world.log.rows.values(), key=lambda each: each.id)

    def test_a_session_without_an_agent(self) -> None:
        """One that ended without ever running has an empty output, which is all."""
        self.start("one")
        queued = self.start("one", queue=True).id
        self.successResultOf(self.world.sessions.stop(queued))
        self.world.runner.error = AgentNotStarted("There is no such program.")
        starting = self.world.sessions.start(StartSession(project_dir="two"))
        self.refused(starting, AgentNotStarted)
        failed = self.world.sessions.list(FAILED).sessions[0].id
        for session_id in (queued, failed):
            output = self.open(session_id)
            assert (output.size(), output.is_over) == (0, True)

    def test_files_that_are_gone(self) -> None:
        """Where an agent has run, what it printed is not taken for nothing, also after its end."""
        session_id = self.start("one").id
        self.print(session_id).write(b"out")
        assert self.open(session_id).size() == 3
        printed = self.world.runner.outputs.pop((session_id, "stdout"))
        with pytest.raises(NotFound, match="not there any more"):
            self.open(session_id)
        self.world.ends(session_id, None, 9)
        with pytest.raises(NotFound, match="not there any more"):
            self.open(session_id)
        self.world.runner.outputs[session_id, "stdout"] = printed
        assert self.open(session_id).size() == 3

    def test_files_of_an_agent_of_which_nobody_knows_how_it_ended(self) -> None:
        """It has run all the same."""
        session_id = self.start("one").id
        self.world.ends(session_id, None, problem="It is gone.")
        with pytest.raises(NotFound, match="not there any more"):
            self.open(session_id)

    def test_closing(self) -> None:
        """Who waits waits no longer, nobody is told anything any more, and again does nothing."""
        session_id = self.start("one").id
        printed = self.print(session_id)
        output = self.open(session_id)
        waiting = self.begin_to_wait(output)
        output.close()
        output.close()
        self.successResultOf(waiting)
        self.successResultOf(output.more())
        assert (printed.listeners, printed.closed) == ([], 1)
        assert output.read(0, 9) == b""
        self.world.ends(session_id, 0)

    def test_what_has_no_output(self) -> None:
        """Sessions that are not there, or that somebody else started, have none here."""
        with pytest.raises(SessionNotFound):
            self.open("session_9_99999999")
        foreign = Session(
            id="session_8_88888888",
            status=SessionStatus.RUNNING,
            provider="claude",
            project_dir=self.home,
            started_at="2026-11-26T00:00:00.000Z",
            updated_at="2026-11-26T00:00:00.000Z",
            origin=Origin.OBSERVED,
        )
        record = self.world.book.add(foreign)
        self.successResultOf(self.world.book.commit(record, record.state))
        with pytest.raises(NotFound, match="not started here"):
            self.open(foreign.id)
