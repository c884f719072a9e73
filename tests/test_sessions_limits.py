"""Sessions give their agents the limits that the operator has set."""

from __future__ import annotations

import tempfile

import attrs

from loki_twisted.agents.interface import Limits
from loki_twisted.model.wire import StartSession
from tests.fakes_sessions import FakeDriver
from tests.test_sessions_service import World


def test_each_plan_has_the_limits_of_the_policy() -> None:
    """Whatever a provider plans, its agent may use what the operator allows."""
    limits = Limits(memory_bytes=10**9, file_bytes=5)
    with tempfile.TemporaryDirectory() as home:
        world = World(home)
        world.launcher.policy = attrs.evolve(world.launcher.policy, limits=limits)
        world.sessions.start(StartSession(provider="claude"))
        assert [plan.limits for plan in world.runner.plans] == [limits]


def test_lines_are_as_long_and_rich_as_the_driver_wants_them() -> None:
    """An agent is followed with the limits of the driver of its provider."""
    with tempfile.TemporaryDirectory() as home:
        world = World(home)
        world.sessions.start(StartSession(provider="claude"))
        (agent,) = world.runner.agents.values()
        assert agent.limits == (FakeDriver.line_limit, FakeDriver.value_limit)
