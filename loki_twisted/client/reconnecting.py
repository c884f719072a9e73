"""When a stream comes back after it was cut off: pure rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from loki_twisted.client.errors import ClientError, ServerNotTrusted, ServerUnreachable

FIRST_RETRY_SECONDS: Final = 2.0
"""How long to wait before coming back, until the server says otherwise."""

LEAST_RETRY_SECONDS: Final = 0.01
"""What is doubled where the server asks for less, so that it is left alone after all."""

LEAST_PAUSE_SECONDS: Final = 1.0
"""
How long it is at least from an answer to the next attempt, whatever the server asks and brings.

Without that a server which sends an event and closes, with ``retry: 0``, would be come back to a
hundred times a second. For a stream the time that it lasted counts.
"""

MOST_RETRY_SECONDS: Final = 30.0
"""How far the doubling goes, unless the server asks for more."""

MOST_RETRY_AFTER_SECONDS: Final = 300.0
"""The longest that a server can make us wait."""

STEADY_SECONDS: Final = 10.0
"""A connection that has lasted this long was a good one: the count of failures begins anew."""

_COMES_BACK: Final = frozenset({408, 425, 429})
_MOST_DOUBLINGS: Final = 16
_MOST_DIGITS: Final = 9


def is_final(error: ClientError | ServerUnreachable) -> bool:
    """
    Whether coming back makes no sense.

    It does not when the request itself is refused (401, 403, 404, ...), or the
    answer is no event stream; nor where the server is not trusted. It does when the server is busy,
    broken or going down.
    """
    if isinstance(error, ServerUnreachable):
        return isinstance(error, ServerNotTrusted)
    return error.status not in _COMES_BACK and error.status < 500  # noqa: PLR2004  # server errors


def delay_seconds(
    failures: int, retry_seconds: float, at_least: float, random: Callable[[], float]
) -> float:
    """
    Say how long to wait before the next attempt.

    Never less than the server asks for. It doubles with each failure, and is
    spread over as much as a half more, so that the clients of a server that went down do not all
    come back at the same moment.

    :param failures: Attempts that have failed in a row.
    :param retry_seconds: What the server gave as ``retry:``, or the default.
    :param at_least: What :func:`pause_seconds` or :func:`rest_seconds` says.
    :param random: Gives a number from 0 to 1.
    """
    doublings = float(1 << min(failures, _MOST_DOUBLINGS))
    doubled = min(MOST_RETRY_SECONDS, max(retry_seconds, LEAST_RETRY_SECONDS) * doublings)
    spread = max(doubled, retry_seconds, at_least) * (1 + random() / 2)
    return min(spread, MOST_RETRY_AFTER_SECONDS)


def rest_seconds(lasted: float) -> float:
    """
    Say how long to wait at least after a connection that was closed or broke.

    After one that has lasted, for example up to the end of its server, that is not at all.

    :param lasted: For how many seconds it brought the stream.
    """
    return max(LEAST_PAUSE_SECONDS - lasted, 0.0)


def retry_after_seconds(value: str | None) -> float:
    """Read ``Retry-After``; 0 if there is none, or it is a date."""
    return float(value[:_MOST_DIGITS]) if value and value.isascii() and value.isdigit() else 0.0


def pause_seconds(error: ClientError | ServerUnreachable) -> float:
    """
    Say how long to wait at least after an attempt that brought no stream.

    Whoever answers is left alone for a while. Where nothing does, as while a server starts anew,
    the first attempts may follow one another more quickly.
    """
    if isinstance(error, ServerUnreachable):
        return 0.0
    return max(_wanted_seconds(error), LEAST_PAUSE_SECONDS)


def _wanted_seconds(error: ClientError) -> float:
    """How long a refusal asks to wait; 0 if it says nothing, or nothing that is a time."""
    seconds = (error.details or {}).get("retryAfter")
    if not isinstance(seconds, int | float):
        return 0.0
    return float(min(max(seconds, 0), MOST_RETRY_AFTER_SECONDS))
