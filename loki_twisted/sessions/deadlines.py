"""The time that sessions may take: a warning when four fifths of it are over, and then the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from loki_twisted.model.budget import WARNED_AT
from loki_twisted.model.events import Fact
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.record import Record

_log = Logger()

DEADLINE: Final = "deadline"
"""The part of the name of its cursor."""

_TIMES: Final = re.compile(r"[0-9]{1,15} [0-9]{1,15}")


@attrs.define(eq=False)
class Deadlines:
    """
    Knows when sessions are to end.

    That is on record as the cursor ``<session id>/deadline``, so time goes on while no server runs:
    milliseconds since the Unix epoch of the warning (0 if it was given) and of the end.

    :ivar now_ms: The wall clock, milliseconds since the Unix epoch.
    :ivar stop: Called with a session whose time is over.
    """

    reactor: IReactorTime
    book: SessionBook
    now_ms: Callable[[], int]
    stop: Callable[[Record], None]
    _calls: dict[str, list[IDelayedCall]] = attrs.field(factory=dict, init=False)

    def cursors(
        self, record: Record, timeout_ms: int | None, stored: Mapping[str, str] = {}
    ) -> Mapping[str, str]:
        """
        Say what to store when a session begins now.

        :param timeout_ms: How long it may take; None for as long as it likes.
        :param stored: What was stored of it. If that says when it is to end, it has begun before.
        """
        if timeout_ms is None or _name(record) in stored:
            return {}
        now_ms = self.now_ms()
        return {_name(record): f"{now_ms + int(WARNED_AT * timeout_ms)} {now_ms + timeout_ms}"}

    def watch(self, record: Record, cursors: Mapping[str, str]) -> None:
        """Watch the time of a session from now on, by what was stored of it."""
        stored = cursors.get(_name(record))
        if stored is None:
            return
        warning_ms, end_ms = map(int, stored.split())
        self.forget(record)
        calls = [self._at(end_ms, self._over, record)]
        if warning_ms:
            calls.append(self._at(warning_ms, self._warn, record, end_ms))
        self._calls[record.id] = calls

    def forget(self, record: Record) -> None:
        """Watch the time of a session no longer."""
        for call in self._calls.pop(record.id, ()):
            if call.active():
                call.cancel()

    def close(self) -> None:
        """Forget all: the next server keeps them."""
        for name in list(self._calls):
            for call in self._calls.pop(name):
                if call.active():
                    call.cancel()

    def _at(self, at_ms: int, what: Callable[..., None], *args: object) -> IDelayedCall:
        return self.reactor.callLater(max(0.0, (at_ms - self.now_ms()) / 1000), what, *args)

    def _warn(self, record: Record, end_ms: int) -> None:
        seconds = max(0, end_ms - self.now_ms()) / 1000
        words = f"The session is stopped in {seconds:,.0f} seconds: its time is nearly over."
        fact = Fact("log:warn", {"level": "warn", "message": words, "source": "limits"})
        told = self.book.tell(record.id, [fact], {_name(record): f"0 {end_ms}"})
        told.addErrback(
            lambda failure: _log.warn(
                "{id}: {error}", id=record.id, error=failure.getErrorMessage()
            )
        )

    def _over(self, record: Record) -> None:
        self.forget(record)
        self.stop(record)


def _name(record: Record) -> str:
    return f"{record.id}/{DEADLINE}"


def is_deadline(text: str) -> bool:
    """Whether a text is one that :meth:`Deadlines.watch` can read."""
    return _TIMES.fullmatch(text) is not None
