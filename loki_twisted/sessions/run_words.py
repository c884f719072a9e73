"""The words by which a run of Loki Mode says where it stands, in ``autonomy-state.json``."""

from __future__ import annotations

from typing import Final

SUCCESSES: Final = frozenset(
    {
        *("council_approved", "council_force_approved", "deterministic_gates_passed"),
        *("completion_promise_fulfilled", "reuse_already_satisfied"),
    }
)
"""It has done what it was asked to do."""

HALTS: Final = frozenset({"stopped", "interrupted"})
"""Somebody ended it."""

PAUSES: Final = frozenset({"paused", "budget_exceeded"})
"""It waits. It may end so: then ``completion.json`` says more."""

AT_WORK: Final = frozenset({"running", "exited", "starting"})
"""It goes on. Any other word is the last of a run that has failed."""
