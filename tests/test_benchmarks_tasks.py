"""The benchmark of the task routes runs, small, from one end to the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.tasks_questions import QUESTIONS

CHECKOUT = Path(__file__).parent.parent
SECONDS = 110


def test_every_question_is_answered(tmp_path: Path) -> None:
    """It asks each question, while nothing happens and while tasks change, and writes figures."""
    figures, table = tmp_path / "figures.json", tmp_path / "table.rst"
    size = ("--sessions", "4", "--tasks", "10", "--asks", "3", "--changes", "20")
    files = ("--json", str(figures), "--rst", str(table))

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tasks", *size, *files],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    [rows] = json.loads(figures.read_text()).values()
    assert [row["what"] for row in rows] == list(QUESTIONS)
    assert all(0 < row["figures"]["p50"] <= row["figures"]["p99"] for row in rows)
    assert table.read_text().count("/api/tasks/queue") == 2
