"""Tests of :mod:`loki_twisted.model.tasks`."""

from __future__ import annotations

import gc

from tests.log_support import task


def test_tasks_are_no_work_for_the_garbage_collector() -> None:
    """A list of thousands of tasks does not make the collector go through all that there is."""
    assert not gc.is_tracked(task(output={"files": [1, 2]}))
