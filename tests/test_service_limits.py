"""What agents may use, from the settings of a server to the units of the agents."""

from __future__ import annotations

from typing import Any

import pytest

from loki_twisted.agents.interface import Limits
from loki_twisted.policies import limits_of
from loki_twisted.settings import Settings

NAMES = ("limit_memory_mb", "limit_processes", "limit_file_mb")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Limits()),
        (dict.fromkeys(NAMES), Limits()),
        (dict.fromkeys(NAMES, 0), Limits()),
        (
            {"limit_memory_mb": 64, "limit_processes": 7, "limit_file_mb": 3},
            Limits(memory_bytes=64_000_000, processes=7, file_bytes=3_000_000),
        ),
    ],
)
def test_limits_of_settings(given: dict[str, Any], expected: Limits) -> None:
    """Megabytes are of 1,000,000 bytes; neither None nor 0 is a limit."""
    assert limits_of(Settings(loki_dir="/project", **given)) == expected
