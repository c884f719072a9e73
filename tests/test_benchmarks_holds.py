"""How long the reactor is held by what asks for as much as it may: who asks, and the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.holds_agents import PARTS
from benchmarks.holds_lines import LINES
from benchmarks.holds_requests import OTHERS, REQUESTS
from loki_twisted.operation.stalls import MOST_SECONDS
from loki_twisted.web.routes import every_operation
from tests.figures import tell

CHECKOUT = Path(__file__).parent.parent
MOST_MS = MOST_SECONDS * 1000

Table = list[dict[str, Any]]


def measured(directory: Path, module: str, *options: str) -> tuple[dict[str, Table], str]:
    """Run a program of the benchmarks; gives its tables by name, and what it printed."""
    figures = directory / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *options, "--json", str(figures)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tables: dict[str, Table] = json.loads(figures.read_text())
    return tables, done.stdout


@pytest.mark.promise("R27")
def test_every_operation_is_asked() -> None:
    """Each operation of the API is measured at its limits."""
    assert list(REQUESTS) == [operation.name for operation in every_operation()]
    assert all(REQUESTS.values())


@pytest.mark.promise("R27")
@pytest.mark.timeout(900)
def test_nothing_holds_the_reactor(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Every request at its limit is answered, by no fault of ours.

    With the long figures: nothing takes 50 ms of the reactor's thread in one go.
    """
    tables, said = measured(tmp_path, "holds", "--scale", "1" if is_full else "0.002")
    rows = {row["what"]: row["figures"] for table in tables.values() for row in table}
    statuses = {what: each["status"] for what, each in rows.items() if "status" in each}
    assert len(statuses) == sum(map(len, REQUESTS.values())) + len(OTHERS)
    assert not {what: each for what, each in statuses.items() if not 200 <= each < 500}
    if is_full:
        tell(capsys, said)
        assert not {what: each for what, each in rows.items() if each["busy"] > MOST_MS}


@pytest.mark.promise("R27")
@pytest.mark.timeout(900)
def test_nobody_outside_holds_the_reactor(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Whatever agents and files do at once, and however much has happened before, comes to an end.

    With the long figures: nothing takes 50 ms of the reactor's thread in one go.
    """
    tables, said = measured(tmp_path, "holds_agents", "--scale", "1" if is_full else "0.002")
    [table] = tables.values()
    rows = {row["what"]: row["figures"] for row in table}
    assert len(rows) == len(table) > len(PARTS)
    if is_full:
        tell(capsys, said)
        assert not {what: each for what, each in rows.items() if each["busy"] > MOST_MS}


@pytest.mark.promise("R27")
@pytest.mark.timeout(900)
def test_no_line_of_an_agent_holds_the_reactor(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    What is longest and worst of what agents may print is read by each driver, and passed over.

    With the long figures: nothing takes 50 ms of the reactor's thread in one go.
    """
    tables, said = measured(tmp_path, "holds_lines", *(() if is_full else ("--only", "opencode")))
    [table] = tables.values()
    rows = {row["what"]: row["figures"]["busy"] for row in table}
    asked = LINES.values() if is_full else [LINES["opencode"]]
    assert len(rows) == sum(map(len, asked))
    if is_full:
        tell(capsys, said)
        assert max(rows.values()) < MOST_MS
