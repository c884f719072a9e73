"""
The event log as the other rooms know it.

Everything that belongs together goes in by one :class:`Batch` and is on disk
together or not at all: the events, the rows that they changed, and the
position in the source that they came from. So a crash at any moment can
neither lose a line nor tell it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from zope.interface import Attribute, Interface

from loki_twisted.model.blocks import Block
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.idempotency import CompletedRequest
from loki_twisted.model.inputs import Input, InputPage
from loki_twisted.model.ledger import LedgerEntry, LedgerPage, LedgerQuery
from loki_twisted.model.messages import Message, MessagePage
from loki_twisted.model.sessions import Session
from loki_twisted.model.tasks import Task, TaskCounts, TaskPage, TaskQuery

SHORT_BYTES: Final = 32_768
"""
A read of so many bytes is as good as a look at a row, and comes before longer ones.

Whoever does not know yet how much it will need begins with no more than that.
"""


class ILogReactor(IReactorFromThreads, IReactorTime):
    """The parts of a reactor that the log uses."""


@attrs.frozen(slots=True, kw_only=True)
class Batch:
    """
    What one source has to say of one session at one moment.

    :ivar session_id: May be empty, for facts that concern no known session.
    :ivar at_ms: The time of the events, since the Unix epoch.
    :ivar facts: They become events, in this order, with consecutive numbers.
    :ivar session: The session's new row, or None if it did not change.
    :ivar tasks: New rows of tasks; each replaces the one of the same id.
    :ivar removed_tasks: Ids of tasks (of this session) whose rows go.
    :ivar cursors: Positions in sources, by a name of the caller's choice.
        None as a value removes the cursor.
    :ivar inputs: New rows of inputs; each replaces the one of the same id.
    :ivar messages: New rows of messages; each replaces the one of the same id.
    :ivar spent: What is added to the ledger.
    :ivar done_once: The request that this is, by its key, if it has one.
    :ivar forget: Remove the session's row, its tasks, inputs and messages, and the cursors whose
        name begins with ``<session id>/``, before anything else of this batch. Its
        events stay as long as any others, and what it spent stays in the ledger.
    """

    session_id: str
    at_ms: int
    facts: Sequence[Fact] = ()
    session: Session | None = None
    tasks: Sequence[Task] = ()
    removed_tasks: Sequence[str] = ()
    cursors: Mapping[str, str | None] = attrs.field(factory=dict)
    inputs: Sequence[Input] = ()
    messages: Sequence[Message] = ()
    spent: Sequence[LedgerEntry] = ()
    done_once: CompletedRequest | None = None
    forget: bool = False


@attrs.frozen(slots=True)
class Bounds:
    """
    What the log holds.

    :ivar oldest: Number of the oldest event, or ``newest + 1`` if there is none.
    :ivar newest: Number of the newest event that is on disk, or 0.
    :ivar complete_from: From this number on nothing is missing. Before it there is only what
        running sessions keep of their past.
    :ivar kept: How many events there are before ``complete_from``.
    """

    oldest: int
    newest: int
    complete_from: int = attrs.field()
    kept: int = 0

    @complete_from.default
    def _without_holes(self) -> int:
        return self.oldest

    def __len__(self) -> int:
        return self.kept + self.newest - self.complete_from + 1


@attrs.frozen(slots=True)
class Ends:
    """
    Both ends of what the log holds.

    :ivar oldest: Id of the oldest event, or None if there is none.
    :ivar newest: Id of the newest.
    """

    oldest: str | None
    newest: str | None


@attrs.frozen(slots=True)
class Page:
    """
    A stretch of the log as one read returns it.

    :ivar blocks: Blocks with at least one event that the filter wants, ascending. They
        may hold others too: use :meth:`Block.select` or :meth:`Block.events`
        with the same filter and ``after``.
    :ivar reached: Up to this number everything that the filter wants and that there is stands in
        ``blocks``; go on from here. At least ``after`` of the read.
    :ivar complete_from: What :attr:`Bounds.complete_from` was when it was read: events before this
        number may have been dropped. At most ``after + 1`` if the page lacks nothing.
    """

    blocks: Sequence[Block]
    reached: int
    complete_from: int = 1


Observer = Callable[[Sequence[Block]], Deferred[None] | None]
"""
Is told of a commit, with its blocks.

If it has more than it can deal with, it returns a Deferred that fires when it is ready for more,
and whoever appended that is told no earlier: so a source goes no faster than those who listen.
"""


class IEventLog(Interface):
    """
    The log of everything that happened, in one order, numbered from 1 without holes.

    The oldest events may be dropped at any time. What running sessions keep of them stays, so
    before ``bounds.complete_from`` there are holes.
    """

    bounds: Bounds = Attribute(
        "What the log holds, as :class:`Bounds`; updated after each commit, and when events go."
    )

    failure: str | None = Attribute("Why the log cannot be written now, or None.")

    def append(batch: Batch) -> Deferred[Bounds]:
        """
        Put a batch into the log.

        Batches are committed in the order of the calls. Cancelling the Deferred
        gives up the notice only.

        :returns: Fires after the batch is on disk *and* all observers were told and are ready for
            more, with the bounds of the commit.
        :raises StorageFailed: (or :class:`StorageFull`; through the Deferred) when it
            could not be written. None of it is in the log then.
        """

    def observe(observer: Observer) -> Callable[[], None]:
        """
        Be told of every commit, in order, in the reactor's thread.

        :param observer: Called with the new blocks, ascending. What it raises is
            logged and disturbs nobody.
        :returns: Call it to stop being told.
        """

    def read(
        after: int, wanted: EventFilter, max_bytes: int, before: int | None = None
    ) -> Deferred[Page]:
        """
        Read forwards what is on disk and was told to the observers.

        :param after: Begin behind this number.
        :param before: Read no block that begins with this number or behind it. The last one may
            reach beyond it, and so may ``reached``. None for no end.
        :param max_bytes: Stop after the block with which the bytes of what is
            returned exceed this. The work done for events that the filter does
            not want is bounded too: a page may be empty and ``reached`` still ahead.
        """

    def behind_last(before: int, wanted: EventFilter, count: int) -> Deferred[int]:
        """
        Find where the last events before a number begin. No event itself is read.

        :param before: End before this number; ``bounds.newest + 1`` for the newest.
        :param count: How many events that the filter wants there shall be, at least 1.
        :returns: The number behind which, and before ``before``, there are exactly so many of
            them, or all if there are fewer; ``before - 1`` if there are none.
        """

    def time_of(seq: int) -> Deferred[int | None]:
        """
        Look up one event's time.

        :returns: Milliseconds since the Unix epoch; None if the log does not know it. It knows
            what it holds, and the event before ``bounds.complete_from``.
        """

    def last_before(at_ms: int) -> Deferred[int]:
        """
        Find a time. It takes as long in a long log as in a short one.

        :param at_ms: Since the Unix epoch.
        :returns: The number of the last event before it, or the one before the
            oldest. Where the clock was set back there may be several places with earlier events
            before and later ones behind, and it is one of those.
        """

    def ends() -> Deferred[Ends]:
        """Tell the ids of the oldest and the newest event, as they are at one moment."""


class IRecords(Interface):
    """The rows that go with the log: sessions, tasks, and positions in sources."""

    def sessions(limit: int, offset: int) -> Deferred[list[Session]]:
        """Some of all sessions, oldest first."""

    def tasks(query: TaskQuery) -> Deferred[TaskPage]:
        """A page of tasks."""

    def task(session_id: str, task_id: str) -> Deferred[Task | None]:
        """One task, or None."""

    def task_counts(session_id: str) -> Deferred[TaskCounts]:
        """Counts of one session's tasks."""

    def open_inputs() -> Deferred[list[Input]]:
        """All inputs that are open, oldest first."""

    def inputs(session_id: str, limit: int, offset: int) -> Deferred[InputPage]:
        """Inputs of a session, open or not, newest first."""

    def input(session_id: str, input_id: str) -> Deferred[Input | None]:
        """One input, or None."""

    def queued_messages() -> Deferred[list[Message]]:
        """All messages that wait, oldest first."""

    def messages(session_id: str, limit: int, offset: int) -> Deferred[MessagePage]:
        """Messages of a session, whatever became of them, newest first."""

    def ledger(query: LedgerQuery) -> Deferred[LedgerPage]:
        """What was spent, added up."""

    def done_once(key: str) -> Deferred[CompletedRequest | None]:
        """
        What was done under a key, or None.

        It may be longer ago than a key is known: those older than a day are dropped now and then.
        """

    def cursors(prefix: str, part: str = "") -> Deferred[dict[str, str]]:
        """
        The cursors whose name begins with a prefix.

        :param part: Stands somewhere in the name. There are some cursors of each session that
            ever was: who wants few of them says which.
        """
