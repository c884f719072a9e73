"""The files of one state directory of Loki Mode, as they are now, and which run they speak of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from loki_twisted.model.runs import (
    RunCheckout,
    RunFact,
    RunMarker,
    RunOutcome,
    RunPhase,
    RunPid,
    RunProgress,
    RunProvider,
    RunStamp,
    RunTermination,
    RunWrapper,
)
from loki_twisted.state.interface import RunSighting

_Fact = TypeVar("_Fact", bound=RunFact)

_OF_A_SCOPE: Final = (RunPid, RunStamp, RunProgress)
OWN_FILES: Final = frozenset({"loki.pid", "loki.pgid", "autonomy-state.json"})
"""Those, by their names: what else lies there is of the directory."""

_OF_ALL: Final = (RunPhase, RunWrapper)
"""What lies there once for the directory and is asked about each run."""

_Place = tuple[str | None, str]
"""Scope and path of a file."""


@attrs.frozen(slots=True)
class RunFiles:
    """
    All that is known of a directory.

    A project of many years holds what thousands of runs have left, and is judged many times in a
    second: so what is known of each is handed on from change to change where none concerns it.

    :ivar facts: By kind, and by scope (the ``LOKI_SESSION_ID``; None for a run without one, and for
        what is there once for all) and path.
    """

    facts: Mapping[type, Mapping[_Place, RunFact]] = attrs.field(factory=dict)
    _index: dict[type, dict[Any, RunFact]] = attrs.field(
        factory=dict, eq=False, repr=False, kw_only=True
    )
    _listed: dict[type, list[RunFact]] = attrs.field(
        factory=dict, eq=False, repr=False, kw_only=True
    )
    _runs: dict[str | None, Run] = attrs.field(factory=dict, eq=False, repr=False, kw_only=True)
    _order: list[str | None] = attrs.field(factory=list, eq=False, repr=False, kw_only=True)

    def with_sightings(self, sightings: Iterable[RunSighting]) -> RunFiles:
        """Say what some files say now."""
        changed: dict[type, dict[_Place, RunFact]] = {}
        touched: set[str | None] = set()

        def of(kind: type) -> dict[_Place, RunFact]:
            if kind not in changed:  # Once for all sightings: there may be thousands of facts.
                changed[kind] = dict(self.facts.get(kind, {}))
            return changed[kind]

        for said in sightings:
            place = said.scope, said.path
            touched.add(said.scope)
            for kind in [*self.facts.keys(), *changed.keys()]:
                if place in changed.get(kind, self.facts.get(kind, {})):
                    del of(kind)[place]
            if said.fact is not None:
                of(type(said.fact))[place] = said.fact
        is_same = changed.keys().isdisjoint(_OF_ALL)
        same = [scope for scope in self._runs if scope not in touched] if is_same else []
        return RunFiles(
            {**self.facts, **changed},
            index={kind: found for kind, found in self._index.items() if kind not in changed},
            listed={kind: found for kind, found in self._listed.items() if kind not in changed},
            runs={scope: self._runs[scope] for scope in same},
            order=self._order if is_same and changed.keys().isdisjoint(_OF_A_SCOPE) else [],
        )

    def all(self, kind: type[_Fact]) -> Iterator[_Fact]:
        """All values of one kind that are there once for the directory, in the order of paths."""
        listed = self._listed.get(kind)
        if listed is None:
            facts = sorted(self.facts.get(kind, {}).items(), key=_by_path)
            listed = self._listed[kind] = [fact for (scope, _), fact in facts if scope is None]
        return (fact for fact in listed if isinstance(fact, kind))

    def one(self, kind: type[_Fact], scope: str | None = None) -> _Fact | None:
        """The value of a kind of which there is one at most."""
        return self._find(kind, scope)

    def _find(self, kind: type[_Fact], key: Any) -> _Fact | None:
        """Find a value by its scope, and a wrapper by its process."""
        index = self._index.get(kind)
        if index is None:
            index = self._index[kind] = {}
            for (scope, _), fact in sorted(self.facts.get(kind, {}).items(), key=_by_path):
                index.setdefault(fact.pid if isinstance(fact, RunWrapper) else scope, fact)
        found = index.get(key)
        return found if isinstance(found, kind) else None

    def has(self, marker: str) -> bool:
        """Whether a marker is there."""
        return RunMarker(marker) in self.all(RunMarker)

    def scopes(self) -> Sequence[str | None]:
        """The runs that may be told of here, the one that the shared files speak of last."""
        if not self._order:
            self._order.extend(self._sorted_scopes())
        return self._order

    def _sorted_scopes(self) -> list[str | None]:
        found = {
            scope: None
            for kind in (*_OF_A_SCOPE, RunPhase)
            for scope, _ in self.facts.get(kind, {})
        }
        runs = [self.run(scope) for scope in found]
        if len(runs) > 1:
            runs = [run for run in runs if run.pid is not None or run.progress is not None]
        return [run.scope for run in sorted(runs, key=_order)]

    def run(self, scope: str | None) -> Run:
        """One run of the directory."""
        known = self._runs.get(scope)
        if known is None:
            known = self._runs[scope] = self._run(scope)
        return known

    def _run(self, scope: str | None) -> Run:
        pid_file = self.one(RunPid, scope)
        progress = self.one(RunProgress, scope)
        pid = pid_file.pid if pid_file else progress.pid if progress else None
        wrapper = self._find(RunWrapper, pid)
        phase = self.one(RunPhase)
        began_at = wrapper.started_at if wrapper else None
        # The run before may have had the same number, or it is not there yet.
        is_own = progress is not None and pid in {None, progress.pid}
        if progress and progress.last_run and began_at and progress.last_run < began_at:
            is_own = False
        return Run(
            scope=scope,
            pid=pid,
            has_pid_file=pid_file is not None,
            stamp=self.one(RunStamp, scope),
            progress=progress if is_own else None,
            began_at=began_at,
            directory_began_at=phase.began_at if phase else None,
        )


@attrs.frozen(slots=True, kw_only=True)
class Run:
    """
    One run: what tells it apart, and how far it is.

    :ivar has_pid_file: Whether ``loki.pid`` is there, as it is while the run is at work.
    :ivar progress: None while it has written none of its own.
    :ivar began_at: None while that is not known.
    :ivar directory_began_at: When the first run of the directory began.
    """

    scope: str | None
    pid: int | None
    has_pid_file: bool
    stamp: RunStamp | None
    progress: RunProgress | None
    began_at: str | None
    directory_began_at: str | None

    @property
    def started_at(self) -> str | None:
        """When it began, as well as anybody knows."""
        return self.began_at or self.directory_began_at

    @property
    def identity(self) -> str:
        """The same for the same run."""
        return f"{self.pid}@{self.started_at}"


def _order(run: Run) -> tuple[bool, str, str]:
    last = run.progress.last_run if run.progress else None
    return run.has_pid_file, max(run.began_at or "", last or ""), run.scope or ""


def outcome_of(files: RunFiles, run: Run) -> RunOutcome | None:
    """What ``completion.json`` says, if it says it of this run and not of one before."""
    outcome = files.one(RunOutcome)
    since = run.progress.last_run if run.progress else run.began_at
    if outcome is None or outcome.at is None or since is None or outcome.at < since:
        return None
    return outcome


def termination_of(files: RunFiles, run: Run) -> RunTermination | None:
    """What ``termination.json`` says, if it says it of this run."""
    found = files.one(RunTermination)
    since = run.began_at
    if found is None or (since is not None and (found.at is None or found.at < since)):
        return None
    return found


def was_replaced(files: RunFiles, run: Run) -> bool:
    """Whether another run came after this one and has taken its place."""
    return any(checkout.pid != run.pid for checkout in files.all(RunCheckout))


def provider_of(files: RunFiles) -> str | None:
    """The provider that runs of the directory use."""
    provider = files.one(RunProvider)
    return provider.name if provider else None


def _by_path(item: tuple[_Place, RunFact]) -> str:
    return item[0][1]
