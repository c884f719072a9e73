"""Words that agents use for log levels and task statuses, and which of ours they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loki_twisted.model.tasks import TaskStatus

DEFAULT_LEVEL: Final[Mapping[str, str]] = {"stdout": "info", "stderr": "error"}
"""The level of a line that names none, by stream."""

_LEVELS: Final[Mapping[str, str]] = {
    "trace": "debug",
    "debug": "debug",
    "verbose": "debug",
    "info": "info",
    "notice": "info",
    "warn": "warn",
    "warning": "warn",
    "err": "error",
    "error": "error",
    "fatal": "error",
    "critical": "error",
    "panic": "error",
}

_STATUSES: Final[Mapping[str, TaskStatus]] = {
    **{status.value: status for status in TaskStatus},
    "todo": TaskStatus.PENDING,
    "started": TaskStatus.RUNNING,
    "in_progress": TaskStatus.RUNNING,
    "inprogress": TaskStatus.RUNNING,
    "done": TaskStatus.COMPLETED,
    "success": TaskStatus.COMPLETED,
    "succeeded": TaskStatus.COMPLETED,
    "error": TaskStatus.FAILED,
    "cancelled": TaskStatus.SKIPPED,
    "canceled": TaskStatus.SKIPPED,
}


def maybe_level(word: str) -> str | None:
    """One of ``LOG_LEVELS``, or None for a word that is no level."""
    return _LEVELS.get(word.lower())


def maybe_status(word: str) -> TaskStatus | None:
    """A task's status, or None for a word that is none."""
    return _STATUSES.get(word.strip().lower().replace(" ", "_").replace("-", "_"))
