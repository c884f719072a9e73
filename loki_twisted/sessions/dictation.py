"""Writing to an agent what is on disk for it, each thing once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from loki_twisted.model.errors import Conflict, OtherInput, StorageFailed, Unavailable
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.talk import Outbox

_log = Logger()

_RETRY_SECONDS: Final = 1.0


@attrs.define(eq=False)
class Dictation:
    """
    Writes to the agent of a session.

    What is to be written stands on disk with its place in the input. So it can be written again
    after a crash, and only what is missing is.

    :ivar written: How many bytes of input are known to stand there.
    :ivar _move: Has the record changed to what :meth:`rest_of` says.
    """

    _record: Record
    _reactor: IReactorTime
    _move: Callable[[], None]
    written: int = 0
    _begin: int = 0
    """What is on record for a place before this one is to stand here."""

    def rest_of(self, outbox: Outbox) -> Outbox:
        """Say what of an outbox is still to be written, and where."""
        rest = outbox.behind(self.written)
        return rest if rest.offset >= self._begin else Outbox(self._begin, rest.text)

    def write(self) -> None:
        """Write all that is on disk. What cannot be stored for the agent now is tried again."""
        agent, committed = self._record.agent, self._record.committed
        if agent is None or committed is None:
            return
        outbox = committed.talk.outbox
        if outbox.offset < self._begin:
            return  # until that is on record
        try:
            if outbox.text and outbox.offset + len(outbox.data) > self.written:
                self.written = agent.send(outbox.data, outbox.offset)
            if committed.talk.input_ends:
                agent.end_input()
        except OtherInput as other:
            # The log knows nothing of it: it was lost, or is a copy of an earlier day.
            _log.warn("{id}: {error}", id=self._record.id, error=str(other))
            self.written, self._begin = max(self.written, other.same_until), other.end
            self._move()
        except (Unavailable, Conflict) as error:
            # It has ended, or is about to: that is told in its own time.
            _log.info("{id} takes nothing: {error}", id=self._record.id, error=str(error))
        except StorageFailed as error:
            _log.warn("{id} is told later: {error}", id=self._record.id, error=str(error))
            self._reactor.callLater(_RETRY_SECONDS, self.write)
