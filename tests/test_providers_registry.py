"""Tests of the registry of providers, with stand-ins for the programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from zope.interface import implementer
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, IProviders
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.demonstration import DEMO_PROGRAM, DemoProvider
from loki_twisted.agents.providers.loki_mode import LokiModeProvider
from loki_twisted.agents.providers.loki_output import LokiModeDriver
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.plugins import by_name
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.agents.providers.registry import Providers
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.wire import ProviderAbilities
from tests.one_shot import OneShot

CLIS = ["claude", "codex", "cline", "aider", "opencode"]
OURS = [*CLIS, "loki", "demo"]
SHOW = '#!/bin/sh\nfor each in "$0" "$PWD" "$@"; do echo "$each"; done\nenv\ncat\n'
"""A stand-in that shows how it was started, and what it can read."""


def arguments(request: LaunchRequest) -> list[str]:
    """For any of the CLIs."""
    return ["-p", "--", prompt_of(request)]


PROVIDERS = by_name(
    [*(OneShot(name, arguments) for name in CLIS), LokiModeProvider(), DemoProvider()]
)


class Place:
    """A directory that is PATH, a project, and the providers that they make."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "bin"
        self.home = root / "home"
        self.bin.mkdir()
        self.home.mkdir()
        self.clock = Clock()
        self.environ = {"PATH": f"{self.bin}:/usr/bin:/bin", "LOKI_API_TOKEN": "s3cret"}
        self.providers = Providers(Machine(self.environ), self.clock, PROVIDERS)

    def install(self, name: str) -> str:
        """Put a stand-in on PATH."""
        return self._write(self.bin / name)

    def install_run_script(self) -> str:
        """Give the project a runner."""
        (self.home / "autonomy").mkdir()
        return self._write(self.home / "autonomy" / "run.sh")

    def request(self, provider: str = "claude", **changes: Any) -> LaunchRequest:
        """A request for a session in the project."""
        fields = {"project_dir": str(self.home), "loki_dir": str(self.home), **changes}
        return LaunchRequest(session_id="s1", provider=provider, **fields)

    def _write(self, path: Path) -> str:
        path.write_text(SHOW, encoding="utf-8")
        path.chmod(0o755)
        return str(path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One at which nothing is installed."""
    return Place(tmp_path)


def test_interface(place: Place) -> None:
    """Providers provide IProviders, and what they are given is a machine."""
    assert verifyObject(IProviders, place.providers)
    assert verifyObject(IMachine, place.providers.machine)


def test_what_is_available(place: Place) -> None:
    """The demo always is; a CLI is when it lies on PATH."""
    place.install("codex")
    expected = dict.fromkeys(OURS, False) | {"codex": True, "demo": True}
    assert place.providers.available() == expected


def test_an_answer_lasts_five_seconds(place: Place) -> None:
    """PATH is looked through again only after that."""
    assert not place.providers.available()["loki"]
    place.install("loki")
    place.clock.advance(4.9)
    assert not place.providers.available()["loki"]
    place.clock.advance(0.2)
    assert place.providers.available()["loki"]


def test_a_clock_that_goes_back(place: Place) -> None:
    """An answer from the future is not given."""
    place.clock.advance(1000)
    assert not place.providers.available()["claude"]
    place.install("claude")
    place.clock.rightNow = 10.0
    assert place.providers.available()["claude"]


def test_without_a_path(tmp_path: Path) -> None:
    """An environment without PATH has the system's default one, and the demo."""
    providers = Providers(Machine({}), Clock())
    assert providers.available()["demo"]


def test_the_projects_run_script_comes_first(place: Place) -> None:
    """It reads input, runs in the project directory, and needs no other program."""
    script = place.install_run_script()
    place.install("loki")
    place.install("claude")
    plan = place.providers.plan(place.request(prd_path="/p/prd.md", verbose=True))
    assert plan.argv == [script, "start", "--provider", "claude", "--verbose", "/p/prd.md"]
    assert plan.cwd == str(place.home)
    assert plan.accepts_input
    assert plan.env["LOKI_SESSION_ID"] == "s1"
    assert plan.env["LOKI_API_MODE"] == "true"
    elsewhere = place.providers.plan(place.request(project_dir="/elsewhere"))
    assert (elsewhere.argv[0], elsewhere.cwd) == (script, "/elsewhere")


def test_loki_mode_comes_second(place: Place) -> None:
    """With an empty input, its own environment, and no LOKI_DIR."""
    loki = place.install("loki")
    place.install("claude")
    place.environ["LOKI_DIR"] = "/p"
    plan = place.providers.plan(place.request(prompt="Mend it"))
    assert plan.argv[:2] == [loki, "start"]
    assert plan.argv[-2:] == ["--brief", "Mend it"]
    assert not plan.accepts_input
    assert plan.env["LOKI_DASHBOARD"] == "false"
    assert "LOKI_DIR" not in plan.env


def test_the_providers_own_cli_comes_third(place: Place) -> None:
    """Headless, with an empty input."""
    claude = place.install("claude")
    plan = place.providers.plan(place.request(prompt="Mend it"))
    assert plan.argv == [claude, "-p", "--", "Mend it"]
    assert not plan.accepts_input
    assert "LOKI_DASHBOARD" not in plan.env


def test_loki_mode_itself_as_provider(place: Place) -> None:
    """It runs with the provider of its own settings."""
    loki = place.install("loki")
    plan = place.providers.plan(place.request("loki"))
    assert plan.argv == [loki, "start", "--yes", "--no-plan", "--no-dashboard"]


@pytest.mark.parametrize("provider", [*CLIS, "loki"])
def test_nothing_installed(place: Place, provider: str) -> None:
    """A provider without its program is not available."""
    with pytest.raises(ProviderNotAvailable, match=provider) as caught:
        place.providers.plan(place.request(provider, prompt="Mend it"))
    assert caught.value.details == {"provider": provider}


def test_loki_mode_without_the_providers_cli(place: Place) -> None:
    """It is started all the same, and says itself what it misses."""
    loki = place.install("loki")
    plan = place.providers.plan(place.request("codex", prompt="Mend it"))
    assert plan.argv[0] == loki


@pytest.mark.parametrize("provider", ["", "gemini", "../claude", "Claude", "sh"])
def test_no_such_provider(place: Place, provider: str) -> None:
    """Only names of the table are looked for, whatever lies on PATH."""
    with pytest.raises(InvalidRequest, match="is none of claude, codex"):
        place.providers.plan(place.request(provider, prompt="Mend it"))


def test_a_text_that_no_command_line_holds(place: Place) -> None:
    """It is refused for every provider, before anything is looked for."""
    for provider in OURS:
        with pytest.raises(InvalidRequest, match="NUL"):
            place.providers.plan(place.request(provider, prompt="a\0b"))


def test_the_providers_own_cli_can_be_asked_for(place: Place) -> None:
    """Then Loki Mode is passed over, as script and as command."""
    place.install_run_script()
    place.install("loki")
    claude = place.install("claude")
    plan = place.providers.plan(place.request(prompt="Mend it", direct=True))
    assert plan.argv[0] == claude


def test_nothing_stays_for_messages_that_it_cannot_take(place: Place) -> None:
    """It is refused, where an agent would wait for ever; Loki Mode takes them."""
    place.install("claude")
    wanted = place.request(prompt="Mend it", stays_open=True)
    with pytest.raises(InvalidRequest, match=r"options\.stayOpen"):
        place.providers.plan(wanted)
    place.install("loki")
    assert place.providers.plan(wanted)


def test_the_demo_is_always_run_directly(place: Place) -> None:
    """Even where the project has a runner; with the interpreter that runs the server."""
    place.install_run_script()
    place.install("loki")
    plan = place.providers.plan(place.request("demo"))
    assert plan.argv == [sys.executable, "-I", DEMO_PROGRAM]
    assert plan.accepts_input
    wanted = place.request("demo", dry_run=True, prompt="--x", prd_path="/p/prd.md", verbose=True)
    assert place.providers.plan(wanted).argv[3:] == [
        "--dry-run",
        "--prd=/p/prd.md",
        "--prompt=Your task: --x",
    ]


def test_extra_names_go_through(tmp_path: Path) -> None:
    """What an operator names is given to agents."""
    environ = {"DATABASE_URL": "x", "OTHER": "y"}
    providers = Providers(Machine(environ, extra_env_names=["DATABASE_URL"]), Clock())
    request = LaunchRequest(session_id="s1", project_dir="/p", loki_dir="/p", provider="demo")
    env = providers.plan(request).env
    assert env["DATABASE_URL"] == "x"
    assert "OTHER" not in env


def test_a_secret_of_the_server_cannot_be_named() -> None:
    """The mistake is told at once, not when an agent misses it."""
    with pytest.raises(ValueError, match="LOKI_API_TOKEN"):
        Machine({}, extra_env_names=["PATH2", "LOKI_API_TOKEN"])


def test_secrets_are_not_shown() -> None:
    """The representation of the registry does not hold the environment."""
    assert "s3cret" not in repr(Providers(Machine({"LOKI_API_TOKEN": "s3cret"}), Clock()))


@pytest.mark.parametrize("provider", ["loki", "demo", "unknown"])
def test_drivers(place: Place, provider: str) -> None:
    """Each session has a driver of its own, of the plain line protocol where there is no other."""
    request = place.request(provider)
    driver = place.providers.driver(request, "")
    assert isinstance(driver, LokiModeDriver if provider == "loki" else PlainDriver)
    assert driver is not place.providers.driver(request, "")


def test_what_is_told_of_them(place: Place) -> None:
    """Each by its name, with whether it is there and what it can do."""
    place.install("claude")
    told = {each.name: each for each in place.providers.described()}
    assert list(told) == OURS
    assert {name for name, each in told.items() if each.available} == {"claude", "demo"}
    assert told["demo"].abilities == ProviderAbilities(
        asks=True, messaging="now", continues=False, cost=CostOrigin.REPORTED
    )


def test_a_provider_that_is_not_there_any_more(place: Place) -> None:
    """Its agents go on by the plain line protocol, whatever their driver remembered."""
    driver = place.providers.driver(place.request("unknown"), '{"thread": "t1"}')
    assert [fact.type for fact in driver.line("stdout", "hello")] == ["log:info"]
    assert driver.memory() == ""


def test_abilities(place: Place) -> None:
    """Those of the provider; one that is not there has none."""
    assert place.providers.abilities("demo").asks
    assert place.providers.abilities("unknown") == Abilities()


def test_what_a_program_really_gets(place: Place) -> None:
    """A plan, carried out, gives the program its arguments, its directory and no secret."""
    claude = place.install("claude")
    text = "--a $(touch x); 'b'\nc"
    plan = place.providers.plan(place.request(prompt=text))
    done = subprocess.run(
        plan.argv,
        cwd=plan.cwd,
        env=dict(plan.env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = f"{claude}\n{os.path.realpath(place.home)}\n-p\n--\nYour task: {text}\n"
    assert done.stdout.startswith(said)
    assert "s3cret" not in done.stdout
    assert "LOKI_SESSION_ID=s1\n" in done.stdout


@implementer(IProvider)
class Broken:
    """A provider that can do nothing."""

    name = "broken"
    through_loki_mode = False
    abilities = Abilities()

    def program(self, machine: IMachine) -> str | None:
        raise OSError("no such disk")

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        raise KeyError("plan")

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        raise ValueError(memory)


def test_a_provider_that_fails_is_not_available(place: Place) -> None:
    """The others are all the same, and it is logged once why."""
    broken = Broken()
    providers = Providers(Machine(place.environ), place.clock, {"broken": broken, **PROVIDERS})
    with capturedLogs() as logged:
        assert not providers.available()["broken"]
        assert providers.available()["demo"]
        place.clock.advance(6)
        assert not providers.available()["broken"]
    assert [each["log_failure"].type for each in logged] == [OSError]


def test_a_provider_that_fails_starts_nothing(place: Place) -> None:
    """The request is answered as if it were not installed, and the log has the rest."""
    providers = Providers(Machine(place.environ), place.clock, {"broken": Broken()})
    with capturedLogs() as logged, pytest.raises(ProviderNotAvailable, match="'broken' is broken"):
        providers.plan(place.request("broken"))
    assert [each["log_failure"].type for each in logged] == [KeyError]


def test_a_provider_without_a_driver(place: Place) -> None:
    """What its agents print is still told, as that of any agent."""
    providers = Providers(Machine(place.environ), place.clock, {"broken": Broken()})
    with capturedLogs() as logged:
        driver = providers.driver(place.request("broken"), "")
    assert [fact.type for fact in driver.line("stdout", "hello")] == ["log:info"]
    assert [each["log_failure"].type for each in logged] == [ValueError]
