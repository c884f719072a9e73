"""An event log in memory, whose reads answer when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from loki_twisted.log.interface import Batch, Bounds, Ends, IEventLog, Page
from loki_twisted.log.rows import blocks_from_columns, new_block
from loki_twisted.model.blocks import Block, block_of_facts
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.identifiers import event_id
from tests.log_support import columns_of

START_MS = 1_763_900_000_000


@implementer(IEventLog)
class FakeLog:
    """
    Keeps blocks in a list and has no thread: all is committed and told when it is appended.

    :ivar holding: Whether reads wait for :meth:`answer`. What they answer is what
        there was when they were asked, as that of a thread may be.
    :ivar reads: How often each kind of read was asked for.
    :ivar passes: How many events that the filter does not want a read passes at most.
    :ivar joins: Whether neighbours of one session are read as one block, also those of different
        commits, as the log on disk gives them.
    :ivar page_blocks: How many blocks a read gives or passes at most; None for no limit.
    """

    def __init__(
        self, passes: int = 1000, *, joins: bool = False, page_blocks: int | None = None
    ) -> None:
        self.bounds = Bounds(1, 0)
        self.failure: str | None = None
        self.holding = False
        self.passes = passes
        self.joins = joins
        self.page_blocks = page_blocks
        self.reads = {"read": 0, "behind_last": 0, "time_of": 0, "last_before": 0, "ends": 0}
        self._blocks: list[Block] = []
        self._times: dict[int, int] = {}
        self._observers: list[Callable[[Sequence[Block]], None]] = []
        self._waiting: deque[tuple[Deferred[object], object]] = deque()

    # Writing

    def append(self, batch: Batch) -> Deferred[Bounds]:
        """Commit one batch."""
        self.commit(batch)
        return succeed(self.bounds)

    def commit(self, *batches: Batch) -> Sequence[Block]:
        """Commit batches together, and tell the observers."""
        blocks, newest = [], self.bounds.newest
        for batch in batches:
            block = block_of_facts(newest + 1, batch.at_ms, batch.session_id, batch.facts)
            blocks.append(block)
            self._times.update(dict.fromkeys(range(newest + 1, block.last_seq + 1), batch.at_ms))
            newest = block.last_seq
        self._blocks += blocks
        self.bounds = attrs.evolve(self.bounds, newest=newest)
        for observer in tuple(self._observers):
            observer(blocks)
        return blocks

    def expire(self, before: int, *spared: str) -> None:
        """Drop the blocks that lie before a number, whole, but for those of some sessions."""
        gone = [b for b in self._blocks if b.last_seq < before and b.session_id not in spared]
        if gone:
            self._drop(gone)

    def drop_first_block(self) -> None:
        """Drop the oldest block."""
        self._drop(self._blocks[:1])

    def keep_first_block(self, count: int) -> None:
        """Drop so many blocks behind the oldest, which a running session keeps."""
        self._drop(self._blocks[1 : 1 + count])

    def _drop(self, gone: Sequence[Block]) -> None:
        self._blocks = [block for block in self._blocks if block not in gone]
        oldest = self._blocks[0].first_seq if self._blocks else self.bounds.newest + 1
        complete_from = max(self.bounds.complete_from, gone[-1].last_seq + 1)
        kept = sum(len(block) for block in self._blocks if block.last_seq < complete_from)
        self.bounds = Bounds(oldest, self.bounds.newest, complete_from, kept)
        held = {seq for block in self._blocks for seq in range(block.first_seq, block.last_seq + 1)}
        held.add(complete_from - 1)
        self._times = {seq: ms for seq, ms in self._times.items() if seq in held}

    def observe(self, observer: Callable[[Sequence[Block]], None]) -> Callable[[], None]:
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    # Reading

    def read(
        self, after: int, wanted: EventFilter, max_bytes: int, before: int | None = None
    ) -> Deferred[Page]:
        self.reads["read"] += 1
        newest = self.bounds.newest if before is None else min(self.bounds.newest, before - 1)
        found, held, passed, reached = [], 0, 0, after
        blocks_left = self.page_blocks
        for block in self._blocks:
            if block.last_seq <= after or block.first_seq > newest:
                continue
            data = block.select(wanted, after)
            if data:
                found.append(block)
                held += len(data)
            else:
                passed += len(block)
            reached = block.last_seq
            if blocks_left is not None:
                blocks_left -= 1
            if held > max_bytes or passed > self.passes or blocks_left == 0:
                break
        else:
            reached = max(reached, newest)
        if self.joins:
            rows = [new_block(block, START_MS) for block in found]
            found = list(blocks_from_columns(*columns_of(rows)))
        return self._answered(Page(found, reached, self.bounds.complete_from))

    def behind_last(self, before: int, wanted: EventFilter, count: int) -> Deferred[int]:
        self.reads["behind_last"] += 1
        found = [
            block.first_seq + index
            for block in self._blocks
            for index in block.wanted(wanted)
            if block.first_seq + index < before
        ]
        return self._answered(found[-count:][0] - 1 if found else before - 1)

    def time_of(self, seq: int) -> Deferred[int | None]:
        self.reads["time_of"] += 1
        return self._answered(self._times.get(seq))

    def last_before(self, at_ms: int) -> Deferred[int]:
        self.reads["last_before"] += 1
        earlier = [seq for seq, milliseconds in self._times.items() if milliseconds < at_ms]
        return self._answered(max(earlier, default=0))

    def ends(self) -> Deferred[Ends]:
        self.reads["ends"] += 1
        numbers = self.bounds.oldest, self.bounds.newest
        held = [event_id(seq, self._times[seq]) if self._blocks else None for seq in numbers]
        return self._answered(Ends(*held))

    # The test's side

    def id_of(self, seq: int) -> str:
        """What an event is called."""
        return event_id(seq, self._times[seq])

    @property
    def waiting(self) -> int:
        """How many reads wait for an answer."""
        return len(self._waiting)

    def answer(self, reads: int = 1) -> None:
        """Answer the reads that were asked first."""
        for _ in range(reads):
            deferred, result = self._waiting.popleft()
            deferred.callback(result)

    def fail(self, error: Exception) -> None:
        """Let the read that was asked first fail."""
        deferred, _ = self._waiting.popleft()
        deferred.errback(Failure(error))

    def _answered(self, result: object) -> Deferred[object]:
        if not self.holding:
            return succeed(result)
        deferred: Deferred[object] = Deferred()
        self._waiting.append((deferred, result))
        return deferred
