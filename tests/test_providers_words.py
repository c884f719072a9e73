"""Tests of the words that agents use for levels and statuses."""

from __future__ import annotations

import pytest

from loki_twisted.agents.providers.words import maybe_level, maybe_status
from loki_twisted.model.events import LOG_LEVELS
from loki_twisted.model.tasks import TaskStatus


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_our_levels_stand_for_themselves(level: str) -> None:
    """In lower and in upper case."""
    assert maybe_level(level) == maybe_level(level.upper()) == level


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("WARNING", "warn"),
        ("Fatal", "error"),
        ("CRITICAL", "error"),
        ("TRACE", "debug"),
        ("NOTICE", "info"),
        ("HELLO", None),
        ("", None),
    ],
)
def test_other_words_for_levels(word: str, level: str | None) -> None:
    """Words of other logging systems are understood; anything else is no level."""
    assert maybe_level(word) == level


@pytest.mark.parametrize("status", TaskStatus)
def test_our_statuses_stand_for_themselves(status: TaskStatus) -> None:
    """In lower and in upper case."""
    assert maybe_status(status.value) is maybe_status(status.value.upper()) is status


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("in progress", TaskStatus.RUNNING),
        ("in_progress", TaskStatus.RUNNING),
        ("In-Progress", TaskStatus.RUNNING),
        ("done", TaskStatus.COMPLETED),
        (" Done ", TaskStatus.COMPLETED),
        ("cancelled", TaskStatus.SKIPPED),
        ("todo", TaskStatus.PENDING),
        ("frobnicated", None),
        ("", None),
    ],
)
def test_other_words_for_statuses(word: str, status: TaskStatus | None) -> None:
    """Words of other tools are understood; anything else is no status."""
    assert maybe_status(word) is status
