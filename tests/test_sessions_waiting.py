"""Waiting for a slot, through the session service: order, priorities, limits, restarts."""

from __future__ import annotations

import os

import attrs
import pytest

from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.model.errors import (
    ProviderNotAvailable,
    SessionAlreadyRunning,
    StorageFailed,
    TooManySessions,
)
from loki_twisted.model.sessions import ReasonCode, Session, SessionStatus
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.interface import SessionQuery
from loki_twisted.sessions.patience import START_SECONDS
from loki_twisted.sessions.queue import Slots
from loki_twisted.state.interface import LiveRun, SessionSighting
from tests.test_sessions_service import SessionCase, World

QUEUED = SessionQuery(statuses=frozenset({SessionStatus.QUEUED}))


class SlottedWorld(World):
    """A server that has slots for a provider, also after a restart."""

    slots = Slots(server=3, providers={"codex": 1})

    def build(self) -> None:
        super().build()
        self.launcher.line.slots = self.slots


class WaitingCase(SessionCase):
    """A world with some more directories."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("four", "five"):
            os.mkdir(os.path.join(self.home, name))
        self.world = SlottedWorld(self.home)

    def line(self) -> list[str]:
        """The ids of those that wait, as a client sees them."""
        return [each.id for each in self.world.sessions.list(QUEUED).sessions]

    def reason(self, session: Session) -> str:
        """What a session waits for."""
        now = self.world.sessions.get(session.id)
        assert now.reason_code is ReasonCode.QUEUED
        return str(now.reason)


class LimitTests(WaitingCase):
    """How many may be at work, of each kind."""

    def test_slots_of_a_provider(self) -> None:
        """One more than it has is refused, with its name; another provider goes to work."""
        self.start("one", provider="codex")
        wanted = StartSession(project_dir="two", provider="codex")
        error = self.refused(self.world.sessions.start(wanted), TooManySessions)
        assert error.details == {"provider": "codex", "maxPerProvider": 1}
        assert self.start("two").status is SessionStatus.RUNNING

    def test_several_in_one_directory(self) -> None:
        """Where the operator has room for it."""
        self.world.launcher.line.slots = Slots(server=3, project=2)
        first, second = self.start("one"), self.start("one")
        error = self.refused(
            self.world.sessions.start(StartSession(project_dir="one")), SessionAlreadyRunning
        )
        assert error.details in ({"sessionId": first.id}, {"sessionId": second.id})
        assert second.status is SessionStatus.RUNNING

    def test_a_full_line(self) -> None:
        """Who is one too many to wait is refused, until somebody has gone to work."""
        policy = self.world.launcher.policy
        self.world.launcher.policy = attrs.evolve(policy, max_queued=2)
        busy = self.start("one")
        for _ in range(2):
            self.start("one", queue=True)
        wanted = StartSession(project_dir="one", queue=True)
        error = self.refused(self.world.sessions.start(wanted), TooManySessions)
        assert error.details == {"maxQueued": 2}
        assert self.start("two", queue=True).status is SessionStatus.RUNNING
        self.world.ends(busy.id, 0)
        assert self.start("one", queue=True).status is SessionStatus.QUEUED
        assert len(self.line()) == 2

    def test_a_full_server_refuses_at_once(self) -> None:
        """Who did not ask to wait is told so, and nothing is left of the request."""
        for name in ("one", "two", "three"):
            self.start(name)
        wanted = StartSession(project_dir="four")
        error = self.refused(self.world.sessions.start(wanted), TooManySessions)
        assert error.details == {"maxSessions": 3}
        assert self.line() == []
        assert self.world.sessions.list(SessionQuery()).total == 3


class OrderTests(WaitingCase):
    """Who comes first."""

    def test_the_order_can_be_seen(self) -> None:
        """Those that wait are listed as they will be started: by priority, then as they came."""
        for name in ("one", "two", "three"):
            self.start(name)
        last = self.start("four", queue=True, priority=-1)
        second = self.start("four", queue=True)
        third = self.start("five", queue=True)
        first = self.start("five", queue=True, priority=100)
        assert self.line() == [first.id, second.id, third.id, last.id]
        page = self.world.sessions.list(
            SessionQuery(statuses=frozenset({SessionStatus.QUEUED}), offset=1, limit=2)
        )
        assert ([s.id for s in page.sessions], page.total) == ([second.id, third.id], 4)
        assert self.world.sessions.get(first.id).priority == 100

    @pytest.mark.promise("R24")
    def test_the_order_survives_a_restart(self) -> None:
        """Also where the clock went back while they came."""
        busy = [self.start(name) for name in ("one", "two", "three")]
        self.world.clock.advance(100)
        waiting = [self.start("four", queue=True)]
        self.world.clock.rightNow = 50.0
        waiting += [self.start("five", queue=True), self.start("four", queue=True)]
        order = [each.id for each in waiting]
        assert self.line() == order
        self.restart()
        assert self.line() == order
        later = self.start("five", queue=True)
        assert self.line() == [*order, later.id]
        self.world.ends(busy[0].id, 0)
        assert self.line() == [*order[1:], later.id]

    def test_who_waits_for_a_provider_holds_up_nobody_else(self) -> None:
        """Those behind it go to work, and it does when a slot of its provider is free."""
        busy = self.start("one", provider="codex")
        waiting = self.start("two", queue=True, provider="codex")
        assert "of codex" in self.reason(waiting)
        assert self.start("three", queue=True).status is SessionStatus.RUNNING
        self.world.ends(busy.id, 0)
        assert self.status(waiting.id) is SessionStatus.RUNNING

    def test_nobody_goes_to_work_where_another_waits_to(self) -> None:
        """A directory is kept for the first who wants it, from those who do not queue too."""
        self.start("one", provider="codex")
        waiting = self.start("two", queue=True, provider="codex")
        error = self.refused(
            self.world.sessions.start(StartSession(project_dir="two")), SessionAlreadyRunning
        )
        assert error.details == {"sessionId": waiting.id}
        behind = self.start("two", queue=True)
        assert waiting.id in self.reason(behind)
        first = self.start("two", priority=1)
        assert first.status is SessionStatus.RUNNING

    def test_those_that_wait_go_to_work_when_nothing_is_refused_any_more(self) -> None:
        """While the server refuses work nobody has his turn, and then all have it whose it is."""
        first = self.start("one")
        second = self.start("one", queue=True)
        self.world.launcher.refusal = "Not now."
        self.world.ends(first.id, 0)
        assert self.status(second.id) is SessionStatus.QUEUED
        self.world.launcher.refusal = None
        self.world.launcher.give_turns()
        assert self.status(second.id) is SessionStatus.RUNNING

    def test_who_leaves_the_line_lets_others_go(self) -> None:
        """A session that is stopped while it waits keeps its directory for nobody."""
        self.start("one", provider="codex")
        waiting = self.start("two", queue=True, provider="codex")
        behind = self.start("two", queue=True)
        stopped = self.successResultOf(self.world.sessions.stop(waiting.id))
        assert stopped.status is SessionStatus.STOPPED
        assert self.status(behind.id) is SessionStatus.RUNNING
        assert self.line() == []


class ReasonTests(WaitingCase):
    """What those that wait are told."""

    def test_the_reason_is_what_it_waits_for_now(self) -> None:
        """It changes with what is in the way, and each change is an event."""
        first = self.start("one")
        second = self.start("one", queue=True)
        third = self.start("one", queue=True)
        assert first.id in self.reason(third)
        told = self.world.log.types(third.id)
        self.world.ends(first.id, 0)
        assert self.status(second.id) is SessionStatus.RUNNING
        assert second.id in self.reason(third)
        assert self.world.log.types(third.id) == [*told, "session:updated"]
        self.world.ends(second.id, 0)
        assert self.world.sessions.get(third.id).reason is None

    def test_what_has_not_changed_is_not_told_again(self) -> None:
        """A session that comes or goes elsewhere is no news for one that waits."""
        self.start("one")
        waiting = self.start("one", queue=True)
        told = self.world.log.types(waiting.id)
        elsewhere = self.start("two")
        self.world.ends(elsewhere.id, 0)
        assert self.world.log.types(waiting.id) == told


class TroubleTests(WaitingCase):
    """What can go wrong while sessions wait."""

    def test_a_turn_that_cannot_be_put_on_record_is_taken_later(self) -> None:
        """Nothing is started that is not on record, and who waits does not wait for ever."""
        busy = self.start("one")
        waiting = self.start("one", queue=True)
        self.world.log.automatic = False
        self.world.ends(busy.id, 0)
        self.world.log.commit()
        self.world.log.broken = True
        self.world.log.commit()
        assert self.line() == [waiting.id]
        assert waiting.id not in self.world.runner.agents
        self.world.log.broken, self.world.log.automatic = False, True
        self.world.clock.advance(2)
        assert self.status(waiting.id) is SessionStatus.RUNNING

    def test_a_start_that_cannot_be_put_on_record_keeps_no_slot(self) -> None:
        """Who came to wait for it in the meantime has its turn."""
        log = self.world.log
        log.automatic = False
        starting = self.world.sessions.start(StartSession(project_dir="one"))
        refused, log._waiting = log._waiting, []
        waiting = self.world.sessions.start(StartSession(project_dir="one", queue=True))
        log.commit()
        session = self.successResultOf(waiting)
        assert session.status is SessionStatus.QUEUED
        log.automatic = True
        for _, done in refused:
            done.errback(StorageFailed("The disk is full."))
        self.refused(starting, StorageFailed)
        assert self.status(session.id) is SessionStatus.RUNNING

    def test_a_start_that_is_lost_when_nobody_waits_for_it_any_more_keeps_no_slot(self) -> None:
        """Who came to wait for its slot in the meantime has his turn, though nobody else ends."""
        world = self.world
        world.launcher.line.slots = Slots(server=1)
        world.control.runs[os.path.join(self.home, "two")] = [LiveRun(pid=99)]
        waiting = self.start("two", queue=True)
        world.log.automatic = False
        starting = world.sessions.start(StartSession(project_dir="one"))
        lost, world.log._waiting = world.log._waiting, []
        world.log.automatic = True
        world.control.runs.clear()
        world.clock.advance(2)
        assert "as many as may be" in self.reason(waiting)
        world.clock.advance(START_SECONDS)
        self.refused(starting, StorageFailed)
        assert self.line() == [waiting.id]

        for _, done in lost:
            done.errback(StorageFailed("The disk is gone."))
        assert world.sessions.list(SessionQuery()).total == 1
        world.clock.advance(2)
        assert self.status(waiting.id) is SessionStatus.RUNNING

    def test_a_program_that_is_gone_when_the_turn_comes(self) -> None:
        """The session has failed, and the next one has its turn."""
        busy = self.start("one")
        waiting = self.start("one", queue=True)
        behind = self.start("one", queue=True)
        providers = self.world.launcher.providers
        real = providers.plan

        def plan(request: LaunchRequest) -> LaunchPlan:
            if request.session_id == waiting.id:
                raise ProviderNotAvailable("It is gone.")
            return real(request)

        self.patch(providers, "plan", plan)
        self.world.ends(busy.id, 0)
        assert self.status(waiting.id) is SessionStatus.FAILED
        assert self.status(behind.id) is SessionStatus.RUNNING

    def test_somebody_elses_session_has_no_turn(self) -> None:
        """One that only stands in the state directory as queued is never launched by us."""
        sighting = SessionSighting(session_id="s1", status=SessionStatus.QUEUED)
        self.successResultOf(self.world.observer.seen(self.home, [sighting]))
        assert self.line() == ["s1"]
        self.world.launcher.give_turns()
        assert self.status("s1") is SessionStatus.QUEUED
        assert self.world.runner.agents == {}
