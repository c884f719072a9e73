"""Writing to an agent what is on disk for it, each thing once."""

from __future__ import annotations

from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from loki_twisted.model.errors import Conflict, StorageFailed, Unavailable
from loki_twisted.sessions.book import Record

_log = Logger()

_RETRY_SECONDS: Final = 1.0


@attrs.define(eq=False)
class Dictation:
    """
    Writes to the agent of a session.

    What is to be written stands on disk with its place in the input. So it can be written again
    after a crash, and only what is missing is.

    :ivar written: How many bytes of input are known to stand there.
    """

    _record: Record
    _reactor: IReactorTime
    written: int = 0

    def write(self) -> None:
        """Write all that is on disk. What cannot be stored for the agent now is tried again."""
        agent, committed = self._record.agent, self._record.committed
        if agent is None or committed is None:
            return
        outbox = committed.talk.outbox
        try:
            if outbox.text and outbox.offset + len(outbox.data) > self.written:
                self.written = agent.send(outbox.data, outbox.offset)
            if committed.talk.input_ends:
                agent.end_input()
        except (Unavailable, Conflict) as error:
            # It has ended, or is about to: that is told in its own time.
            _log.info("{id} takes nothing: {error}", id=self._record.id, error=str(error))
        except StorageFailed as error:
            _log.warn("{id} is told later: {error}", id=self._record.id, error=str(error))
            self._reactor.callLater(_RETRY_SECONDS, self.write)
