"""How much the log keeps, from the settings of a server to the units of the log."""

from __future__ import annotations

from typing import Any

import pytest

from loki_twisted.log.retention import Retention
from loki_twisted.policies import retention_of
from loki_twisted.settings import Settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Retention(events=1_000_000)),
        (dict.fromkeys(("retain_events", "retain_days", "retain_mb")), Retention()),
        (dict.fromkeys(("retain_events", "retain_days", "retain_mb"), 0), Retention()),
        (
            {"retain_events": 7, "retain_days": 0.5, "retain_mb": 3},
            Retention(events=7, age_ms=43_200_000, size=3_000_000),
        ),
    ],
)
def test_retention_of_settings(given: dict[str, Any], expected: Retention) -> None:
    """Days are of 24 hours and megabytes of 1,000,000 bytes; neither None nor 0 is a limit."""
    assert retention_of(Settings(loki_dir="/project", **given)) == expected
