"""Tests of the providers whose programs speak the Agent Client Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.acp import AcpDriver
from loki_twisted.agents.providers.acp_programs import AcpCommand, AcpProgram
from loki_twisted.agents.providers.loki_mode import LokiModeProvider
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.plugins import by_name, installed_providers
from loki_twisted.agents.providers.registry import Providers
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable

NAMED = ["gemini", "goose", "copilot"]
ALL = [*NAMED, "acp"]
INSTALLED = installed_providers()
PROVIDERS = by_name([*(INSTALLED[name] for name in ALL), LokiModeProvider()])


class Place:
    """A directory that is PATH."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def install(self, *names: str) -> None:
        """Put programs on PATH."""
        for name in names:
            path = self.root / name
            path.write_text("#!/bin/sh\n", encoding="utf-8")
            path.chmod(0o755)

    def providers(self, *, allowed: bool = True, **environ: str) -> Providers:
        """Those of a server whose operator allows commands, or does not."""
        machine = Machine({"PATH": str(self.root), **environ}, allows_commands=allowed)
        return Providers(machine, Clock(), PROVIDERS)

    def plan(self, provider: str, **changes: Any) -> LaunchPlan:
        """How a session is started."""
        return self.providers().plan(request(provider, **changes))


def request(provider: str, **changes: Any) -> LaunchRequest:
    """A request for a session."""
    fields = {"project_dir": "/p", "loki_dir": "/l", "prompt": "-x; $(touch y)", **changes}
    return LaunchRequest(session_id="s1", provider=provider, **fields)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One where the three are installed, and Loki Mode."""
    place = Place(tmp_path)
    place.install(*NAMED, "loki", "other-agent")
    return place


@pytest.mark.parametrize("name", ALL)
def test_what_they_are(name: str) -> None:
    """They come with loki_twisted, ask, take messages between turns, and are driven alike."""
    provider = INSTALLED[name]
    assert verifyObject(IProvider, provider)
    assert isinstance(provider, AcpCommand if name == "acp" else AcpProgram)
    abilities = provider.abilities
    assert (abilities.asks, abilities.messaging, abilities.continues) == (
        True,
        Messaging.NEXT,
        True,
    )
    assert isinstance(provider.driver(request(name), ""), AcpDriver)


@pytest.mark.parametrize(
    ("name", "changes", "arguments"),
    [
        ("gemini", {}, ["--acp"]),
        ("gemini", {"model": "m"}, ["--acp", "--model=m"]),
        ("gemini", {"dry_run": True}, ["--acp"]),
        ("goose", {"model": "m"}, ["acp"]),
        ("copilot", {"model": "m"}, ["--acp", "--model=m"]),
    ],
)
def test_how_they_are_started(
    place: Place, name: str, changes: dict[str, Any], arguments: list[str]
) -> None:
    """By themselves, also where Loki Mode is; what they are to do is not among the arguments."""
    plan = place.plan(name, **changes)
    assert list(plan.argv) == [str(place.root / name), *arguments]
    assert (plan.cwd, plan.accepts_input) == ("/p", True)


def test_the_model_of_goose(place: Place) -> None:
    """It is a variable, and the user's own stands where none is wanted."""
    assert place.plan("goose", model="m").env["GOOSE_MODEL"] == "m"
    providers = place.providers(GOOSE_MODEL="own", GOOSE_MODE="approve")
    env = providers.plan(request("goose")).env
    assert (env["GOOSE_MODEL"], env["GOOSE_MODE"]) == ("own", "approve")


@pytest.mark.parametrize("name", ["goose", "copilot", "acp"])
def test_those_that_cannot_only_look(place: Place, name: str) -> None:
    """A dry run of theirs is refused rather than made a real one."""
    command = ["other-agent"] if name == "acp" else None
    with pytest.raises(InvalidRequest, match="no way to look without touching"):
        place.plan(name, dry_run=True, command=command)


@pytest.mark.parametrize("name", ALL)
def test_without_anything_to_do(place: Place, name: str) -> None:
    """There has to be a prompt, or else the session has to wait for one."""
    command = ["other-agent"] if name == "acp" else None
    with pytest.raises(InvalidRequest, match="prompt"):
        place.plan(name, prompt=None, command=command)
    assert place.plan(name, prompt=None, command=command, stays_open=True).accepts_input


@pytest.mark.parametrize("name", NAMED)
def test_those_that_are_not_installed(tmp_path: Path, name: str) -> None:
    """They are not available, whatever else is."""
    place = Place(tmp_path)
    place.install("loki")
    with pytest.raises(ProviderNotAvailable, match=name):
        place.plan(name)
    assert not place.providers().available()[name]


def test_any_program(place: Place) -> None:
    """Its arguments are those of the command, word for word."""
    words = ["--acp", "$(touch x)", "a b", ""]
    plan = place.plan("acp", command=["other-agent", *words])
    assert list(plan.argv) == [str(place.root / "other-agent"), *words]
    assert plan.accepts_input


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"command": None}, "command"),
        ({"command": ["./other-agent"]}, "command.0"),
        ({"command": ["other-agent"], "model": "m"}, "model"),
    ],
)
def test_commands_that_are_none(place: Place, changes: dict[str, Any], field: str) -> None:
    """What is missing, or is for the command itself to say, is named."""
    with pytest.raises(InvalidRequest) as caught:
        place.plan("acp", **changes)
    assert caught.value.details is not None
    assert [each["path"] for each in caught.value.details["errors"]] == [field]


def test_where_commands_are_not_allowed(place: Place) -> None:
    """There is no such provider for anybody then."""
    providers = place.providers(allowed=False)
    assert not providers.available()["acp"]
    with pytest.raises(InvalidRequest, match="--allow-commands"):
        providers.plan(request("acp", command=["other-agent"]))


def test_the_others_take_no_command(place: Place) -> None:
    """Each has a program of its own."""
    with pytest.raises(InvalidRequest, match="takes no command"):
        place.plan("gemini", command=["other-agent"])
