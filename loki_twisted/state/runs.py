"""
Runs of Loki Mode, as their files and the system know them.

A number in a file names a process only if everything else agrees: it was started before the
file was written, and works in the directory of the project. A number that went to another
process since then does not. What a run was told in its environment the system knows better
than any file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs

from loki_twisted.kernel import procfs
from loki_twisted.state.files import Content, open_beneath, read_file
from loki_twisted.state.interface import LiveRun, RunEnding
from loki_twisted.state.layout import NotUnderstood, json_of

STATE: Final = "autonomy-state.json"
PID: Final = "loki.pid"
STOP: Final = "STOP"
SESSIONS: Final = "sessions"
CHECKOUTS: Final = "checkout-runs"

_ID: Final = "LOKI_SESSION_ID"
_COMPLETION: Final = "state/completion.json"
_MOST_BYTES: Final = 65_536
_CLOCK_SECONDS: Final = 3.0
"""How much later than a file what was before it may seem to have been: clocks differ."""

_SCRIPT: Final = re.compile(r"/(?:[^/]+/)*loki-run-[A-Za-z0-9_]{1,32}\.sh")
_PRD: Final = (".md", ".json", ".txt", ".yaml", ".yml")


@attrs.frozen(slots=True)
class _Number:
    """
    A number that a file holds.

    :ivar written: When it was written, in seconds since the Unix epoch.
    """

    pid: int
    written: float


def live_runs(project_dir: str) -> list[LiveRun]:
    """List the runs that live in a project, whoever started them."""
    root = os.path.join(project_dir, ".loki")
    found = [run for name in (None, *_with_pid(root)) if (run := _run(project_dir, name))]
    known = {run.pid for run in found}
    for name in _names(root, CHECKOUTS):
        number = _number(root, f"{CHECKOUTS}/{name}")
        if number is not None and number.pid not in known and _is_of(project_dir, number):
            found.append(LiveRun(pid=number.pid, is_up=False))
    return found


def live_run(project_dir: str, name: str, pid: int) -> LiveRun | None:
    """
    Look at the run that was started with an id and has a process; None if it is not there.

    It may be a child of the process that was started: ``loki`` may be a script that calls it.
    """
    for place in (name, None):
        run = _run(project_dir, place)
        if run is not None and (run.pid == pid or procfs.has_variable(run.pid, _ID, name)):
            return run
    number = _number(os.path.join(project_dir, ".loki"), f"{CHECKOUTS}/{pid}")
    if number is None or number.pid != pid or not _is_of(project_dir, number):
        return None
    return LiveRun(pid=pid, name=name, is_up=False, script=_script_of(procfs.arguments(pid)))


def ending(project_dir: str, name: str, pid: int, since_ms: int) -> RunEnding | None:
    """Say how a run ended by what it wrote since then; None if it wrote nothing of itself."""
    root = os.path.join(project_dir, ".loki")
    since = since_ms / 1000
    state = _state_of(root, name, None, since) or _state_of(root, None, pid, since)
    completion = (
        _object(root, _COMPLETION) if _written(root, _COMPLETION) * 1000 >= since_ms else {}
    )
    if not state and not completion:
        return None
    return RunEnding(
        status=_text(state, "status"),
        outcome=_text(completion, "outcome"),
        brief=_text(completion, "error_brief"),
        is_called_off=_is_called_off(root, name, pid),
    )


def _is_called_off(root: str, name: str, pid: int) -> bool:
    """Whether what is there is as ``loki stop`` leaves it, or as it is just before it kills."""
    if _written(root, STOP):
        return True
    return number_of(root, path_of(name, PID)) is None and number_of(root, PID) != pid


def is_of_last_run(root: str, path: str) -> bool:
    """Whether a file was written since the last run that is there wrote its number, or none is."""
    starts = [_written(root, path_of(name, PID)) for name in (None, *_with_pid(root))]
    return _written(root, path) >= max(starts)


def path_of(name: str | None, file: str) -> str:
    """Say where a file of a run is, relative to the state directory."""
    return file if name is None else f"{SESSIONS}/{name}/{file}"


def number_of(root: str, path: str) -> int | None:
    """Read the process id that a file begins with; None if it holds none."""
    number = _number(root, path)
    return None if number is None else number.pid


def is_script(path: str) -> bool:
    """Whether a path is that of a copy that a run makes of its own program."""
    return _SCRIPT.fullmatch(path) is not None


def _run(project_dir: str, name: str | None) -> LiveRun | None:
    root = os.path.join(project_dir, ".loki")
    number = _number(root, path_of(name, PID))
    if number is None or not _is_of(project_dir, number):
        return None
    state = _state_of(root, name, number.pid, number.written)
    called, given = procfs.arguments(number.pid), procfs.variables(number.pid)
    return LiveRun(
        pid=number.pid,
        name=name,
        status=_text(state, "status"),
        ignores_pause=_is_perpetual(given, _has_prd(state, called)),
        takes_input=not given or given.get("LOKI_PROMPT_INJECTION") == "true",
        script=_script_of(called),
    )


def _is_of(project_dir: str, number: _Number) -> bool:
    """Whether the process of that number is the one that the file means."""
    stat = procfs.stat_of(number.pid)
    if number.pid <= 1 or stat is None or stat.state in "ZX":
        return False
    if procfs.start_seconds(stat) > number.written + _CLOCK_SECONDS:
        return False
    works_in = procfs.working_directory(number.pid)
    return works_in in (None, project_dir)  # None: another user's, so we cannot know


def _is_perpetual(given: Mapping[str, str], has_prd: bool) -> bool:
    """With a PRD a run does not go on for ever, unless that was asked for."""
    if given.get("LOKI_AUTONOMY_MODE", "perpetual") != "perpetual":
        return False
    return not has_prd or given.get("LOKI_FORCE_PERPETUAL") == "true"


def _has_prd(state: Mapping[str, Any], called: Sequence[str]) -> bool:
    if isinstance(state.get("prdPath"), str):
        return bool(state["prdPath"])
    script = _script_of(called)
    behind = called[called.index(script) + 1 :] if script else called
    return any(each.endswith(_PRD) for each in behind)


def _script_of(called: Sequence[str]) -> str | None:
    return next((each for each in called if is_script(each)), None)


def _state_of(root: str, name: str | None, pid: int | None, since: float) -> Mapping[str, Any]:
    """
    Read what a run wrote of itself; an earlier one may have had the same number.

    :param pid: None if nobody else writes there.
    """
    path = path_of(name, STATE)
    if _written(root, path) + _CLOCK_SECONDS < since:
        return {}
    state = _object(root, path)
    return state if pid is None or state.get("pid") == pid else {}


def _object(root: str, path: str) -> Mapping[str, Any]:
    """Read an object; an empty one for whatever is none."""
    content = read_file(root, path, _MOST_BYTES)
    if isinstance(content, Content):
        with suppress(NotUnderstood):
            found = json_of(content.data)
            return found if isinstance(found, dict) else {}
    return {}


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) and found else None


def _number(root: str, path: str) -> _Number | None:
    content = read_file(root, path, 64)
    if not isinstance(content, Content):
        return None
    found = re.match(rb"(?:pgid=)?(\d{1,10})(?:\s|\Z)", content.data)
    return None if found is None else _Number(int(found[1]), _written(root, path))


def _written(root: str, path: str) -> float:
    """When a file was written, in seconds since the Unix epoch; 0 if it is not there."""
    try:
        descriptor = open_beneath(root, path)
    except OSError:
        return 0.0
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)


def _with_pid(root: str) -> list[str]:
    """
    List the sessions that may have a run.

    One look each, by a path that may lead through links: most have none, and are passed over
    many times faster than by opening the files as they have to be opened.
    """
    names = _names(root, SESSIONS)
    return [name for name in names if os.path.lexists(os.path.join(root, path_of(name, PID)))]


def _names(root: str, directory: str) -> Iterator[str]:
    """List what is in a directory of the state directory; nothing if it is a link or not there."""
    try:
        descriptor = open_beneath(root, directory)
    except OSError:
        return
    try:
        with suppress(NotADirectoryError):
            yield from os.listdir(descriptor)
    finally:
        os.close(descriptor)
