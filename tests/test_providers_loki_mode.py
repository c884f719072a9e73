"""Tests of the two ways of starting Loki Mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.providers.loki_mode import (
    LOKI_START_ENVIRONMENT,
    loki_arguments,
    loki_environment,
    maybe_run_script,
    run_script_arguments,
)
from loki_twisted.model.errors import InvalidRequest

REQUEST = LaunchRequest(session_id="s1", project_dir="/p", loki_dir="/p", provider="claude")
START = ["start", "--provider", "claude", "--yes", "--no-plan", "--no-dashboard"]


def request(**changes: Any) -> LaunchRequest:
    """A request that differs in some fields."""
    return attrs.evolve(REQUEST, **changes)


def test_the_run_script_of_a_project(tmp_path: Path) -> None:
    """It is one if it lies there and can be run."""
    assert maybe_run_script(str(tmp_path)) is None
    script = tmp_path / "autonomy" / "run.sh"
    script.mkdir(parents=True)
    assert maybe_run_script(str(tmp_path)) is None
    script.rmdir()
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o644)
    assert maybe_run_script(str(tmp_path)) is None
    script.chmod(0o755)
    assert maybe_run_script(str(tmp_path)) == str(script)


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({}, ["start", "--provider", "claude"]),
        ({"provider": "loki"}, ["start"]),
        ({"prd_path": "/p/prd.md"}, ["start", "--provider", "claude", "/p/prd.md"]),
        (
            {"dry_run": True, "verbose": True, "prd_path": "/p/prd.md"},
            ["start", "--provider", "claude", "--dry-run", "--verbose", "/p/prd.md"],
        ),
    ],
)
def test_the_run_script_is_called_as_ever(changes: dict[str, Any], arguments: list[str]) -> None:
    """``start [--provider X] [--dry-run] [--verbose] [prdPath]``."""
    assert run_script_arguments(request(**changes)) == arguments


def test_what_the_run_script_cannot_take() -> None:
    """A prompt and a model are refused rather than left out, both at once."""
    with pytest.raises(InvalidRequest) as caught:
        run_script_arguments(request(prompt="Mend", model="m"))
    assert caught.value.details is not None
    assert [error["path"] for error in caught.value.details["errors"]] == ["prompt", "model"]


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({}, START),
        ({"provider": "loki"}, ["start", "--yes", "--no-plan", "--no-dashboard"]),
        ({"prd_path": "/p/prd"}, [*START, "--prd", "/p/prd"]),
        ({"prompt": "Mend it"}, [*START, "--brief", "Mend it"]),
        ({"prompt": "--bg"}, [*START, "--brief", "Your task: --bg"]),
        ({"prompt": "/etc/x.md"}, [*START, "--brief", "Your task: /etc/x.md"]),
        ({"verbose": True}, [*START, "--log-level", "debug"]),
        ({"dry_run": True, "prd_path": "/p/prd.md"}, ["plan", "/p/prd.md"]),
    ],
)
def test_todays_loki(changes: dict[str, Any], arguments: list[str]) -> None:
    """What is meant is always said by an option, so that a text is neither option nor path."""
    assert loki_arguments(request(**changes)) == arguments


def test_prompt_and_prd_for_todays_loki() -> None:
    """They are one brief, since it takes only one of them."""
    *_, option, brief = loki_arguments(request(prompt="Mend it", prd_path="/p/prd.md"))
    assert option == "--brief"
    assert "Mend it" in brief
    assert "/p/prd.md" in brief


@pytest.mark.parametrize("changes", [{}, {"prompt": "Mend", "prd_path": "/p/prd.md"}])
def test_a_dry_run_never_runs(changes: dict[str, Any]) -> None:
    """What today's loki cannot do dry is refused, not done."""
    with pytest.raises(InvalidRequest, match="dryRun"):
        loki_arguments(request(dry_run=True, **changes))


def test_the_environment_of_todays_loki() -> None:
    """No dashboard, nothing sent home, and ended by SIGTERM; and no place of its own for state."""
    variables = loki_environment(REQUEST)
    assert variables == LOKI_START_ENVIRONMENT
    assert variables["LOKI_DASHBOARD"] == variables["LOKI_NOTIFICATIONS"] == "false"
    assert variables["LOKI_TELEMETRY_DISABLED"] == "true"
    assert variables["DO_NOT_TRACK"] == variables["LOKI_NO_UPDATE_CHECK"] == "1"
    assert variables["LOKI_SUPERVISED_BUILD"] == "1"
    assert "LOKI_DIR" not in variables


def test_the_model_of_todays_loki() -> None:
    """Where it can be chosen it is handed on; elsewhere it is refused rather than left out."""
    assert loki_environment(request(provider="aider", model="m"))["LOKI_AIDER_MODEL"] == "m"
    assert loki_environment(request(provider="cline", model="m"))["LOKI_CLINE_MODEL"] == "m"
    with pytest.raises(InvalidRequest, match="claude itself"):
        loki_environment(request(model="m"))
