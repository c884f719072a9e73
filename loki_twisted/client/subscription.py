"""Callbacks for the events of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from loki_twisted.client.callbacks import call_back
from loki_twisted.client.stream import EventStream
from loki_twisted.model.events import Event

Callback = Callable[[Event], object]
"""Called with each event; if it returns an awaitable, that is waited for before the next."""

_log: Final = Logger()


def deliver(
    stream: EventStream, callback: Callback, on_error: Callable[[Exception], object] | None
) -> None:
    """
    Call back with each event, to the end of the stream.

    :param callback: What it raises is logged and ends nothing.
    :param on_error: Called with what ends the stream, if that is an error; it is logged if None.
    """
    Deferred.fromCoroutine(_deliver(stream, callback, on_error or _log_error))


async def _deliver(
    stream: EventStream, callback: Callback, on_error: Callable[[Exception], object]
) -> None:
    try:
        async with stream:
            async for event in stream:
                await call_back(callback, event, event.id)
    except Exception as error:  # noqa: BLE001  # told
        await call_back(on_error, error, "the end of its subscription")


def _log_error(error: Exception) -> None:
    _log.error("A subscription has ended: {error}", error=error)
