"""Counting wrong tokens, so that nobody can try many of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

from loki_twisted.web.answers import Clock

WINDOW_SECONDS: Final = 60
ALLOWED_FAILURES: Final = 10
MOST_PARTIES: Final = 4096
"""So many are remembered at most; the one that failed longest ago is forgotten first."""


class FailedAttempts:
    """
    How often each party has failed of late.

    The first failure opens a window; in it, so many are allowed. Only failures are
    counted and refused: a right token is never kept waiting.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def fail(self, party: str) -> int:
        """
        Count a failure.

        :returns: 0 if it was allowed, else in how many seconds the next one will be.
        """
        now = self._clock.seconds()
        opened, failures = self._windows.pop(party, (now, 0))
        if now - opened >= WINDOW_SECONDS:
            opened, failures = now, 0
        self._windows[party] = (opened, failures + 1)
        while len(self._windows) > MOST_PARTIES:
            self._windows.popitem(last=False)
        if failures < ALLOWED_FAILURES:
            return 0
        return max(1, math.ceil(opened + WINDOW_SECONDS - now))
