"""Sessions that are being started, and who waits for that."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.model.errors import AgentNotStarted
from loki_twisted.sessions.launches import Launches
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.state import SessionState
from tests.log_support import session


class LaunchTests(SynchronousTestCase):
    """Two sessions of a project that are being started."""

    def setUp(self) -> None:
        self.launches = Launches()
        self.first, self.second = self.launch("one"), self.launch("two")
        self.waiting = Deferred.fromCoroutine(self.launches.over("/project"))

    def launch(self, session_id: str) -> Deferred[str]:
        """Begin with one; fires, or fails, when the test says so."""
        started: Deferred[str] = Deferred()
        record = Record(SessionState(session(session_id)))
        done = Deferred.fromCoroutine(self.launches.run(record, started))
        done.addErrback(lambda failure: failure.trap(AgentNotStarted) and "")
        return started

    def test_all_of_a_project_are_waited_for(self) -> None:
        """Whatever came of them; who waits for those of another project does not wait."""
        self.successResultOf(Deferred.fromCoroutine(self.launches.over("/another")))
        self.first.errback(AgentNotStarted("no such program"))
        self.assertNoResult(self.waiting)
        self.second.callback("")
        self.successResultOf(self.waiting)

    def test_one_that_is_over_before_its_turn_is_not_waited_for(self) -> None:
        """The second may be over while the first is still waited for."""
        self.second.callback("")
        self.assertNoResult(self.waiting)
        self.first.callback("")
        self.successResultOf(self.waiting)

    def test_those_that_begin_later_are_not_waited_for(self) -> None:
        """Else somebody would wait for ever where one is started after the other."""
        self.launch("three")
        self.first.callback("")
        self.second.callback("")
        self.successResultOf(self.waiting)

    def test_at_the_end_of_the_server_nobody_waits(self) -> None:
        """And a launch that is over afterwards disturbs nobody."""
        self.launches.close()
        self.successResultOf(self.waiting)
        self.first.callback("")
