"""
The layout of today's Loki Mode (9.x).

Each file is a ``RunSighting`` with one value of ``model/runs.py``; what all of them mean together
is judged in ``sessions/judging.py``.

==================================  ==========================================================
file                                becomes
==================================  ==========================================================
``loki.pid``                        :class:`RunPid`: a run is at work, this is its process
``loki.pgid``                       :class:`RunStamp`: tells that process from a later one
``autonomy-state.json``             :class:`RunProgress`: ``status pid iterationCount prdPath``
                                    ``lastRun``
``checkout-runs/PID``               :class:`RunCheckout`: who came last
``pids/PID.json``                   :class:`RunWrapper`: ``started``, where ``kind`` is ``wrapper``
``state/orchestrator.json``         :class:`RunPhase`: ``currentPhase startedAt``
``state/provider``                  :class:`RunProvider`
``state/completion.json``           :class:`RunOutcome`: ``outcome error_brief timestamp``
``state/termination.json``          :class:`RunTermination`: ``reason exit_code timestamp``
``queue/*.json``                    :class:`RunTasks`; see ``loki_queue.py``
``state/agents.json``               :class:`RunAgents`; see ``loki_queue.py``
``metrics/result-cost-N.json``      :class:`RunCost`: ``total_cost_usd input_tokens output_tokens``
``metrics/efficiency/...-N.json``   :class:`RunCost`: the same, where the other is missing; zeros
                                    are unknown
``PAUSE``, ``PAUSED.md``, ``STOP``  :class:`RunMarker`
``dashboard-state.json``            :class:`RunBeat`: its other fields lag or are wrong
``events.jsonl``                    log events, line by line; see ``loki_events.py``
``logs/agent-audit.jsonl``          the same
``logs/autonomy-DATE.log``          nothing: ``logs/agent.log`` has the same output
budget, gates, council, signals,    :class:`RunNotes`: log events and ``metrics:update``; see
notifications, resources, ...       ``loki_notes.py``
==================================  ==========================================================

The first three lie in ``sessions/ID/`` for a run with ``LOKI_SESSION_ID``; everything else there
is once for the directory, whoever runs in it. A file that is removed says so by a sighting
without a value. A field of a wrong type counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

import attrs
from zope.interface import implementer

from loki_twisted.model.events import Fact
from loki_twisted.model.runs import (
    RunCheckout,
    RunFact,
    RunMarker,
)
from loki_twisted.state.interface import RunSighting, Sighting, Unreadable
from loki_twisted.state.layout import ILayout, json_of
from loki_twisted.state.loki_events import EVENT_FILES, facts_of_lines
from loki_twisted.state.loki_notes import NOTE_FILES, NOTE_MARKERS
from loki_twisted.state.loki_queue import AGENTS_FILE, QUEUE_FILES, agents_of, tasks_of
from loki_twisted.state.loki_readers import (
    beat_of,
    cost_of,
    outcome_of,
    phase_of,
    pid_of,
    progress_of,
    provider_of,
    stamp_of,
    termination_of,
    wrapper_of,
)

Parsed = tuple[RunFact, Sequence[str]]
"""A value, and in words what of its file is not understood."""

_SCOPED: Final = re.compile(
    r"(?:sessions/([A-Za-z0-9_][A-Za-z0-9._-]{0,254})/)?(loki\.pid|loki\.pgid|autonomy-state\.json)",
    re.ASCII,
)
_CHECKOUT: Final = re.compile(r"checkout-runs/([1-9][0-9]{0,6})", re.ASCII)
_WRAPPER: Final = re.compile(r"pids/[1-9][0-9]{0,6}\.json", re.ASCII)
_COST: Final = re.compile(
    r"metrics/(result-cost-|efficiency/iteration-)([0-9]{1,6})\.json", re.ASCII
)
_MARKERS: Final = frozenset({"PAUSE", "PAUSED.md", "STOP"})
_SAME_AS_AGENT_LOG: Final = re.compile(r"logs/autonomy-[0-9]{8}\.log", re.ASCII)


_FILES: Final[Mapping[str, Callable[[bytes], RunFact]]] = {
    "state/orchestrator.json": phase_of,
    "state/provider": provider_of,
    "state/completion.json": outcome_of,
    "state/termination.json": termination_of,
    "dashboard-state.json": beat_of,
}
_OF_A_RUN: Final[Mapping[str, Callable[[bytes], RunFact]]] = {
    "loki.pid": pid_of,
    "loki.pgid": stamp_of,
    "autonomy-state.json": progress_of,
}


@attrs.frozen(slots=True)
class _Kind:
    """
    How a file is read.

    :ivar rank: See :meth:`ILayout.rank`.
    :ivar read: Gives None where it says nothing.
    :ivar is_marker: Whether being there is enough.
    """

    rank: int
    read: Callable[[bytes], RunFact | Parsed | None]
    is_marker: bool = False
    scope: str | None = None


def _kind_of(path: str) -> _Kind | None:
    # Asked several times for each change. There may be very many directories of sessions, whose
    # other files are not ours, and of the rest the same names come all the time.
    if path.startswith("sessions/") and path.rpartition("/")[2] not in _OF_A_RUN:
        return None
    return _known_kind(path)


@lru_cache(maxsize=4096)
def _known_kind(path: str) -> _Kind | None:
    if found := _SCOPED.fullmatch(path):
        return _Kind(0, _OF_A_RUN[found[2]], scope=found[1])
    if path in _FILES:
        return _Kind(1, _FILES[path])
    if path in QUEUE_FILES:
        return _Kind(3, lambda content: tasks_of(QUEUE_FILES[path], json_of(content)))
    if path == AGENTS_FILE:
        return _Kind(4, lambda content: agents_of(json_of(content)))
    return _numbered(path) or _note(path)


def _numbered(path: str) -> _Kind | None:
    if path in _MARKERS:
        return _Kind(1, lambda _: RunMarker(path), is_marker=True)
    if found := _CHECKOUT.fullmatch(path):
        pid = int(found[1])
        return _Kind(1, lambda _: RunCheckout(pid), is_marker=True)
    if _WRAPPER.fullmatch(path):
        return _Kind(1, wrapper_of)
    if found := _COST.fullmatch(path):
        return _Kind(2, partial(cost_of, found[1], int(found[2])))
    return None


def _note(path: str) -> _Kind | None:
    for pattern, read_json in NOTE_FILES:
        if matched := pattern.fullmatch(path):
            return _Kind(5, partial(_of_json, partial(read_json, matched)))
    for pattern, read in NOTE_MARKERS:
        if matched := pattern.fullmatch(path):
            return _Kind(5, partial(read, matched), is_marker=True)
    return None


def _of_json(read: Callable[[Any], RunFact], content: bytes) -> RunFact:
    return read(json_of(content))


@implementer(ILayout)
class LokiModeLayout:
    """The layout that Loki Mode itself writes."""

    def rank(self, path: str) -> int | None:
        """See :class:`ILayout`."""
        kind = _kind_of(path)
        return None if kind is None else kind.rank

    def sightings(self, path: str, content: bytes) -> Sequence[Sighting]:
        """See :class:`ILayout`."""
        kind = _kind_of(path)
        said = None if kind is None else kind.read(content)
        if kind is None or said is None:
            return ()
        fact, reasons = said if isinstance(said, tuple) else (said, ())
        sighting = RunSighting(kind.scope, path, fact)
        if not reasons:
            return [sighting]
        words = f"something in it is not understood: {'; '.join(reasons)}"
        return [sighting, Unreadable(None, path, words)]

    def session_of(self, path: str) -> str | None:
        """
        See :class:`ILayout`.

        Only the documented layout gives a session a directory; files of runs are told together.
        """
        del path
        return None

    def gone(self, path: str) -> Sequence[Sighting]:
        """See :class:`ILayout`."""
        kind = _kind_of(path)
        return () if kind is None else [RunSighting(kind.scope, path, None)]

    def is_marker(self, path: str) -> bool:
        """See :class:`ILayout`."""
        kind = _kind_of(path)
        return kind is not None and kind.is_marker

    def is_log(self, path: str) -> bool:
        """See :class:`ILayout`."""
        return path in EVENT_FILES

    def facts(self, path: str, lines: Sequence[str]) -> Sequence[Fact] | None:
        """See :class:`ILayout`."""
        if _SAME_AS_AGENT_LOG.fullmatch(path):
            return ()
        return facts_of_lines(EVENT_FILES[path], lines) if path in EVENT_FILES else None
