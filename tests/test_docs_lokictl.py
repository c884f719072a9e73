"""The page about ``lokictl`` is made of what it knows."""

from __future__ import annotations

import runpy
from pathlib import Path

import msgspec

from loki_twisted.access.interface import Scope
from loki_twisted.agents.providers.plugins import installed_providers
from loki_twisted.command.exits import MEANINGS, Exit
from loki_twisted.command.overview import Overview
from loki_twisted.command.values import (
    EVENT_TYPES,
    GROUPINGS,
    LEVELS,
    PROVIDERS,
    SCOPES,
    SESSION_STATUSES,
    TASK_STATUSES,
)
from loki_twisted.command.verbs import VERBS
from loki_twisted.command.verbs_recording import Written
from loki_twisted.command.verbs_tokens import KnownToken
from loki_twisted.model import events, wire
from loki_twisted.model.events import Event
from loki_twisted.model.filters import EVENT_GROUPS
from loki_twisted.model.ledger import Grouping
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import TaskStatus

DOCS = Path(__file__).parent.parent / "docs"


def test_it_is_the_committed_one() -> None:
    """The page in the repository is what its generator makes."""
    made = runpy.run_path(str(DOCS / "make_lokictl.py"))["page"]()

    assert (DOCS / "lokictl.rst").read_text("utf-8") == made
    for name in VERBS:
        assert f"\n{name}\n{'-' * len(name)}\n" in made


def test_what_is_printed_as_json() -> None:
    """The page tells of each verb the names of what it prints as JSON, and those that there are."""
    told = runpy.run_path(str(DOCS / "make_lokictl.py"))["JSON_OF"]
    printed = {
        **dict.fromkeys(("demo", "attach", "tail"), Event),
        **dict.fromkeys(("start", "continue", "stop", "pause", "resume"), wire.SessionOrder),
        "interrupt": wire.SessionOrder,
        "ps": wire.SessionList,
        "top": Overview,
        "inbox": wire.OpenInputs,
        "answer": wire.InputDetail,
        "input": wire.InputGiven,
        "rm": wire.SessionMessage,
        "tasks": wire.TaskList,
        "usage": wire.UsageReport,
        "health": wire.Health,
        "record": Written,
        "token": KnownToken,
    }
    names = {
        verb: [each.encode_name for each in msgspec.structs.fields(shape)]
        for verb, shape in printed.items()
    }
    assert {verb: told[verb][0].split() for verb in told} == {
        **names,
        "completion": ["shell", "script"],
    }
    assert told.keys() == VERBS.keys()


def test_every_exit_code_has_a_meaning() -> None:
    """There is no exit code of which the page says nothing."""
    assert list(MEANINGS) == list(Exit)


def test_the_values_of_options_are_those_of_the_server() -> None:
    """What lokictl knows by heart, to be fast, is what there is."""
    assert list(SESSION_STATUSES) == list(SessionStatus)
    assert list(TASK_STATUSES) == list(TaskStatus)
    assert set(GROUPINGS) == set(Grouping)
    assert LEVELS == events.LOG_LEVELS
    assert set(EVENT_TYPES) == {*events.EVENT_TYPES, *EVENT_GROUPS}
    assert list(SCOPES) == [each.value for each in Scope]
    assert set(PROVIDERS) <= set(installed_providers())
