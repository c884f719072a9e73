"""Tests of finding providers, ours and those of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from twisted.logger import capturedLogs
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import Abilities, IProvider
from loki_twisted.agents.providers.plugins import by_name, installed_providers
from tests.one_shot import OneShot

CHECKOUT = Path(__file__).parent.parent
OURS = {"claude", "codex", "codex-exec", "cline", "aider", "opencode", "loki", "demo", "command"}
TIMEOUT = 60

GOOD = """
from tests.one_shot import OneShot

mine = OneShot("mine", lambda request: [])
claude = OneShot("claude", lambda request: ["mine"])
"""
BROKEN = "raise RuntimeError('broken on import')"
LIAR = """
from zope.interface import implementer
from twisted.plugin import IPlugin
from loki_twisted.agents.driving import IProvider

@implementer(IProvider)
class Liar:
    name = "liar"

liar = Liar()
"""
OTHERS = """
import sys
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
list(getPlugins(IServiceMaker))
print(*sorted(name for name in sys.modules if name.startswith("loki_twisted.")))
"""
SHOW = """
import sys
from loki_twisted.agents.providers.plugins import installed_providers
found = installed_providers()
print(*found)
print(type(found["claude"]).__module__, found["claude"] is sys.modules[
    "twisted.plugins.loki_providers"].claude)
print([name for name in sys.modules if name in ("twisted.internet.reactor", "klein")])
"""
DRIVERS = """
import sys
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.providers.plugins import installed_providers
import loki_twisted.service
found = installed_providers()
loaded = set(sys.modules)
for name, provider in found.items():
    request = LaunchRequest(session_id="s", project_dir="/p", loki_dir="/p", provider=name)
    driver = provider.driver(request, "")
    print(name, type(driver).__module__, type(driver).__module__ in loaded)
"""
SMALL_DRIVERS = {"command", "loki_output", "plain"}
"""Modules of drivers that a start of the server may load: they are of no size."""


def provider(name: object = "mine", **changes: object) -> OneShot:
    """A provider, or something that takes itself for one."""
    made = OneShot("mine", lambda request: [])
    return attrs.evolve(made, name=name, **changes)  # type: ignore[arg-type]


def test_all_of_ours_are_found() -> None:
    """Each is a provider, under its own name."""
    found = installed_providers()
    assert set(found) >= OURS
    for name, each in found.items():
        assert verifyObject(IProvider, each)
        assert each.name == name


def test_of_two_of_a_name_the_first_stays() -> None:
    """The other one is left out, and that is logged."""
    first, second = provider(), provider()
    with capturedLogs() as logged:
        assert by_name([first, second])["mine"] is first
    assert len(logged) == 1


def test_the_same_one_twice_is_one() -> None:
    """There is nothing to log then."""
    mine = provider()
    with capturedLogs() as logged:
        assert by_name([mine, mine]) == {"mine": mine}
    assert logged == []


@pytest.mark.parametrize(
    "wrong",
    [
        provider(""),
        provider("Mine"),
        provider("../mine"),
        provider("a" * 33),
        provider("mine\n"),
        provider(None),
        provider(abilities="all"),
    ],
)
def test_what_no_request_can_name_is_left_out(wrong: OneShot) -> None:
    """So is what has no abilities; the log says why."""
    good = provider()
    with capturedLogs() as logged:
        assert by_name([wrong, good]) == {"mine": good}
    assert len(logged) == 1


def test_what_only_says_that_it_is_a_provider_is_left_out() -> None:
    """Also where asking it for its name is asking too much."""

    class Surly:
        abilities = Abilities()
        through_loki_mode = False

        @property
        def name(self) -> str:
            raise RuntimeError("do not ask")

    surly, empty = Surly(), Surly()
    directlyProvides(surly, IProvider)
    directlyProvides(empty, IProvider)
    with capturedLogs() as logged:
        assert by_name([surly, empty]) == {}
    assert len(logged) == 2


def test_plugins_of_others(tmp_path: Path) -> None:
    """Those that are good are there, the others do no harm, and none takes the place of ours."""
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    for name, text in (("aa_good", GOOD), ("aa_broken", BROKEN), ("aa_liar", LIAR)):
        (plugins / f"{name}.py").write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(CHECKOUT)])},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    names, claude, _ = ended.stdout.splitlines()
    assert set(names.split()) >= OURS | {"mine"}
    assert "liar" not in names.split()
    assert claude.endswith(" True")


def test_who_looks_for_other_plugins_loads_none_of_them() -> None:
    """Once Twisted has noted what there is, no other command of twistd takes longer for it."""
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", OTHERS],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=True,
        )
    assert ended.stdout.split() == ["loki_twisted.agents", "loki_twisted.agents.plugin"]


def test_finding_them_chooses_no_reactor() -> None:
    """Nor does it import the web: a program that only wants to know pays for no more."""
    ended = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_a_driver_is_loaded_with_the_first_session_of_its_kind() -> None:
    """A server that starts loads no driver but the small ones, however many kinds there are."""
    ended = subprocess.run(
        [sys.executable, "-c", DRIVERS],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    lines = [line.split() for line in ended.stdout.splitlines()]
    loaded = {module.rpartition(".")[2] for _, module, was_loaded in lines if was_loaded == "True"}
    assert {name for name, _, _ in lines} >= OURS
    assert loaded <= SMALL_DRIVERS
