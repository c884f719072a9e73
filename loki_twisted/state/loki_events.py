"""
The lines of Loki Mode's event files, as log events.

============================  =====================================================================
line                          becomes
============================  =====================================================================
``events.jsonl``, an object   ``log:<level>``: ``message`` is its ``type`` in words and the plain
with ``type``                 values of ``data`` (or ``payload``), ``context`` all of these,
                              ``source`` is ``events``
``logs/agent-audit.jsonl``    ``log:debug``: ``action`` and ``description``
any other line                ``log:info``: the line itself
============================  =====================================================================

The level is the table's below; ``warn`` where ``status`` says ``fail`` or ``failed``.
That a run started, paused and ended is told by its state, not by these lines; and so is its
phase, but where its state names none (``sessions/run_phases.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from loki_twisted.model.events import Fact
from loki_twisted.state.fields import NAME_LIMIT, TITLE_LIMIT, is_carriable, maybe_text, maybe_word
from loki_twisted.state.layout import NotUnderstood, json_of

EVENT_FILES: Final[Mapping[str, str]] = {
    "events.jsonl": "events",
    "events.jsonl.1": "events",  # what it was before it grew too large: what is left to be read
    "logs/agent-audit.jsonl": "agent-audit",
}
"""Event files by path, and the source that their events name."""

_WARNED: Final = frozenset(
    {
        *("budget_exceeded", "budget_warning", "capability_degraded", "provider_failover"),
        *("watchdog_alert", "gate_stuck", "policy_denied", "dashboard_crash"),
    }
)
_DEBUGGED: Final = frozenset({"agent_prompt", "phase_change", "memory", "learning_signal"})
_FAILED: Final = frozenset({"fail", "failed", "error"})
_MOST_VALUES: Final = 16


def facts_of_lines(source: str, lines: Sequence[str]) -> list[Fact]:
    """Say what lines mean, one fact each."""
    return [_fact(source, line) for line in lines]


def _fact(source: str, line: str) -> Fact:
    try:
        value = json_of(line.encode("utf-8", "replace"))
    except NotUnderstood:
        value = None
    if isinstance(value, dict):
        kind = maybe_text(value.get("type"), NAME_LIMIT)
        if kind is not None:
            return _event(source, kind, value)
        action = maybe_text(value.get("action"), NAME_LIMIT)
        if action is not None:
            words = maybe_text(value.get("description"), TITLE_LIMIT)
            return _log(source, "debug", f"{action}: {words}" if words else action)
    return _log(source, "info", line)


def _event(source: str, kind: str, value: Mapping[str, Any]) -> Fact:
    data = value.get("data", value.get("payload"))
    values = data if isinstance(data, dict) else {}
    plain = [
        f"{name} {_word(said)}"
        for name, said in list(values.items())[:_MOST_VALUES]
        if isinstance(said, str | int | float) and said != ""
    ]
    words = kind.replace("_", " ").strip().capitalize()
    message = f"{words}: {', '.join(plain)}" if plain else words
    context = {"type": kind, **({"data": data} if values and is_carriable(data) else {})}
    return _log(source, _level(kind, values), message[: 4 * TITLE_LIMIT], context)


def _level(kind: str, values: Mapping[str, Any]) -> str:
    if kind in _WARNED or maybe_word(values.get("status")) in _FAILED:
        return "warn"
    return "debug" if kind in _DEBUGGED else "info"


def _word(value: str | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)[:TITLE_LIMIT]


def _log(source: str, level: str, message: str, context: Mapping[str, Any] | None = None) -> Fact:
    data: dict[str, Any] = {"level": level, "message": message, "source": source}
    if context is not None:
        data["context"] = context
    return Fact(f"log:{level}", data)
