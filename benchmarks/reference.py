"""
Figures of the server before this one, which cannot be run here.

They were measured on a 2-core machine in November 2026, beside the same nchan and sse-starlette,
with the same lines. So what the old server would do on another machine is estimated: it is to
nchan here as it was to nchan there. That holds as far as both are slowed down alike by a slower
machine, and is no more than the best that can be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

ORIGIN: Final = "measured on a 2-core machine in November 2026"
"""Where the figures of this file come from."""


@attrs.frozen(slots=True)
class Reference:
    """
    What one figure of one row was, all on one machine.

    :ivar old: Of the old server.
    :ivar yardsticks: Of contestants that can be run here, by key, the best yardstick first.
    """

    old: float
    yardsticks: Mapping[str, float]


REFERENCES: Final[Mapping[tuple[str, str], Reference]] = {
    ("flood-100", "rate"): Reference(236_000, {"nchan": 276_000, "starlette": 81_000}),
    ("flood-1000", "rate"): Reference(213_000, {"nchan": 277_000}),
    ("flood-1", "rate"): Reference(120_000, {"nchan": 161_000, "starlette": 75_000}),
    ("paced-1000", "p50_ms"): Reference(7.0, {"nchan": 3.7}),
    ("paced-1000", "p99_ms"): Reference(83.0, {"nchan": 5.5}),
    ("live", "answers"): Reference(11_000, {"starlette": 9_400}),
}
"""By the keys of row and figure."""


def estimated_old(reference: Reference | None, measured: Mapping[str, float]) -> float | None:
    """
    Estimate what the old server would do where something else was measured.

    :param measured: The same figure of contestants, by key.
    :returns: None if no contestant is a yardstick for it.
    """
    if reference is None:
        return None
    for key, there in reference.yardsticks.items():
        if key in measured:
            return measured[key] * reference.old / there
    return None
