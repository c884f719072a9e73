"""Tests of the provider of any program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver, IProvider
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import Asked, Taken, Write
from loki_twisted.agents.providers.command import CommandDriver, CommandProvider
from loki_twisted.agents.providers.demonstration import DemoProvider
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.plugins import by_name
from loki_twisted.agents.providers.registry import Providers
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message

PROVIDERS = by_name([CommandProvider(), DemoProvider()])
SHELL_WORDS = ["--flag", "$(touch x)", "; rm -r .", "a b", "", "*"]


class Place:
    """A directory that is PATH, and a server's providers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()

    def providers(self, *, allowed: bool = True) -> Providers:
        """Those of a server whose operator allows commands, or does not."""
        machine = Machine({"PATH": str(self.root / "bin")}, allows_commands=allowed)
        return Providers(machine, self.clock, PROVIDERS)

    def install(self, name: str, mode: int = 0o755) -> str:
        """Put a program on PATH."""
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(mode)
        return str(path)

    def request(self, *command: str, **changes: Any) -> LaunchRequest:
        """A request for a command."""
        fields = {"project_dir": "/p", "loki_dir": "/l", "provider": "command", **changes}
        return LaunchRequest(session_id="s1", command=command, **fields)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One at which nothing is installed."""
    return Place(tmp_path)


def fault(providers: Providers, request: LaunchRequest) -> tuple[str, str]:
    """The only thing that a request is refused for: where, and what."""
    with pytest.raises(InvalidRequest) as caught:
        providers.plan(request)
    assert caught.value.details is not None
    (error,) = caught.value.details["errors"]
    return error["path"], error["message"]


def test_interfaces() -> None:
    """The provider and its driver are what they claim to be."""
    assert verifyObject(IProvider, CommandProvider())
    assert verifyObject(IDriver, CommandDriver(None))


def test_a_program_on_the_path(place: Place) -> None:
    """It is run where the project is, with its arguments as they are, and reads its input."""
    program = place.install("tool")
    plan = place.providers().plan(place.request("tool", *SHELL_WORDS))
    assert plan.argv == [program, *SHELL_WORDS]
    assert (plan.cwd, plan.accepts_input) == ("/p", True)
    assert plan.env["LOKI_SESSION_ID"] == "s1"


def test_a_program_by_its_path(place: Place) -> None:
    """It need not lie on PATH."""
    program = place.install("tool")
    machine = Machine({"PATH": "/nowhere"}, allows_commands=True)
    plan = Providers(machine, place.clock, PROVIDERS).plan(place.request(program))
    assert plan.argv == [program]


@pytest.mark.parametrize("name", ["bin/tool", "./tool", "../bin/tool", ""])
def test_a_path_is_absolute(place: Place, name: str) -> None:
    """What a relative one names would depend on where the server stands."""
    place.install("tool")
    assert fault(place.providers(), place.request(name))[0] == "command.0"


def test_what_cannot_be_run(place: Place) -> None:
    """A file that is no program and one that is not there are told as not installed."""
    for path in (place.install("data", 0o644), str(place.root), "/nowhere/at/all", "unknown"):
        with pytest.raises(ProviderNotAvailable) as caught:
            place.providers().plan(place.request(path))
        assert caught.value.details == {"provider": "command", "program": path}


def test_nothing_is_run_that_is_not_allowed(place: Place) -> None:
    """Without the operator's word a command is no valid request, whatever it names."""
    program = place.install("tool")
    for word in (program, "tool", "unknown"):
        path, message = fault(place.providers(allowed=False), place.request(word))
        assert path == "command"
        assert "--allow-commands" in message


def test_it_is_available_where_it_is_allowed(place: Place) -> None:
    """Else it is not there, as a program that is not installed."""
    assert place.providers().available() == {"command": True, "demo": True}
    assert place.providers(allowed=False).available() == {"command": False, "demo": True}


@pytest.mark.parametrize("allowed", [True, False])
def test_other_providers_have_programs_of_their_own(place: Place, allowed: bool) -> None:
    """A command for one of them is refused, and not passed over in silence."""
    request = place.request("tool", provider="demo")
    path, message = fault(place.providers(allowed=allowed), request)
    assert path == "command"
    assert "demo has a program of its own" in message


@pytest.mark.parametrize("command", [None, ()])
def test_a_command_is_needed(place: Place, command: tuple[str, ...] | None) -> None:
    """There is nothing to run without one."""
    request = LaunchRequest(
        session_id="s1", project_dir="/p", loki_dir="/l", provider="command", command=command
    )
    assert fault(place.providers(), request)[0] == "command"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"prd_path": "/p/prd.md"}, "prdPath"),
        ({"model": "m"}, "model"),
        ({"dry_run": True}, "options.dryRun"),
    ],
)
def test_what_no_program_in_general_can(place: Place, changes: dict[str, Any], path: str) -> None:
    """It is refused: above all a dry run never runs."""
    place.install("tool")
    assert fault(place.providers(), place.request("tool", **changes))[0] == path


@pytest.mark.parametrize("word", ["a\0b", "\ud800", "x" * 120_001])
def test_words_that_no_command_line_holds(place: Place, word: str) -> None:
    """They are named by their place."""
    place.install("tool")
    assert fault(place.providers(), place.request("tool", "fine", word))[0] == "command.2"


def test_what_it_is_to_do_is_said_first(place: Place) -> None:
    """The prompt is the first line of its input."""
    driver = place.providers().driver(place.request("tool", prompt="Mend it"), "")
    assert driver.begin() == [Write("Mend it\n")]
    assert place.providers().driver(place.request("tool"), "").begin() == ()


def test_it_speaks_the_plain_line_protocol(place: Place) -> None:
    """It asks, is answered and is told things, and its questions are counted over restarts."""
    request = place.request("tool")
    driver = place.providers().driver(request, "")
    (first,) = driver.line("stdout", '{"type": "input:requested", "prompt": "Which?"}')
    assert isinstance(first, Asked)
    assert driver.answer(first.key, Answer(values=("this",))) == [Write("this\n")]
    later = place.providers().driver(request, driver.memory())
    (second,) = later.line("stdout", '{"type": "input:requested", "prompt": "Which?"}')
    assert isinstance(second, Asked)
    assert second.key != first.key
    message = Message(id="m1", session_id="s1", text="go on", created_at="")
    assert later.say(message) == [Write("go on\n"), Taken("m1")]


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_an_answer_is_one_line(values: list[str]) -> None:
    """Whatever it has, it is not taken for the answers to what is asked next."""
    [written] = PlainDriver().answer("question-1", Answer(values=tuple(values)))
    assert isinstance(written, Write)
    assert written.text.endswith("\n")
    assert len(written.text.splitlines()) == 1
    assert written.text.split() == ", ".join(values).split()
