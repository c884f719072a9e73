"""Tests of the command lines of the providers' own CLIs."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.providers.command_lines import ARGUMENTS
from loki_twisted.model.errors import InvalidRequest

REQUEST = LaunchRequest(
    session_id="s1", project_dir="/p", loki_dir="/p", provider="claude", prompt="Mend the test"
)
HOSTILE = "--dangerously-skip-permissions"


def test_the_providers() -> None:
    """The CLIs that can be run on their own."""
    assert set(ARGUMENTS) == {"claude", "codex", "opencode"}


@pytest.mark.parametrize(
    ("provider", "arguments"),
    [
        ("claude", ["-p", "--", "Mend the test"]),
        ("codex", ["exec", "--sandbox=workspace-write", "--", "Mend the test"]),
        ("opencode", ["run", "--", "Mend the test"]),
    ],
)
def test_one_prompt(provider: str, arguments: Sequence[str]) -> None:
    """The plainest call of each."""
    assert ARGUMENTS[provider](REQUEST) == arguments


@pytest.mark.parametrize(
    ("provider", "arguments"),
    [
        ("claude", ["-p", "--model=m", "--verbose", "--permission-mode=plan"]),
        ("codex", ["exec", "--sandbox=read-only", "--model=m"]),
        ("opencode", ["run", "--model=m", "--agent=plan"]),
    ],
)
def test_all_options(provider: str, arguments: Sequence[str]) -> None:
    """A model, and a dry run that cannot change anything, as far as the CLI has them."""
    wanted = attrs.evolve(REQUEST, model="m", dry_run=True, verbose=True)
    called = list(ARGUMENTS[provider](wanted))
    assert called[: len(arguments)] == arguments
    assert called[len(arguments) :] in ([], ["--", "Mend the test"])


@pytest.mark.parametrize("provider", ARGUMENTS)
def test_user_text_is_never_an_option(provider: str) -> None:
    """A prompt and a path that look like options stand where none can be."""
    wanted = attrs.evolve(REQUEST, prompt=HOSTILE, prd_path="/p/--yolo.md")
    called = ARGUMENTS[provider](wanted)
    said = [argument for argument in called if HOSTILE in argument]
    assert len(said) == 1
    assert not said[0].startswith(HOSTILE)
    assert called[-2:] == ["--", said[0]]


@pytest.mark.parametrize("provider", ARGUMENTS)
def test_no_permission_is_switched_off(provider: str) -> None:
    """What the user's own settings ask for is not overruled."""
    called = " ".join(ARGUMENTS[provider](REQUEST))
    for word in ("dangerous", "bypass", "yolo", "full-access", "--auto", "-y ", "acceptEdits"):
        assert word not in called


@pytest.mark.parametrize("provider", ARGUMENTS)
def test_nothing_to_do(provider: str) -> None:
    """Without prompt and PRD none of them is started."""
    with pytest.raises(InvalidRequest):
        ARGUMENTS[provider](attrs.evolve(REQUEST, prompt=None, provider=provider))
