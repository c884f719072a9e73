"""
The book: every session that is known, and the only way to change one.

A change is decided on the newest state, takes effect for the next decision at once, and goes into
the log in the same turn of the reactor: so decisions and their events have one order. Readers see
a change when it is on disk. If it cannot be put there, the session falls back to where that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from loki_twisted.log.interface import Batch, Bounds, IEventLog, IRecords
from loki_twisted.model.errors import SessionNotFound
from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import Session
from loki_twisted.model.spending import Spending
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.sessions.groups import Groups
from loki_twisted.sessions.launches import Launches
from loki_twisted.sessions.overview import Overview, overview_of
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.rows import NO_ROWS, Rows
from loki_twisted.sessions.state import SessionState
from loki_twisted.sessions.stored import batch_of, stored_states
from loki_twisted.sessions.talk import SILENCE, Talk

_DELETED_CURSOR = "deleted:"


class SessionBook:
    """
    All sessions by id.

    :param log: The event log, and the rows that go with it.
    :param now_ms: The wall clock, milliseconds since the Unix epoch.
    :ivar is_closed: Whether the next server's book says what comes.
    :ivar launches: Of its sessions, those that are under way.
    """

    is_closed = False

    def __init__(self, log: IEventLog, records: IRecords, now_ms: Callable[[], int]) -> None:
        self.launches = Launches()
        self._log = log
        self._rows = records
        self._now_ms = now_ms
        self._records: dict[str, Record] = {}
        self._groups = Groups()
        self._deleted: set[str] = set()
        self._overview: Overview | None = None

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def unended(self) -> list[Record]:
        """The sessions that have not ended, on disk or for decisions: a few of very many."""
        return self._groups.unended()

    def observed_in(self, directory: str) -> list[Record]:
        """The sessions of a project directory that were not started by us, ended ones too."""
        return self._groups.observed_in(directory)

    def now(self) -> str:
        """The time, ISO 8601."""
        return iso_from_ms(self._now_ms())

    async def load(self) -> None:
        """Read every session from disk."""
        deleted = await self._rows.cursors(_DELETED_CURSOR)
        self._deleted = {name.removeprefix(_DELETED_CURSOR) for name in deleted}
        async for states in stored_states(self._rows):
            for state in states:
                record = self._records[state.session.id] = Record(state, committed=state)
                self._groups.sort(record)
        self._overview = None

    def find(self, session_id: str) -> Record | None:
        """The record of a session, or None; it may not be on disk yet."""
        return self._records.get(session_id)

    def get(self, session_id: str) -> Record:
        """
        The record of a session that readers know.

        :raises SessionNotFound: if there is none of that id on disk.
        """
        record = self._records.get(session_id)
        if record is None or record.committed is None:
            raise SessionNotFound.of(session_id)
        return record

    def read(self, session_id: str) -> Session:
        """
        What readers see of one session.

        :raises SessionNotFound: if there is none of that id on disk.
        """
        record = self._records.get(session_id)
        if record is None or record.committed is None:
            raise SessionNotFound.of(session_id)
        return record.committed.session

    def add(self, session: Session, counters: Mapping[str, Spending] | None = None) -> Record:
        """
        Make room for a new session; :meth:`commit` then puts it on disk.

        :param counters: Totals of the conversation that it continues.
        """
        talk = Talk(counters=counters) if counters else SILENCE
        record = self._records[session.id] = Record(SessionState(session, talk=talk))
        self._groups.sort(record)
        return record

    def remove(self, record: Record) -> None:
        """Take a session out that is not on disk."""
        self._records.pop(record.id, None)
        self._groups.remove(record)
        self._overview = None

    def overview(self) -> Overview:
        """What readers see of all sessions."""
        if self._overview is None:
            known = (record.committed for record in self._records.values())
            self._overview = overview_of(each.session for each in known if each is not None)
        return self._overview

    def commit(
        self,
        record: Record,
        state: SessionState,
        facts: Sequence[Fact] = (),
        cursors: Mapping[str, str | None] | None = None,
        rows: Rows = NO_ROWS,
    ) -> Deferred[Session]:
        """
        Put a session into a new state, with the events that belong to it.

        What it has used more than before goes into the ledger, unless the rows say that better.

        :param cursors: Positions to store with it.
        :param rows: Rows of what its agent asks and is told.
        :returns: Fires with the session as it is then on disk.
        :raises StorageFailed: (through the Deferred) if it could not be stored.
        """
        now_ms = self._now_ms()
        before = record.state
        is_new = record.committed is None and record.in_flight == 0
        if state.session != before.session or is_new:
            session = msgspec.structs.replace(state.session, updated_at=iso_from_ms(now_ms))
            state = attrs.evolve(state, session=session)
        batch = batch_of(before, state, now_ms, facts, cursors or {}, rows, is_new=is_new)
        record.state = state
        record.in_flight += 1
        self._groups.sort(record)
        done: Deferred[Bounds] = self._log.append(batch)
        if done.called and isinstance(done.result, Failure):
            record.state = before  # What was on its way before is so still, and may come there.
            self._groups.sort(record)
        return done.addCallbacks(self._stored, self._not_stored, (record, state), {}, (record,))

    def _stored(self, _: Bounds, record: Record, state: SessionState) -> Session:
        record.in_flight -= 1
        if record.committed is None or record.committed.session is not state.session:
            self._overview = None
        record.committed = state
        self._groups.sort(record)
        record.tell()
        return state.session

    def _not_stored(self, failure: Failure, record: Record) -> Failure:
        record.in_flight -= 1
        if record.in_flight == 0:
            if record.committed is None:
                self.remove(record)
            else:
                record.state = record.committed
                self._groups.sort(record)
        if record.stop_ordered:
            record.note_stop()
        return failure

    def forget(self, record: Record) -> Deferred[None]:
        """
        Remove a session's record from disk, and then from the book.

        Files that its state directory may still have are passed over from now on.

        :raises StorageFailed: (through the Deferred) if it could not be removed; it stays then.
        """

        def gone(_: Bounds) -> None:
            self.remove(record)

        def stays(failure: Failure) -> Failure:
            self._deleted.discard(record.id)
            return failure

        self._deleted.add(record.id)
        batch = Batch(
            session_id=record.id,
            at_ms=self._now_ms(),
            cursors={_DELETED_CURSOR + record.id: "1"},
            forget=True,
        )
        return self._log.append(batch).addCallbacks(gone, stays)

    def is_deleted(self, session_id: str) -> bool:
        """Whether a session's record was deleted while its files may have stayed."""
        return session_id in self._deleted

    def bury(self, session_id: str) -> Deferred[Bounds]:
        """Take note that the files of a deleted session are gone too: its id is free again."""
        self._deleted.discard(session_id)
        return self.tell("", (), {_DELETED_CURSOR + session_id: None})

    def tell(
        self, session_id: str, facts: Sequence[Fact], cursors: Mapping[str, str | None]
    ) -> Deferred[Bounds]:
        """Put facts into the log that change no session."""
        batch = Batch(session_id=session_id, at_ms=self._now_ms(), facts=facts, cursors=cursors)
        return self._log.append(batch)
