"""Threads, where the system has none."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pytest

from loki_twisted.kernel.threads import DaemonPool
from tests.log_support import no_threads


def test_a_pool_outlives_a_want_of_threads() -> None:
    """What no thread can be started for is refused, what comes later is done, and it can end."""
    before = threading.active_count()
    pool, done = DaemonPool(0, 1, "test"), SimpleQueue[str]()
    pool.start()
    with no_threads(), pytest.raises(RuntimeError, match="can't start new thread"):
        pool.callInThread(done.put, "refused")
    pool.callInThread(done.put, "later")
    assert done.get(timeout=60) == "later"
    pool.stop()
    assert threading.active_count() == before


def test_a_pool_that_cannot_start_leaves_nothing() -> None:
    """Where there is no thread for those that it has at least, it has not begun."""
    before = threading.active_count()
    pool = DaemonPool(2, 2, "test")
    with no_threads(), pytest.raises(RuntimeError, match="can't start new thread"):
        pool.start()
    assert threading.active_count() == before
