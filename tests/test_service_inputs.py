"""What becomes of questions that nobody answers: from settings to the sessions."""

from __future__ import annotations

from typing import Any

import pytest

from loki_twisted.model.wire import StartOptions, StartSession
from loki_twisted.policies import launch_policy_of
from loki_twisted.sessions.inbox import InputPolicy, OnUnanswered
from loki_twisted.settings import Settings

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("given", "limit_ms"),
    [({}, HOUR_MS), ({"input_seconds": 1.5}, 1_500), ({"input_seconds": 0}, None)],
    ids=["nothing said", "said", "for ever"],
)
def test_how_long_they_wait(given: dict[str, Any], limit_ms: int | None) -> None:
    """A policy that answers does so after an hour, unless the operator says otherwise."""
    settings = Settings(loki_dir="/project", on_unanswered="deny", **given)
    assert launch_policy_of(settings).inputs == InputPolicy(OnUnanswered.DENY, limit_ms)


def test_a_session_that_says_so_itself() -> None:
    """One that is to deny has that limit too, on a server that says nothing."""
    policy = launch_policy_of(Settings(loki_dir="/project"))
    assert policy.inputs.on_unanswered is OnUnanswered.WAIT
    wanted = StartSession(options=StartOptions(on_unanswered="deny"))
    assert policy.inputs_of(wanted) == InputPolicy(OnUnanswered.DENY, HOUR_MS)


def test_how_many_wait() -> None:
    """A server has an end to its line, whoever says nothing about it."""
    assert launch_policy_of(Settings(loki_dir="/project")).max_queued == 1000
    assert launch_policy_of(Settings(loki_dir="/project", max_queued=3)).max_queued == 3
