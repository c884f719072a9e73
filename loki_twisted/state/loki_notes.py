"""
What Loki Mode writes for people: each piece of news becomes one event, once.

==================================  =====================  =======================================
file                                news, by its key       event
==================================  =====================  =======================================
``metrics/budget.json``             used, or exceeded      ``log:info``, ``log:warn`` if exceeded
``quality/gate-failure-count.json`` each gate above zero   ``log:warn``
``council/votes/round-N.json``      each verdict           ``log:info``
``council/state.json``              force, circuit breaker nothing: votes tell it
``notifications/*.json``            each of                ``log:error`` if ``severity`` is
                                    ``notifications``      critical, ``log:warn`` if warning, else
                                                           ``log:info``
``state/LAST_ERROR.json``           the failed iteration   ``log:error``
``state/resources.json``            each reading           ``metrics:update`` with ``cpuUsage`` and
                                                           ``memoryUsage``
``signals/NAME``                    being there            ``log:warn`` or ``log:info``; see below
``PAUSE_AT_CHECKPOINT``,            being there            ``log:info``: what it asks for (so do
``HUMAN_INPUT.md``                                         ``PAUSE`` and ``STOP``)
``logs/human-input-DATE.md``        being there            ``log:info``: input was taken
``logs/human-input-REJECTED-*``,    being there            ``log:warn``: input was rejected, or is
``...-TOOLARGE-*``                                         too large
==================================  =====================  =======================================
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from re import Match, Pattern
from typing import Any, Final

from loki_twisted.model.runs import Note, RunFact, RunNotes
from loki_twisted.state.fields import (
    NAME_LIMIT,
    TITLE_LIMIT,
    maybe_number,
    maybe_text,
    maybe_whole,
    maybe_word,
)
from loki_twisted.state.layout import object_of

SOURCE: Final = "loki-mode"
_MOST: Final = 100
"""Of how many pieces of news one file can be."""

_LEVELS: Final[Mapping[str, str]] = {
    "critical": "error",
    "error": "error",
    "high": "error",
    "warning": "warn",
    "warn": "warn",
    "medium": "warn",
}
_INFO_SIGNALS: Final[Mapping[str, str]] = {
    "COMPLETION_REQUESTED": "The agent says that it is done.",
    "TASK_COMPLETION_CLAIMED": "The agent says that its task is done.",
    "COUNCIL_REVIEW_REQUESTED": "A vote of the council was asked for.",
    "PLAN_APPROVED": "The plan was approved.",
    "POLICY_APPROVED": "A policy was approved.",
    "DOCS_NEEDED": "Documentation is missing.",
}
_WARN_SIGNALS: Final[Mapping[str, str]] = {
    "BUDGET_EXCEEDED": "The budget is exceeded: the run pauses.",
    "RATE_LIMITED": "The provider limits the rate.",
    "GATE_ESCALATION": "A gate fails again and again.",
    "UNCERTAINTY_ESCALATION": "The agent is uncertain.",
    "POLICY_REJECTED": "A policy was rejected.",
    "HUMAN_REVIEW_NEEDED": "A human should look at it.",
    "STATIC_ANALYSIS_FAILED": "The static analysis failed.",
    "TESTS_FAILED": "The tests failed.",
}
_REQUESTS: Final[Mapping[str, str]] = {
    "PAUSE_AT_CHECKPOINT": "A pause at the next checkpoint is asked for.",
    "HUMAN_INPUT.md": "Human input waits for the next iteration.",
}


def _log(key: str, mark: str, level: str, message: str) -> Note:
    data = {"level": level, "message": message, "source": SOURCE}
    return Note(key, mark, f"log:{level}", data)


def _budget(_: Match[str], value: Any) -> RunFact:
    fields = object_of(value)
    limit = maybe_number(fields.get("budget_limit"))
    limit = maybe_number(fields.get("limit")) if limit is None else limit
    used = maybe_number(fields.get("budget_used"))
    if limit is None or used is None:
        return RunNotes(())
    words = f"{used:g} of {limit:g} USD of the budget are used."
    if fields.get("exceeded") is True:
        mark = maybe_text(fields.get("exceeded_at"), NAME_LIMIT) or f"{used:g}"
        return RunNotes([_log("budget", f"exceeded {mark}", "warn", f"Budget exceeded: {words}")])
    return RunNotes([_log("budget", f"{used:g}/{limit:g}", "info", words)])


def _gates(_: Match[str], value: Any) -> RunFact:
    failing = [
        (str(gate)[:NAME_LIMIT], count)
        for gate, said in object_of(value).items()
        if (count := maybe_whole(said)) is not None and count > 0
    ]
    return RunNotes(
        [
            _log(f"gate {gate}", str(count), "warn", f"Gate {gate} failed, {count} in a row.")
            for gate, count in failing[:_MOST]
        ]
    )


def _votes(matched: Match[str], value: Any) -> RunFact:
    fields = object_of(value)
    verdict = maybe_word(fields.get("verdict"))
    if verdict is None:
        return RunNotes(())
    number = int(matched[1])
    votes = maybe_whole(fields.get("complete_votes")), maybe_whole(fields.get("total_members"))
    count = "" if None in votes else f" ({votes[0]} of {votes[1]} for complete)"
    mark = f"{verdict}{count} {maybe_text(fields.get('timestamp'), NAME_LIMIT)}"
    message = f"Council, round {number}: {verdict}{count}."
    return RunNotes([_log(f"council {number}", mark, "info", message)])


def _notifications(_: Match[str], value: Any) -> RunFact:
    listed = value if isinstance(value, list) else object_of(value).get("notifications")
    notes = []
    for item in (listed if isinstance(listed, list) else [])[-_MOST:]:
        message = maybe_text(item.get("message"), TITLE_LIMIT) if isinstance(item, dict) else None
        if message is None:
            continue
        level = _LEVELS.get(maybe_word(item.get("severity")) or "", "info")
        key = maybe_text(item.get("id"), NAME_LIMIT) or _digest(message)
        when = maybe_text(item.get("timestamp"), NAME_LIMIT) or ""
        notes.append(_log(f"notification {key}", f"{when} {_digest(message)}", level, message))
    return RunNotes(notes)


def _last_error(_: Match[str], value: Any) -> RunFact:
    fields = object_of(value)
    brief = maybe_text(fields.get("brief"), TITLE_LIMIT)
    if brief is None:
        return RunNotes(())
    when = maybe_text(fields.get("timestamp"), NAME_LIMIT) or ""
    mark = f"{maybe_whole(fields.get('iteration'))} {when} {_digest(brief)}"
    return RunNotes([_log("error", mark, "error", brief)])


def _resources(_: Match[str], value: Any) -> RunFact:
    fields = object_of(value)
    data = {}
    for name, wire in (("cpu", "cpuUsage"), ("memory", "memoryUsage")):
        part = fields.get(name)
        number = maybe_number(part.get("usage_percent")) if isinstance(part, dict) else None
        if number is not None:
            data[wire] = number
    when = maybe_text(fields.get("timestamp"), NAME_LIMIT) or _digest(repr(data))
    return RunNotes([Note("resources", when, "metrics:update", data)] if data else ())


def _signal(matched: Match[str], content: bytes) -> RunFact:
    name = matched[1]
    level, words = (
        ("warn", _WARN_SIGNALS[name]) if name in _WARN_SIGNALS else ("info", _INFO_SIGNALS[name])
    )
    return RunNotes(
        [_log(f"signal {name}", hashlib.blake2b(content, digest_size=8).hexdigest(), level, words)]
    )


def _request(matched: Match[str], content: bytes) -> RunFact:
    del content
    return RunNotes([_log(f"asked {matched[0]}", "", "info", _REQUESTS[matched[0]])])


def _taken(matched: Match[str], content: bytes) -> RunFact:
    del content
    path = matched[1]
    if "TOOLARGE" in path:
        level, what = "warn", "finds the input too large"
    elif "REJECTED" in path:
        level, what = "warn", "has rejected the input"
    else:
        level, what = "info", "has taken the input"
    words = f"Loki Mode {what}: it is in .loki/{path}."
    return RunNotes([_log(f"input {path}", "", level, words)])


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


NOTE_FILES: Final[Sequence[tuple[Pattern[str], Callable[[Match[str], Any], RunFact]]]] = [
    (re.compile(r"metrics/budget\.json"), _budget),
    (re.compile(r"quality/gate-failure-count\.json"), _gates),
    (re.compile(r"council/votes/round-([0-9]{1,6})\.json", re.ASCII), _votes),
    (re.compile(r"notifications/(triggers|active)\.json"), _notifications),
    (re.compile(r"state/LAST_ERROR\.json"), _last_error),
    (re.compile(r"state/resources\.json"), _resources),
]
"""What holds JSON."""

NOTE_MARKERS: Final[Sequence[tuple[Pattern[str], Callable[[Match[str], bytes], RunFact]]]] = [
    (re.compile(rf"signals/({'|'.join([*_INFO_SIGNALS, *_WARN_SIGNALS])})"), _signal),
    (re.compile("PAUSE_AT_CHECKPOINT|HUMAN_INPUT.md"), _request),
    (re.compile(r"(logs/human-input-[0-9A-Za-z_-]{1,64}\.md)"), _taken),
]
"""What says something by being there, whatever it holds."""
