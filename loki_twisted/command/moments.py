"""Times that people give: so long ago, an hour of today, a day, or ISO 8601. And where they lie."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from loki_twisted.client import ClientError, LokiClient
from loki_twisted.model.identifiers import EARLIEST, ORIGIN
from loki_twisted.model.timestamps import LATEST_MS, iso_from_ms

_AGO: Final = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_SECONDS_OF: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_moment(text: str, now_ms: int) -> int:
    """
    Read a time.

    :param text: ``90s``, ``10m``, ``2h`` or ``1d``: so long ago; ``14:30``: the last time that the
        clock on the wall showed that; ``2026-11-26``: the beginning of a day (UTC); or ISO 8601,
        by the local clock if it has no offset.
    :returns: Milliseconds since the Unix epoch.
    :raises ValueError: with a line, if it is none.
    """
    ago = _AGO.fullmatch(text)
    if ago:
        return max(0, now_ms - int(ago[1]) * _SECONDS_OF[ago[2]] * 1000)
    try:
        found = _by_calendar(text, datetime.fromtimestamp(now_ms / 1000).astimezone())
    except (ValueError, OverflowError):
        found = -1
    if not 0 <= found <= LATEST_MS:
        raise ValueError(f"{text!r} is no time; give one like 10m, 2h, 1d, 14:30 or 2026-11-26")
    return found


def _by_calendar(text: str, now: datetime) -> int:
    clock = _CLOCK.fullmatch(text)
    if clock:
        hour, minute, second = (int(part or 0) for part in clock.groups())
        moment = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
        return _ms(moment if moment <= now else moment - timedelta(days=1))
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC) if _DAY.fullmatch(text) else moment.astimezone()
    return _ms(moment)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


async def place_before(client: LokiClient, since_ms: int) -> str:
    """
    Find the event after which a stream has all that happened from a time on.

    :returns: Its id, ``earliest`` where there is none before that time, or the place before the
        first event that ever was.
    """
    # First, so that what happens meanwhile lies behind it.
    stream = await client.event_stats()
    found = await client.history(limit=1, since=iso_from_ms(since_ms))
    if not found.events:
        return stream.newest_event_id or ORIGIN
    try:
        earlier = await client.history(limit=1, before=found.events[0].id)
    except ClientError as error:
        if error.code != "EVENT_ID_EXPIRED":
            raise
        return EARLIEST  # it was the oldest, and the log has dropped it just now
    return earlier.events[-1].id if earlier.events else EARLIEST
