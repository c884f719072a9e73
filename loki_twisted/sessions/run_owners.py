"""
Whose a run is: one that this server started, or one that somebody else did.

========================================  ======================================================
a run                                     is told as
========================================  ======================================================
with ``LOKI_SESSION_ID`` of a session     that session
of ours, by its files or its environment
of the process of a session of ours, or   that session, also later: this is put on record
whose environment nobody can look into:
begun in its project since it was
started, or come up while it, a run of
Loki Mode, is at work there
with any other ``LOKI_SESSION_ID``        an observed session of that name
any other                                 the observed session of its directory: one for all
                                          runs, which share their queue; named after the moment
                                          of the first
========================================  ======================================================
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

import attrs

from loki_twisted.model.identifiers import is_session_id
from loki_twisted.model.sessions import Origin, Session, SessionStatus, Steering
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.run_files import Run

CLAIM = "run:"
_LONGEST_NAME = 48


@attrs.frozen(slots=True)
class Claim:
    """The last run in a directory that was ours: of which session, and which run."""

    session_id: str
    identity: str


@attrs.define(eq=False)
class RunOwners:
    """
    Knows which runs are ours, and what the others are called.

    :ivar given_to: Of a run in a directory, the ``LOKI_SESSION_ID`` that its process was given;
        empty if it was given none, None if nobody can tell.
    """

    book: SessionBook
    given_to: Callable[[str, Run], str | None] = lambda *_: None
    _claims: dict[str, Claim] = attrs.field(factory=dict, init=False)
    _names: dict[str, str] = attrs.field(factory=dict, init=False)
    _named: dict[str, tuple[str, str | None]] = attrs.field(factory=dict, init=False)

    def load(self, cursors: Mapping[str, str]) -> None:
        """Begin with what is stored."""
        for name, text in cursors.items():
            if name.startswith(CLAIM):
                session_id, _, identity = text.partition(" ")
                self._claims[name.removeprefix(CLAIM)] = Claim(session_id, identity)

    def at_work(self, directory: str) -> Sequence[Record]:
        """The sessions of ours that a run in a directory may be of."""
        return [
            record
            for record in self.book.unended()
            if record.is_ours and _may_run(record, directory)
        ]

    def session_of_ours(self, directory: str, run: Run, at_work: Sequence[Record]) -> str | None:
        """
        Say of which session of ours a run is.

        :param at_work: As :meth:`at_work` says.
        :returns: Its id, also if it was deleted since; None for a run of somebody else.
        """
        if run.scope is not None:
            record = self.book.find(run.scope)
            if record is not None and record.is_ours:
                return record.id
        found = self._among(at_work, directory, run) if at_work else None
        claim = self._claims.get(directory)
        if found is None and claim is not None and claim.identity == run.identity:
            return claim.session_id
        return found

    def _among(self, ours: Sequence[Record], directory: str, run: Run) -> str | None:
        """Find the session that a run is of among those that it may be of."""
        for record in ours:
            pid = record.state.session.pid
            if pid is not None and pid == run.pid:
                return record.id
        given = self.given_to(directory, run)
        if given is not None:
            return next((record.id for record in ours if record.id == given), None)
        if self._is_known(directory, run):
            return None
        for record in ours:
            if _has_begun_since(record, run):
                return record.id
        return self._only_run(ours, run)

    def _only_run(self, ours: Sequence[Record], run: Run) -> str | None:
        """
        Find the session of ours that is a run of Loki Mode at work in a directory.

        It is the only run there can be: so what has come up since is it, whatever it says of its
        process and its time. What was there before is known as somebody else's.
        """
        if not run.has_pid_file:
            return None
        for record in ours:
            if record.state.session.steered_by is Steering.FILES:
                return record.id
        return None

    def _is_known(self, directory: str, run: Run) -> bool:
        """Whether a run is known as somebody else's."""
        for record in self.book.observed_in(directory):
            session = record.state.session
            is_at_work = session.pid == run.pid and not session.status.is_final
            if is_at_work or session.started_at == run.started_at:
                return True
        return False

    def claim(self, directory: str, session_id: str, run: Run) -> dict[str, str | None]:
        """
        Take note that a run is of a session of ours.

        :returns: What to store.
        """
        claim = Claim(session_id, run.identity)
        if run.began_at is None or self._claims.get(directory) == claim:
            return {}
        self._claims[directory] = claim
        return {f"{CLAIM}{directory}": f"{session_id} {run.identity}"}

    def name(self, directory: str, run: Run) -> str:
        """Name the observed session of a run that is not ours."""
        if run.scope is None:
            known = self._names.get(directory)
            if known is not None and (self.book.find(known) or self.book.is_deleted(known)):
                return known
            began = re.sub(r"[^0-9A-Za-z]", "", (run.directory_began_at or "")[:19])
            wanted = f"loki_{began}" if began else f"loki_{_digest(directory)}"
        else:
            wanted = _name_of(run.scope)
        if not is_session_id(wanted) or self._is_taken(wanted, directory, run.scope):
            wanted = f"{wanted[:_LONGEST_NAME]}_{_digest(directory)}"
        self._named.setdefault(wanted, (directory, run.scope))
        if run.scope is None:
            self._names[directory] = wanted
        return wanted

    def forget(self, directory: str) -> None:
        """The state directory is gone: a new one there is another."""
        self._names.pop(directory, None)

    def unknown(self, session_id: str, directory: str) -> Session:
        """A session of which nothing is known yet."""
        now = self.book.now()
        return Session(
            id=session_id,
            status=SessionStatus.STARTING,
            provider="claude",
            project_dir=directory,
            started_at=now,
            updated_at=now,
            origin=Origin.OBSERVED,
            steered_by=Steering.FILES,
        )

    def observed_at_work(self, directory: str) -> list[Record]:
        """The observed sessions of runs in a directory that have not ended."""
        return [
            record
            for record in self.book.unended()
            if not record.is_ours
            and not record.status.is_final
            and record.state.session.project_dir == directory
            and record.state.session.steered_by is Steering.FILES
        ]

    def _is_taken(self, session_id: str, directory: str, scope: str | None) -> bool:
        if self._named.get(session_id, (directory, scope)) != (directory, scope):
            return True
        record = self.book.find(session_id)
        return record is not None and (
            record.is_ours or record.state.session.project_dir != directory
        )


def _may_run(record: Record, directory: str) -> bool:
    session = record.state.session
    return (
        session.project_dir == directory
        and not session.status.is_final
        and session.status is not SessionStatus.QUEUED
    )


def _has_begun_since(record: Record, run: Run) -> bool:
    # Loki Mode says seconds: one that was killed to make room may have begun in the same.
    second = f"{record.state.session.started_at[:19]}.000Z"
    return run.began_at is not None and run.began_at >= second


def _name_of(scope: str) -> str:
    """Make an id of a ``LOKI_SESSION_ID``, another for each."""
    if is_session_id(scope) and len(scope) <= _LONGEST_NAME:
        return scope
    words = re.sub(r"[^A-Za-z0-9_-]", "_", scope)[: _LONGEST_NAME - 9].strip("_-")
    return f"{words or 'loki'}_{_digest(scope)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
