"""
JSON objects that agents print, and the facts that they are.

An object whose ``type`` is one of our event types is that event; ``phase``, ``task``
and ``agent`` alone say which event by their ``status``. What it carries
lies in ``data``, or beside ``type`` where ``data`` is no object. Nothing is taken on
trust: the fields that others rely on are brought into the shape that the wire
promises, and an object that lacks what its event needs is a log line, like any other.
Fields that we do not know stay as they are, cleaned and bounded.

Only the server says ``session:*``, ``message:*`` and ``heartbeat``, and what has become of an
input: from an agent these are log lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from loki_twisted.agents.providers.cleaning import MAX_NAME, cut
from loki_twisted.agents.providers.tidying import TooMuch, tidied
from loki_twisted.agents.providers.words import maybe_level, maybe_status
from loki_twisted.model.events import KIND_OF_TYPE, Fact
from loki_twisted.model.tasks import TaskStatus

MAX_OBJECT: Final = 256 * 1024
"""Characters of a line beyond which it is not read as JSON."""

MAX_NUMBER: Final = 2**53
"""Numbers that every client can hold exactly lie below this."""

_decode: Final = msgspec.json.Decoder().decode

_Fields = dict[str, Any]


def maybe_object(text: str) -> dict[str, Any] | None:
    """
    Read a line as a JSON object.

    :param text: Cleaned. Leading and trailing blanks do not matter.
    :returns: The object with clean and bounded texts that JSON can hold again; None if the line is
        none, or is too large, or beyond what ``tidying.py`` lets pass.
    """
    if len(text) > MAX_OBJECT:
        return None
    try:
        found = _decode(text)
        return tidied(found, len(text)) if isinstance(found, dict) else None
    except (msgspec.MsgspecError, RecursionError, TooMuch):
        return None


def fact_of_object(found: Mapping[str, Any], text: str, level: str) -> Fact:
    """
    Say what an object reports.

    :param found: From :func:`maybe_object`.
    :param text: The line that it came from, cleaned and cut.
    :param level: That of a log line which names none.
    """
    kind = _text(found.get("type"))
    group, colon, word = kind.partition(":")
    read = _READERS.get(group)
    if read is not None and (kind in _AGENTS_OWN if colon else group in _SHORT):
        nested = found.get("data")
        fields = dict(nested) if isinstance(nested, dict) else _without(found, "type", "data")
        fact = read(word, fields)
        if fact is not None:
            return fact
    if group == "log":
        level = maybe_level(word) or level
    return _log_line(found, text, level)


# One reader for each group of events that agents may tell: it takes the word behind the colon
# (empty for an object that names only the group) and the fields, which are its own to change, and
# returns None where the fields do not do.


def _read_phase(word: str, fields: _Fields) -> Fact | None:
    phase = _take_text(fields, "phase", "name", "current")
    status = maybe_status(_take_text(fields, "status"))
    if not phase:
        return None
    data: _Fields = {"phase": phase.lower()}
    previous = _take_text(fields, "previousPhase", "previous_phase", "previous")
    if previous:
        data["previousPhase"] = previous.lower()
    _move_number(fields, data, "progress")
    return Fact(f"phase:{word or _ENDED.get(status, 'started')}", {**fields, **data})


def _read_task(word: str, fields: _Fields) -> Fact | None:
    title = _take_text(fields, "title", "subject", "name")
    task_id = _take_text(fields, "taskId", "task_id", "id") or title
    said = maybe_status(_take_text(fields, "status", "state"))
    if not task_id:
        return None
    word = word or _WORD_OF_STATUS[said or TaskStatus.RUNNING]
    possible = _STATUSES_OF_WORD[word]
    data: _Fields = {
        "taskId": cut(task_id, MAX_NAME),
        "title": title or task_id,
        "status": (said if said in possible else possible[0]).value,
    }
    description = _take_text(fields, "description")
    if description:
        data["description"] = description
    _move_number(fields, data, "progress")
    _move_number(fields, data, "duration")
    return Fact(f"task:{word}", {**fields, **data})


def _read_agent(word: str, fields: _Fields) -> Fact | None:
    kind = _take_text(fields, "type", "agentType", "agent_type", "role", "name")
    # One that is not named goes by its kind, so that its end can be told from its beginning.
    agent_id = _take_text(fields, "agentId", "agent_id", "id") or kind
    status = maybe_status(_take_text(fields, "status"))
    if not agent_id:
        return None
    data: _Fields = {"agentId": cut(agent_id, MAX_NAME), "type": cut(kind or "agent", MAX_NAME)}
    for name in ("model", "task"):
        said = _take_text(fields, name)
        if said:
            data[name] = said
    _move_number(fields, data, "exitCode", "exit_code")
    return Fact(f"agent:{word or _ENDED.get(status, 'spawned')}", {**fields, **data})


def _read_log(word: str, fields: _Fields) -> Fact | None:
    message = _take_text(fields, "message", "msg", "text")
    if not message:
        return None
    data: _Fields = {"level": word, "message": message}
    source = _take_text(fields, "source")
    if source:
        data["source"] = source
    return Fact(f"log:{word}", {**fields, **data})


def _read_metrics(word: str, fields: _Fields) -> Fact | None:
    data: _Fields = {}
    _move_number(fields, data, "cpuUsage", "cpu_usage")
    _move_number(fields, data, "memoryUsage", "memory_usage")
    _move_number(fields, data, "tokensUsed", "tokens_used")
    _move_number(fields, data, "apiCalls", "api_calls")
    _move_number(fields, data, "cost")
    return Fact(f"metrics:{word}", {**fields, **data}) if data else None


def _read_input(word: str, fields: _Fields) -> Fact | None:
    prompt = _take_text(fields, "prompt", "question", "message")
    if not prompt:
        return None
    data: _Fields = {"prompt": prompt}
    options = fields.pop("options", None)
    if isinstance(options, list):
        data["options"] = [said for said in map(_text, options) if said]
    _move_number(fields, data, "timeout")
    return Fact(f"input:{word}", {**fields, **data})


_READERS: Final[Mapping[str, Callable[[str, _Fields], Fact | None]]] = {
    "phase": _read_phase,
    "task": _read_task,
    "agent": _read_agent,
    "log": _read_log,
    "metrics": _read_metrics,
    "input": _read_input,
}
_SHORT: Final = frozenset({"phase", "task", "agent"})
_AGENTS_OWN: Final = frozenset(KIND_OF_TYPE) - {"input:answered", "input:withdrawn"}
_ENDED: Final[Mapping[TaskStatus | None, str]] = {
    TaskStatus.COMPLETED: "completed",
    TaskStatus.FAILED: "failed",
}
_WORD_OF_STATUS: Final[Mapping[TaskStatus, str]] = {
    TaskStatus.PENDING: "created",
    TaskStatus.QUEUED: "created",
    TaskStatus.RUNNING: "started",
    TaskStatus.COMPLETED: "completed",
    TaskStatus.SKIPPED: "completed",
    TaskStatus.FAILED: "failed",
}
_STATUSES_OF_WORD: Final[Mapping[str, tuple[TaskStatus, ...]]] = {
    # The first is meant where another is said: an event and its status do not contradict.
    "created": tuple(TaskStatus.__members__.values()),
    "started": (TaskStatus.RUNNING,),
    "progress": (TaskStatus.RUNNING,),
    "completed": (TaskStatus.COMPLETED, TaskStatus.SKIPPED),
    "failed": (TaskStatus.FAILED,),
}


def _log_line(found: Mapping[str, Any], text: str, level: str) -> Fact:
    """Any other object: its own message with the rest as context, or the line as it is."""
    rest = dict(found)
    message = _take_text(rest, "message", "msg")
    source = _take_text(rest, "source")
    level = maybe_level(_take_text(rest, "level") or _text(found.get("type"))) or level
    data: _Fields = {"level": level, "message": message or text}
    if source:
        data["source"] = source
    if message and rest:
        data["context"] = rest
    return Fact(f"log:{level}", data)


def _without(found: Mapping[str, Any], *names: str) -> _Fields:
    return {name: value for name, value in found.items() if name not in names}


def _text(value: Any) -> str:
    """What stands where a text should: numbers and booleans as JSON writes them, else nothing."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


def _take_text(fields: _Fields, *names: str) -> str:
    """Remove some fields and return the first that says something."""
    said = [_text(fields.pop(name, None)) for name in names]
    return next(filter(None, said), "")


def _move_number(fields: _Fields, data: _Fields, name: str, *aliases: str) -> None:
    """Move a field under its own name, if it is a number or the text of one; else drop it."""
    said = [_maybe_number(fields.pop(each, None)) for each in (name, *aliases)]
    number = next((each for each in said if each is not None), None)
    if number is not None:
        data[name] = number


def _maybe_number(value: Any) -> int | float | None:
    number = value
    if isinstance(value, str):
        try:
            number = int(value) if value.strip().isdecimal() else float(value)
        except ValueError:
            return None
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    # Integers may be beyond all floats; NaN is below nothing.
    return number if abs(number) < MAX_NUMBER else None
