"""Callbacks for the events of a stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

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
    :param on_error: Called with what ends the stream, if that is an error; else it is logged.
    """
    Deferred.fromCoroutine(_deliver(stream, callback, on_error or _log_error))


async def _deliver(
    stream: EventStream, callback: Callback, on_error: Callable[[Exception], object]
) -> None:
    with _log.failuresHandled("A subscription broke off"):
        try:
            async with stream:
                async for event in stream:
                    try:
                        result = callback(event)
                        if result is not None and isinstance(result, Awaitable):
                            await result
                    except Exception:  # noqa: BLE001  # logged; the next event may do better
                        _log.failure("A subscriber failed on {id}", id=event.id)
        except Exception as error:  # noqa: BLE001  # told
            on_error(error)


def _log_error(error: Exception) -> None:
    _log.error("A subscription has ended: {error}", error=error)
