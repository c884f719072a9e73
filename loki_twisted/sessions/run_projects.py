"""What is known of the runs in one directory, and what of it is not believed at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from twisted.internet.interfaces import IDelayedCall

from loki_twisted.sessions.judging import Judgement
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.run_files import OWN_FILES, Run, RunFiles
from loki_twisted.sessions.run_steps import missing_tasks
from loki_twisted.state.interface import RunSighting

HOLD: Final = 1.0
"""Seconds for which what may be half of a change is not believed."""

END_QUIET: Final = 0.2
"""Seconds without a change after which an end is believed, before :data:`HOLD` is over."""


@attrs.define(eq=False)
class Project:
    """
    What is known of the runs in one directory.

    :ivar is_told: Whether all that was there at first is known.
    :ivar changed_at: When anything changed last, by the reactor's clock.
    :ivar own_changed_at: By scope, when a file of that run alone did.
    :ivar held: By scope, and whether it is an end, since when a run is not believed yet.
    :ivar missing: By session and task, since when a task is not listed any more.
    :ivar current: Id of the session that the shared files speak of.
    :ivar settled: By scope, the runs that others came after and of which all is on record: they
        need not be judged again as long as they stay the same.
    """

    directory: str
    changed_at: float
    files: RunFiles = attrs.field(factory=RunFiles)
    is_told: bool = False
    held: dict[tuple[str | None, bool], float] = attrs.field(factory=dict)
    missing: dict[tuple[str, str], float] = attrs.field(factory=dict)
    check: IDelayedCall | None = None
    current: str | None = None
    own_changed_at: dict[str | None, float] = attrs.field(factory=dict)
    settled: dict[str | None, Run] = attrs.field(factory=dict)

    def take(self, said: Sequence[RunSighting], now: float) -> None:
        """Take what files say now."""
        self.files = self.files.with_sightings(said)
        self.changed_at = now
        own = [each for each in said if each.scope is not None or each.path in OWN_FILES]
        self.own_changed_at.update(dict.fromkeys((each.scope for each in own), now))

    def quiet(self, scope: str | None, now: float, *, is_current: bool) -> float:
        """
        Say for how many seconds a run has written nothing.

        :param is_current: Whether what is there once for the directory is this run's. Else
            another run writes it, and that is no sign of life of this one.
        """
        changed_at = self.changed_at if is_current else self.own_changed_at.get(scope, now)
        return now - changed_at

    def waits(self, record: Record | None, judged: Judgement, now: float) -> float:
        """Say for how many seconds a run that comes or goes may still be but half told."""
        run = judged.run
        was_final = record is not None and record.status.is_final
        # Its number is there, and not yet its time; or that by which its session is named.
        is_nameless = record is None and run.scope is None and run.directory_began_at is None
        is_half = is_nameless or (run.began_at is None and (run.has_pid_file or record is None))
        is_end = judged.status.is_final and not was_final
        is_back = was_final and not judged.status.is_final
        if is_back and record is not None:
            is_back = run.started_at == record.state.session.started_at
        key = run.scope, judged.status.is_final
        self.held.pop((run.scope, not judged.status.is_final), None)
        if not (is_half or is_end or is_back):
            self.held.pop(key, None)
            return 0.0
        until = self.held.setdefault(key, now) + HOLD
        if not (is_half or is_back):
            # Files that are read together were not written together: an end may be none.
            until = min(until, self.changed_at + END_QUIET)
        return until - now

    def missing_tasks(
        self, record: Record, judged: Judgement, now: float
    ) -> tuple[set[str], list[float]]:
        """
        Name the tasks that may be on their way from one file of the queue to another.

        :returns: Also, for each, for how many seconds still.
        """
        gone = {(record.id, name) for name in missing_tasks(record.state, judged.tasks)}
        for key in [key for key in self.missing if key[0] == record.id and key not in gone]:
            del self.missing[key]
        for key in gone:
            self.missing.setdefault(key, now)
        if judged.status.is_final:
            return set(), []
        left = {key[1]: self.missing[key] + HOLD - now for key in gone}
        waiting = {name: seconds for name, seconds in left.items() if seconds > 0}
        return set(waiting), list(waiting.values())
