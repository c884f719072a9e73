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
    RunBeat,
    RunCheckout,
    RunCost,
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
from loki_twisted.state.fields import (
    NAME_LIMIT,
    TITLE_LIMIT,
    maybe_number,
    maybe_text,
    maybe_time,
    maybe_whole,
    maybe_word,
)
from loki_twisted.state.interface import RunSighting, Sighting, Unreadable
from loki_twisted.state.layout import ILayout, NotUnderstood, json_of, object_of
from loki_twisted.state.loki_events import EVENT_FILES, facts_of_lines
from loki_twisted.state.loki_notes import NOTE_FILES, NOTE_MARKERS
from loki_twisted.state.loki_queue import AGENTS_FILE, QUEUE_FILES, agents_of, tasks_of

Parsed = tuple[RunFact, Sequence[str]]
"""A value, and in words what of its file is not understood."""

_LARGEST_PID: Final = 2**22
_DIGITS: Final = re.compile(rb"\s*([0-9]{1,10})\s*", re.ASCII)
_STAMP: Final = re.compile(rb"\b(pgid|boot|started)=([0-9]{1,12})\b", re.ASCII)
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


def _pid(content: bytes) -> RunPid:
    found = _DIGITS.fullmatch(content)
    if found is None or not 0 < int(found[1]) <= _LARGEST_PID:
        raise NotUnderstood("holds no process id")
    return RunPid(int(found[1]))


def _stamp(content: bytes) -> RunFact:
    said = {name: int(number) for name, number in _STAMP.findall(content[:1024])}
    if b"pgid" in said:
        return RunStamp(said[b"pgid"], said.get(b"boot"), said.get(b"started"))
    return RunStamp(_pid(content).pid, None, None)  # older ones hold the number alone


def _provider(content: bytes) -> RunFact:
    name = maybe_word(content[:NAME_LIMIT].decode("utf-8", "replace"))
    if name is None or not name.isprintable():
        raise NotUnderstood("names no provider")
    return RunProvider(name)


def _progress(content: bytes) -> RunFact:
    fields = object_of(json_of(content))
    status = maybe_word(fields.get("status"))
    if status is None:
        raise NotUnderstood("has no status")
    return RunProgress(
        status=status,
        pid=maybe_whole(fields.get("pid")),
        iteration=max(0, maybe_whole(fields.get("iterationCount")) or 0),
        prd_path=maybe_text(fields.get("prdPath"), TITLE_LIMIT),
        last_run=maybe_time(fields.get("lastRun")),
    )


def _wrapper(content: bytes) -> RunFact | None:
    fields = object_of(json_of(content))
    pid = maybe_whole(fields.get("pid"))
    if fields.get("kind") != "wrapper" or pid is None:
        return None
    return RunWrapper(pid, maybe_time(fields.get("started")))


def _phase(content: bytes) -> RunFact:
    fields = object_of(json_of(content))
    return RunPhase(maybe_word(fields.get("currentPhase")), maybe_time(fields.get("startedAt")))


def _outcome(content: bytes) -> RunFact:
    fields = object_of(json_of(content))
    outcome = maybe_word(fields.get("outcome"))
    if outcome is None:
        raise NotUnderstood("has no outcome")
    brief = maybe_text(fields.get("error_brief"), TITLE_LIMIT)
    return RunOutcome(outcome, brief, maybe_time(fields.get("timestamp")))


def _termination(content: bytes) -> RunFact:
    fields = object_of(json_of(content))
    reason = maybe_text(fields.get("reason"), TITLE_LIMIT)
    exit_code = maybe_whole(fields.get("exit_code"))
    return RunTermination(reason, exit_code, maybe_time(fields.get("timestamp")))


def _beat(content: bytes) -> RunFact:
    return RunBeat(maybe_time(object_of(json_of(content)).get("timestamp")))


def _cost(kind: str, iteration: int, content: bytes) -> RunFact:
    fields = object_of(json_of(content))
    is_exact = kind.startswith("result")
    counts = [maybe_whole(fields.get(f"{way}_tokens")) for way in ("input", "output")]
    known = [count for count in counts if count is not None and count >= 0]
    tokens = sum(known) if known else None
    cost = maybe_number(fields.get("total_cost_usd" if is_exact else "cost_usd"))
    if cost is not None and cost < 0:
        cost = None
    if not is_exact:  # Zeros stand there for providers that do not say what they used.
        tokens, cost = tokens or None, cost or None
    return RunCost(iteration=iteration, is_exact=is_exact, tokens=tokens, cost=cost)


_FILES: Final[Mapping[str, Callable[[bytes], RunFact]]] = {
    "state/orchestrator.json": _phase,
    "state/provider": _provider,
    "state/completion.json": _outcome,
    "state/termination.json": _termination,
    "dashboard-state.json": _beat,
}
_OF_A_RUN: Final[Mapping[str, Callable[[bytes], RunFact]]] = {
    "loki.pid": _pid,
    "loki.pgid": _stamp,
    "autonomy-state.json": _progress,
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
        return _Kind(1, _wrapper)
    if found := _COST.fullmatch(path):
        return _Kind(2, partial(_cost, found[1], int(found[2])))
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
        return facts_of_lines(EVENT_FILES[path], lines) if path in EVENT_FILES else None
