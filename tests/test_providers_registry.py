"""Tests of the registry of providers, with stand-ins for the programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from loki_twisted.agents.interface import IProviders, LaunchRequest
from loki_twisted.agents.providers.loki_output import LokiModeDriver
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.registry import DEMO_PROGRAM, PROVIDERS, Providers
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable

CLIS = ["claude", "codex", "cline", "aider", "opencode"]
SHOW = '#!/bin/sh\nfor each in "$0" "$PWD" "$@"; do echo "$each"; done\nenv\ncat\n'
"""A stand-in that shows how it was started, and what it can read."""


class Machine:
    """A directory that is PATH, a project, and the providers that they make."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "bin"
        self.home = root / "home"
        self.bin.mkdir()
        self.home.mkdir()
        self.clock = Clock()
        self.environ = {"PATH": f"{self.bin}:/usr/bin:/bin", "LOKI_API_TOKEN": "s3cret"}
        self.providers = Providers(self.environ, self.clock)

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
def machine(tmp_path: Path) -> Machine:
    """One on which nothing is installed."""
    return Machine(tmp_path)


def test_interface(machine: Machine) -> None:
    """Providers provide IProviders."""
    assert verifyObject(IProviders, machine.providers)


def test_names() -> None:
    """What a request may name."""
    assert list(PROVIDERS) == [*CLIS, "loki", "demo"]


def test_what_is_available(machine: Machine) -> None:
    """The demo always is; a CLI is when it lies on PATH."""
    machine.install("codex")
    expected = dict.fromkeys(PROVIDERS, False) | {"codex": True, "demo": True}
    assert machine.providers.available() == expected


def test_an_answer_lasts_five_seconds(machine: Machine) -> None:
    """PATH is looked through again only after that."""
    assert not machine.providers.available()["loki"]
    machine.install("loki")
    machine.clock.advance(4.9)
    assert not machine.providers.available()["loki"]
    machine.clock.advance(0.2)
    assert machine.providers.available()["loki"]


def test_a_clock_that_goes_back(machine: Machine) -> None:
    """An answer from the future is not given."""
    machine.clock.advance(1000)
    assert not machine.providers.available()["claude"]
    machine.install("claude")
    machine.clock.rightNow = 10.0
    assert machine.providers.available()["claude"]


def test_without_a_path(tmp_path: Path) -> None:
    """An environment without PATH has the system's default one, and the demo."""
    providers = Providers({}, Clock())
    assert providers.available()["demo"]


def test_the_projects_run_script_comes_first(machine: Machine) -> None:
    """It reads input, runs in the project directory, and needs no other program."""
    script = machine.install_run_script()
    machine.install("loki")
    machine.install("claude")
    plan = machine.providers.plan(machine.request(prd_path="/p/prd.md", verbose=True))
    assert plan.argv == [script, "start", "--provider", "claude", "--verbose", "/p/prd.md"]
    assert plan.cwd == str(machine.home)
    assert plan.accepts_input
    assert plan.env["LOKI_SESSION_ID"] == "s1"
    assert plan.env["LOKI_API_MODE"] == "true"
    elsewhere = machine.providers.plan(machine.request(project_dir="/elsewhere"))
    assert (elsewhere.argv[0], elsewhere.cwd) == (script, "/elsewhere")


def test_loki_mode_comes_second(machine: Machine) -> None:
    """With an empty input, its own environment, and no LOKI_DIR."""
    loki = machine.install("loki")
    machine.install("claude")
    machine.environ["LOKI_DIR"] = "/p"
    plan = machine.providers.plan(machine.request(prompt="Mend it"))
    assert plan.argv[:2] == [loki, "start"]
    assert plan.argv[-2:] == ["--brief", "Mend it"]
    assert not plan.accepts_input
    assert plan.env["LOKI_DASHBOARD"] == "false"
    assert "LOKI_DIR" not in plan.env


def test_the_providers_own_cli_comes_third(machine: Machine) -> None:
    """Headless, with an empty input."""
    claude = machine.install("claude")
    plan = machine.providers.plan(machine.request(prompt="Mend it"))
    assert plan.argv == [claude, "-p", "--", "Mend it"]
    assert not plan.accepts_input
    assert "LOKI_DASHBOARD" not in plan.env


def test_loki_mode_itself_as_provider(machine: Machine) -> None:
    """It runs with the provider of its own settings."""
    loki = machine.install("loki")
    plan = machine.providers.plan(machine.request("loki"))
    assert plan.argv == [loki, "start", "--yes", "--no-plan", "--no-dashboard"]


@pytest.mark.parametrize("provider", [*CLIS, "loki"])
def test_nothing_installed(machine: Machine, provider: str) -> None:
    """A provider without its program is not available."""
    with pytest.raises(ProviderNotAvailable, match=provider) as caught:
        machine.providers.plan(machine.request(provider, prompt="Mend it"))
    assert caught.value.details == {"provider": provider}


def test_loki_mode_without_the_providers_cli(machine: Machine) -> None:
    """It is started all the same, and says itself what it misses."""
    loki = machine.install("loki")
    plan = machine.providers.plan(machine.request("codex", prompt="Mend it"))
    assert plan.argv[0] == loki


@pytest.mark.parametrize("provider", ["", "gemini", "../claude", "Claude", "sh"])
def test_no_such_provider(machine: Machine, provider: str) -> None:
    """Only names of the table are looked for, whatever lies on PATH."""
    with pytest.raises(InvalidRequest, match="is none of claude, codex"):
        machine.providers.plan(machine.request(provider, prompt="Mend it"))


def test_a_text_that_no_command_line_holds(machine: Machine) -> None:
    """It is refused for every provider, before anything is looked for."""
    for provider in PROVIDERS:
        with pytest.raises(InvalidRequest, match="NUL"):
            machine.providers.plan(machine.request(provider, prompt="a\0b"))


def test_the_demo_is_always_run_directly(machine: Machine) -> None:
    """Even where the project has a runner; with the interpreter that runs the server."""
    machine.install_run_script()
    machine.install("loki")
    plan = machine.providers.plan(machine.request("demo"))
    assert plan.argv == [sys.executable, "-I", DEMO_PROGRAM]
    assert plan.accepts_input
    wanted = machine.request("demo", dry_run=True, prompt="--x", prd_path="/p/prd.md", verbose=True)
    assert machine.providers.plan(wanted).argv[3:] == [
        "--dry-run",
        "--prd=/p/prd.md",
        "--prompt=Your task: --x",
    ]


def test_extra_names_go_through(tmp_path: Path) -> None:
    """What an operator names is given to agents."""
    providers = Providers(
        {"DATABASE_URL": "x", "OTHER": "y"}, Clock(), extra_env_names=["DATABASE_URL"]
    )
    request = LaunchRequest(session_id="s1", project_dir="/p", loki_dir="/p", provider="demo")
    env = providers.plan(request).env
    assert env["DATABASE_URL"] == "x"
    assert "OTHER" not in env


def test_a_secret_of_the_server_cannot_be_named() -> None:
    """The mistake is told at once, not when an agent misses it."""
    with pytest.raises(ValueError, match="LOKI_API_TOKEN"):
        Providers({}, Clock(), extra_env_names=["PATH2", "LOKI_API_TOKEN"])


def test_secrets_are_not_shown() -> None:
    """The representation of the registry does not hold the environment."""
    assert "s3cret" not in repr(Providers({"LOKI_API_TOKEN": "s3cret"}, Clock()))


@pytest.mark.parametrize("provider", [*PROVIDERS, "unknown"])
def test_drivers(machine: Machine, provider: str) -> None:
    """Each session has a driver of its own, of the plain line protocol where there is no other."""
    driver = machine.providers.driver(provider)
    assert isinstance(driver, LokiModeDriver if provider == "loki" else PlainDriver)
    assert driver is not machine.providers.driver(provider)


def test_what_a_program_really_gets(machine: Machine) -> None:
    """A plan, carried out, gives the program its arguments, its directory and no secret."""
    claude = machine.install("claude")
    text = "--a $(touch x); 'b'\nc"
    plan = machine.providers.plan(machine.request(prompt=text))
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
    said = f"{claude}\n{os.path.realpath(machine.home)}\n-p\n--\nYour task: {text}\n"
    assert done.stdout.startswith(said)
    assert "s3cret" not in done.stdout
    assert "LOKI_SESSION_ID=s1\n" in done.stdout
