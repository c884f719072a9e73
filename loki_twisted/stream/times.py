"""
The times of events by their numbers, for those who must be named one.

After a restart, a thousand clients come at once, and all are at the same place or nearly: they
share one look-up, and so do all who are told where they are while nothing happens. Once
something was committed, the newest event is known without any.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.log.interface import IEventLog
from loki_twisted.model.identifiers import maybe_event_id
from loki_twisted.stream.sse import last_id
from loki_twisted.stream.tail import Tail

_log = Logger()


class Times:
    """
    Knows the time of the newest event, and looks up others.

    :param log: Where they are looked up.
    :param tail: The newest blocks of that log.
    """

    __slots__ = ("_found", "_log", "_tail", "_waiting")

    def __init__(self, log: IEventLog, tail: Tail) -> None:
        self._log: Final = log
        self._tail: Final = tail
        self._found: tuple[int, int] | None = None  # the newest that was asked for
        self._waiting: dict[int, list[Deferred[int | None]]] = {}

    def known(self, seq: int) -> int | None:
        """
        Tell the time of an event, if that needs no read.

        :returns: Milliseconds since the Unix epoch; None if it is not the newest event, nor the
            newest that was looked up.
        """
        if self._found is not None and self._found[0] == seq:
            return self._found[1]
        newest = self._tail.newest
        if newest is None or newest.last_seq != seq:
            return None
        self._found = maybe_event_id(last_id(newest))
        return self._found[1] if self._found is not None else None

    def learn(self, seq: int) -> None:
        """See that the time of an event will be known, with at most one read."""
        if self.known(seq) is None and seq not in self._waiting:
            self.of(seq).addErrback(partial(_log.failure, "An event's time could not be read"))

    def of(self, seq: int) -> Deferred[int | None]:
        """
        Tell the time of an event; who asks for the same while it is looked up is answered with it.

        It may be told of an event that was dropped in the meantime: look at the log's bounds
        first where that matters. Cancelling the Deferred gives up this answer only.

        :returns: Milliseconds since the Unix epoch; None if the log does not know it.
        """
        known = self.known(seq)
        if known is not None:
            return succeed(known)
        answer: Deferred[int | None] = Deferred()
        if seq in self._waiting:
            self._waiting[seq].append(answer)
        else:
            self._waiting[seq] = [answer]
            self._log.time_of(seq).addBoth(self._answered, seq)
        return answer

    def _answered(self, found: int | Failure | None, seq: int) -> None:
        if isinstance(found, int) and (self._found is None or self._found[0] < seq):
            self._found = seq, found
        for answer in self._waiting.pop(seq):
            if isinstance(found, Failure):
                answer.errback(found)
            else:
                answer.callback(found)
