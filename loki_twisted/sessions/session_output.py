"""What the agent of a session prints, byte for byte, as long as there may be more."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from loki_twisted.agents.interface import IAgentOutput, IAgentRunner
from loki_twisted.model.errors import NotFound
from loki_twisted.model.sessions import ReasonCode, Session
from loki_twisted.sessions.interface import IOutput, OutputStream
from loki_twisted.sessions.record import Record


@implementer(IOutput)
class SessionOutput:
    """
    One stream of one session.

    The agent's files say what there is, and the session says whether there may be more. They need
    not be there yet: a session that is queued has an output that is empty.
    """

    def __init__(self, record: Record, runner: IAgentRunner, stream: OutputStream) -> None:
        """
        Open it.

        :raises NotFound: if there was one, and its files are gone.
        :raises StorageFailed: if it is there and cannot be opened.
        """
        self._record = record
        self._runner = runner
        self._stream = stream
        self._source: IAgentOutput | None = None
        self._is_listening = False
        self._stop_listening: list[Callable[[], None]] = []
        self._waiting: Deferred[None] | None = None
        self._is_closed = False
        if self._find() is None and record.committed and _had_files(record.committed.session):
            msg = (
                f"What the agent of session {record.id} has printed is not there any more:"
                " its files were removed, or moved away."
            )
            raise NotFound(msg, {"sessionId": record.id})

    @property
    def is_over(self) -> bool:
        """See :class:`IOutput`."""
        state = self._record.committed
        return state is not None and state.session.status.is_final

    def size(self) -> int:
        """See :class:`IOutput`."""
        source = self._find()
        return 0 if source is None else source.size()

    def read(self, offset: int, count: int) -> bytes:
        """See :class:`IOutput`."""
        source = self._find()
        return b"" if source is None else source.read(offset, count)

    def more(self) -> Deferred[None]:
        """See :class:`IOutput`."""
        if self._is_closed:
            return succeed(None)
        if not self._is_listening:
            self._is_listening = True
            self._stop_listening.append(self._record.listen(self._heard))
            if self._source is not None:
                self._stop_listening.append(self._source.listen(self._heard))
            # What came before we listened is told to nobody: look once more.
            return succeed(None)
        self._waiting = Deferred()
        return self._waiting

    def close(self) -> None:
        """See :class:`IOutput`."""
        if self._is_closed:
            return
        self._is_closed = True
        for stop in self._stop_listening:
            stop()
        if self._source is not None:
            self._source.close()
            self._source = None
        self._heard()

    def _find(self) -> IAgentOutput | None:
        """Open the files of the agent, as soon as there are any."""
        if self._source is None and not self._is_closed:
            self._source = self._runner.output(self._record.id, self._stream.value)
            if self._source is not None and self._is_listening:
                self._stop_listening.append(self._source.listen(self._heard))
        return self._source

    def _heard(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


def _had_files(session: Session) -> bool:
    """Whether it has, or had, an agent that was started, as far as its record says so."""
    is_lost = session.reason_code is ReasonCode.LOST
    return is_lost or session.pid is not None or session.exit_code is not None
