"""Sessions of the book by what is asked for often: few of very many, without a walk through all."""

from __future__ import annotations

import attrs

from loki_twisted.sessions.record import Record


@attrs.define(eq=False)
class Groups:
    """The records of a book, as far as they are in one of its groups."""

    _unended: dict[str, Record] = attrs.field(factory=dict, init=False)
    _observed: dict[str, dict[str, Record]] = attrs.field(factory=dict, init=False)
    """By project directory, of which no session ever has another."""

    def sort(self, record: Record) -> None:
        """Put a record where it belongs now: a new one, or one that stands elsewhere."""
        self._unended[record.id] = record
        if record.status.is_final and (at := record.committed) and at.session.status.is_final:
            del self._unended[record.id]
        if not record.is_ours:
            directory = record.state.session.project_dir
            self._observed.setdefault(directory, {})[record.id] = record

    def remove(self, record: Record) -> None:
        """Take a record out of all of them."""
        self._unended.pop(record.id, None)
        directory = record.state.session.project_dir
        there = self._observed.get(directory, {})
        there.pop(record.id, None)
        if not there:
            self._observed.pop(directory, None)

    def unended(self) -> list[Record]:
        """Those that have not ended, on disk or for decisions."""
        return list(self._unended.values())

    def observed_in(self, directory: str) -> list[Record]:
        """Those of a project directory that were not started by us."""
        return list(self._observed.get(directory, {}).values())
