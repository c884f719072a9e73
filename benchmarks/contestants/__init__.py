"""The servers that are measured, each behind the same interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.contestants.bare import Bare
from benchmarks.contestants.interface import Contestant
from benchmarks.contestants.nchan import Nchan
from benchmarks.contestants.ours import Ours
from benchmarks.contestants.starlette import Starlette
from benchmarks.rows import BARE, NCHAN, OURS, STARLETTE

CONTESTANTS: Final[Mapping[str, Contestant]] = {
    OURS: Ours(),
    NCHAN: Nchan(),
    STARLETTE: Starlette(),
    BARE: Bare(),
}
"""By key."""
