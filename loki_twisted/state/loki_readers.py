"""Reading the files of a Loki Mode run: from bytes to one value each; see ``loki_mode.py``."""

from __future__ import annotations

import re
from typing import Final

from loki_twisted.model.runs import (
    RunBeat,
    RunCost,
    RunFact,
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
from loki_twisted.state.layout import NotUnderstood, json_of, object_of

_LARGEST_PID: Final = 2**22
_DIGITS: Final = re.compile(rb"\s*([0-9]{1,10})\s*", re.ASCII)
_STAMP: Final = re.compile(rb"\b(pgid|boot|started)=([0-9]{1,12})\b", re.ASCII)


def pid_of(content: bytes) -> RunPid:
    """The process id that a file holds."""
    found = _DIGITS.fullmatch(content)
    if found is None or not 0 < int(found[1]) <= _LARGEST_PID:
        raise NotUnderstood("holds no process id")
    return RunPid(int(found[1]))


def stamp_of(content: bytes) -> RunFact:
    """``loki.pgid``."""
    said = {name: int(number) for name, number in _STAMP.findall(content[:1024])}
    if b"pgid" in said:
        return RunStamp(said[b"pgid"], said.get(b"boot"), said.get(b"started"))
    return RunStamp(pid_of(content).pid, None, None)  # older ones hold the number alone


def provider_of(content: bytes) -> RunFact:
    """``state/provider``."""
    name = maybe_word(content[:NAME_LIMIT].decode("utf-8", "replace"))
    if name is None or not name.isprintable():
        raise NotUnderstood("names no provider")
    return RunProvider(name)


def progress_of(content: bytes) -> RunFact:
    """``autonomy-state.json``."""
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


def wrapper_of(content: bytes) -> RunFact | None:
    """``pids/PID.json``; None for a process that is no run."""
    fields = object_of(json_of(content))
    pid = maybe_whole(fields.get("pid"))
    if fields.get("kind") != "wrapper" or pid is None:
        return None
    return RunWrapper(pid, maybe_time(fields.get("started")))


def phase_of(content: bytes) -> RunFact:
    """``state/orchestrator.json``."""
    fields = object_of(json_of(content))
    return RunPhase(maybe_word(fields.get("currentPhase")), maybe_time(fields.get("startedAt")))


def outcome_of(content: bytes) -> RunFact:
    """``state/completion.json``."""
    fields = object_of(json_of(content))
    outcome = maybe_word(fields.get("outcome"))
    if outcome is None:
        raise NotUnderstood("has no outcome")
    brief = maybe_text(fields.get("error_brief"), TITLE_LIMIT)
    return RunOutcome(outcome, brief, maybe_time(fields.get("timestamp")))


def termination_of(content: bytes) -> RunFact:
    """``state/termination.json``."""
    fields = object_of(json_of(content))
    reason = maybe_text(fields.get("reason"), TITLE_LIMIT)
    exit_code = maybe_whole(fields.get("exit_code"))
    return RunTermination(reason, exit_code, maybe_time(fields.get("timestamp")))


def beat_of(content: bytes) -> RunFact:
    """``dashboard-state.json``."""
    return RunBeat(maybe_time(object_of(json_of(content)).get("timestamp")))


def cost_of(kind: str, iteration: int, content: bytes) -> RunFact:
    """What an iteration has used, by either of its files."""
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
