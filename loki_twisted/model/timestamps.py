"""Wall-clock times: integers of milliseconds inside, ISO 8601 UTC text outside."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Final

LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: no text holds a later one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@functools.lru_cache(maxsize=64)
def _iso_second(seconds: int) -> str:
    # Events come in bursts of the same second, and formatting one costs more
    # than everything else that is done with its time.
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def iso_from_ms(milliseconds: int) -> str:
    """
    Format a time as the wire wants it.

    :param milliseconds: Milliseconds since the Unix epoch.
    :returns: For example ``2026-11-23T22:43:11.042Z``; always 24 characters,
        so that text order is time order (years 1970 to 9999).
    """
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_iso_second(seconds)}.{rest:03d}Z"


def bounded_ms(milliseconds: int) -> int:
    """Take the nearest time that can be told, for one that somebody else says."""
    return min(max(milliseconds, 0), LATEST_MS)


def ms_from_iso(text: str) -> int:
    """
    Parse an ISO 8601 time.

    :param text: A time with or without an offset; without one it is UTC.
    :returns: Milliseconds since the Unix epoch.
    :raises ValueError: if it is no ISO 8601 time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)
