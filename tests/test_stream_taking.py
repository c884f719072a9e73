"""Whether a client still takes what there is for it."""

from __future__ import annotations

from loki_twisted.stream.taking import Taking


def test_who_takes_nothing() -> None:
    """From the last look at which it had taken something its idleness is counted."""
    taking = Taking(0.0)
    for now, taken in ((1.0, 10), (2.0, 10), (3.0, 10)):
        taking = taking.look(now, taken, is_stuck=True)

    assert taking.idle_seconds(5.0) == 4.0
    assert taking.look(5.0, 11, is_stuck=True).idle_seconds(5.0) == 0.0


def test_who_has_nothing_to_take() -> None:
    """It is not idle, however long that is."""
    taking = Taking(0.0).look(100.0, 0, is_stuck=False)

    assert taking.idle_seconds(100.0) == 0.0
    assert taking.look(130.0, 0, is_stuck=True).idle_seconds(130.0) == 30.0


def test_what_is_dropped_is_not_taken() -> None:
    """If less was taken than before, as the counting begins anew, it goes on from there."""
    taking = Taking(0.0, 100).look(1.0, 50, is_stuck=True)

    assert taking.idle_seconds(1.0) == 1.0
    assert taking.look(2.0, 60, is_stuck=True).idle_seconds(2.0) == 0.0
