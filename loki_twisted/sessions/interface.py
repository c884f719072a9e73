"""The session service as the web and the commands know it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from loki_twisted.model.idempotency import CompletedRequest, IdempotencyKey
from loki_twisted.model.inputs import Answer, Input, InputPage
from loki_twisted.model.ledger import LedgerPage, LedgerQuery
from loki_twisted.model.messages import Delivery, Message, MessagePage
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.tasks import EncodedTasks, OpenTasks, Task, TaskCounts, TaskPage, TaskQuery
from loki_twisted.model.wire import StartSession

LOCAL: Final = "local"
"""Who gives an order where nobody had to say who he is."""


@attrs.frozen(slots=True, kw_only=True)
class SessionQuery:
    """Which sessions, and which page of them. None is without limit."""

    statuses: frozenset[SessionStatus] | None = None
    provider: str | None = None
    limit: int | None = None
    offset: int = 0


@attrs.frozen(slots=True)
class SessionPage:
    """
    A page of sessions, newest first; those that wait alone in the order of their turns.

    :ivar total: How many match the query in all.
    :ivar running: How many sessions of all have not ended and are not queued.
    """

    sessions: Sequence[Session]
    total: int
    running: int


@attrs.frozen(slots=True)
class GivenInput:
    """
    What became of a text for the agent of a session.

    :ivar session: As it stands then.
    :ivar answered: The input that it answered, if one was open.
    :ivar message: The message that it became, if not; None too for a run of Loki Mode, which reads
        it from a file.
    """

    session: Session
    answered: Input | None = None
    message: Message | None = None


class OutputStream(StrEnum):
    """The streams of an agent that are kept as they were written."""

    STDOUT = "stdout"
    STDERR = "stderr"


class IOutput(Interface):
    """What the agent of a session prints, byte for byte, open for reading. Nothing is masked."""

    is_over: bool = Attribute("Whether no more will come: what there is now is all.")

    def size() -> int:
        """How many bytes there are now. An agent can empty it: then there are fewer."""

    def read(offset: int, count: int) -> bytes:
        """
        Read what stands at an offset.

        :returns: Some bytes, not always as many as were asked for; none at the end and behind it.
        :raises StorageFailed: if it cannot be read.
        """

    def more() -> Deferred[None]:
        """
        Wait until there may be more than was read, or it is over. Only one may wait.

        :returns: Fires also when it is closed.
        """

    def close() -> None:
        """Close it. May be repeated; nothing is read after that."""


class ISessions(Interface):
    """Everything one can do with sessions. An order returns when it is on record."""

    def start(wanted: StartSession, once: IdempotencyKey | None = None) -> Deferred[Session]:
        """
        Start a session.

        :param once: The key of the request, if it has one. So with the other orders.

        :returns: The session, ``starting`` or ``running`` (or ``queued``, if that was asked for).
        :raises InvalidRequest: for a path outside the allowed roots, or a file that is not there.
        :raises SessionAlreadyRunning: while as many run in the same project directory as may, or
            one waits to that comes first.
        :raises TooManySessions: while as many run as may, in all or of its provider.
        :raises ProviderNotAvailable: if the program is not installed.
        :raises AgentNotStarted: if it could not be started.
        :raises StorageFailed: if it could not be put on record; nothing was started then.
        :raises Unavailable: while the server shuts down.
        """

    def stop(session_id: str) -> Deferred[Session]:
        """
        Order a session to stop. The session's end is an event.

        :raises SessionNotFound: if there is none of that id.
        :raises Conflict: if it does not run, or is not ours.
        """

    def pause(session_id: str) -> Deferred[Session]:
        """Halt a running session. Raises as :meth:`stop` does."""

    def resume(session_id: str) -> Deferred[Session]:
        """Let a paused session go on. Raises as :meth:`stop` does."""

    def give_input(
        session_id: str,
        text: str,
        context: str | None,
        *,
        delivery: Delivery = Delivery.NEXT,
        by: str = LOCAL,
        once: IdempotencyKey | None = None,
    ) -> Deferred[GivenInput]:
        """
        Send text to a session's agent: if exactly one input is open it is the answer to that, else
        it is the next message.

        :param by: Who sends it.
        :raises InvalidRequest: if it answers an input that takes no text, and is none of its
            options.

        Raises also as :meth:`stop`, and Conflict if the agent takes no messages.
        """

    def answer(
        session_id: str, input_id: str, answer: Answer, by: str, once: IdempotencyKey | None = None
    ) -> Deferred[Input]:
        """
        Answer an input. The same answer again changes nothing.

        :raises SessionNotFound: if there is no such session.
        :raises NotFound: if it has no such input.
        :raises InvalidRequest: if that is no answer to it.
        :raises Conflict: if it was answered otherwise, or withdrawn.
        """

    def interrupt(session_id: str) -> Deferred[Session]:
        """Let the agent leave off what it is doing. Raises as :meth:`stop` does."""

    def continue_session(
        session_id: str, wanted: StartSession, once: IdempotencyKey | None = None
    ) -> Deferred[Session]:
        """
        Go on with the conversation of a session that has ended, in a new one.

        :param wanted: The prompt is what is said next. Provider and project directory are those of
            the session, whatever stands here.
        :returns: The new session.
        :raises Conflict: if it has not ended, or its conversation cannot be continued.

        Raises also as :meth:`start` does.
        """

    def open_inputs() -> Sequence[Input]:
        """All inputs that are open, oldest first."""

    def inputs(session_id: str, limit: int, offset: int) -> Deferred[InputPage]:
        """Inputs of a session, newest first. Raises SessionNotFound."""

    def input(session_id: str, input_id: str) -> Deferred[Input]:
        """One input. Raises SessionNotFound, or NotFound."""

    def done_once(key: str) -> Deferred[CompletedRequest | None]:
        """What was carried out under a key in the last 24 hours, or None."""

    def messages(session_id: str, limit: int, offset: int) -> Deferred[MessagePage]:
        """Messages of a session, newest first. Raises SessionNotFound."""

    def delete(session_id: str) -> Deferred[None]:
        """
        Remove a session's record. Its events stay in the log as long as any others.

        :raises SessionNotFound: if there is none of that id.
        :raises Conflict: while it runs.
        """

    def get(session_id: str) -> Session:
        """
        One session.

        :raises SessionNotFound: if there is none of that id.
        """

    def list(query: SessionQuery) -> SessionPage:
        """Some sessions. The queued ones, asked for alone, come in the order of their turns."""

    def counts() -> dict[SessionStatus, int]:
        """How many sessions there are by status; statuses that none has are missing."""

    def output(session_id: str, stream: OutputStream) -> IOutput:
        """
        Open what its agent prints, whether that runs, has ended, or is still to be started.

        :raises SessionNotFound: if there is none of that id.
        :raises NotFound: if this server did not start it, and so does not have what it prints, or
            if the files of its agent are gone.
        :raises StorageFailed: if it cannot be opened.
        """

    def active_session() -> str | None:
        """The session that was started last of those that run, or None."""

    def tasks(query: TaskQuery) -> Deferred[TaskPage]:
        """
        A page of tasks.

        :raises SessionNotFound: (through the Deferred) if the query names one that is not there.
        """

    def open_tasks(wanted: OpenTasks, limit: int | None) -> EncodedTasks:
        """
        Tasks of a kind, of the sessions that have not ended.

        :param limit: Only so many, the first ones; None for all.
        """

    def task(session_id: str, task_id: str) -> Deferred[Task]:
        """
        One task.

        :raises SessionNotFound: (through the Deferred) if there is no such session.
        :raises NotFound: (through the Deferred) if it has no such task.
        """

    def task_counts(session_id: str) -> Deferred[TaskCounts]:
        """Counts of a session's tasks. Raises as :meth:`tasks` does."""

    def usage(query: LedgerQuery) -> Deferred[LedgerPage]:
        """
        What was spent, added up, also by sessions that were deleted.

        :raises StorageFailed: (through the Deferred) if the log cannot be read.
        """
