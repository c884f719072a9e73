"""Runs of the real Loki Mode, played into a watched project: what a client sees of them."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from loki_twisted.model.events import Event
from loki_twisted.model.sessions import Usage
from loki_twisted.model.spending import CostOrigin
from loki_twisted.sessions.judging import judge
from loki_twisted.sessions.run_files import RunFiles
from loki_twisted.sessions.run_status import Liveness
from loki_twisted.state.interface import RunSighting
from loki_twisted.state.layout import NotUnderstood
from loki_twisted.state.loki_mode import LokiModeLayout
from tests.contradictions import contradictions
from tests.recordings_player import NAMES, Write, mutated, play, recorded
from tests.synthetic_runs import (
    ALL_RUNS,
    named_session,
    sub_agents,
    supervised_stop,
    two_runs,
    unmeasured,
)
from tests.watched_project import WatchedProject, of_type

STOOD_MS = 250
"""What stood so long in real time is an event."""


STATUSES: Mapping[str, str] = {
    "sub_agents": "completed",
    "two_runs": "failed",
    "supervised_stop": "stopped",
    "named_session": "completed",
    "unmeasured": "failed",
    "rotated": "completed",
    "never_whole": "failed",
}
"""How the runs that were made up end."""


async def read_cold(writes: Sequence[Write], home: Path) -> dict[str, Any]:
    """What a server sees that finds the last state of a recording."""
    play(writes, home / ".loki", None)
    async with WatchedProject(home) as cold:
        await cold.service.rooms.watcher.settle(str(home))
        seen = await cold.until(
            lambda seen: bool(seen) and all(s["status"] not in ("running",) for s in seen.values())
        )
        assert contradictions(await cold.events()) == []
        return seen


async def play_into(
    writes: Sequence[Write], home: Path, speed: float | None, expected: dict[str, Any]
) -> list[Event]:
    """Watch while a recording is played, until what is seen is what is expected."""
    async with WatchedProject(home) as watched:
        await deferToThread(play, writes, watched.root, speed)
        await watched.until_seen(expected)
        return await watched.events()


def lines_written(writes: Sequence[Write]) -> Counter[str]:
    """The lines of ``events.jsonl``, each by what its event has to carry."""
    return Counter(
        json.dumps([line["type"], line.get("data")], sort_keys=True)
        for write in writes
        if write.path == "events.jsonl" and write.data
        for line in map(json.loads, write.data.splitlines())
    )


def lines_told(events: Sequence[Event]) -> Counter[str]:
    """The same of the events that were told."""
    return Counter(
        json.dumps([said["type"], said.get("data")], sort_keys=True)
        for event in events
        if (said := event.data.get("context")) and event.data.get("source") == "events"
    )


@pytest.mark.parametrize("name", NAMES)
@pytest_twisted.ensureDeferred
async def test_a_run_played_fast_is_seen_as_one_that_is_found(name: str, tmp_path: Path) -> None:
    """A run written as fast as the disk takes it ends as one whose last state is read."""
    writes = recorded(name)
    expected = await read_cold(writes, tmp_path / "cold")
    events = await play_into(writes, tmp_path / "played", None, expected)
    assert contradictions(events) == []
    assert lines_told(events) == lines_written(writes)


@pytest.mark.promise("R20")
@pytest.mark.parametrize("name", NAMES)
@pytest_twisted.ensureDeferred
async def test_each_status_that_stood_is_an_event(name: str, tmp_path: Path, is_full: bool) -> None:
    """Watched as it goes, every status of session and tasks that stood for 250 ms is told."""
    writes = recorded(name)
    speed = 1.0 if is_full else 8.0
    expected = await read_cold(writes, tmp_path / "cold")
    events = await play_into(writes, tmp_path / "played", speed, expected)
    assert contradictions(events) == []
    assert lines_told(events) == lines_written(writes)
    for subject, stood in standing(writes, STOOD_MS * speed).items():
        statuses = [status for status in stood if status != "stopping"]  # of which no event tells
        assert is_within(statuses, told_of(events, subject)), (subject, statuses)


def standing(writes: Sequence[Write], at_least_ms: float) -> Mapping[str, list[str]]:
    """By task (and ``session``), in order, what stood so long by the files alone."""
    layout, files = LokiModeLayout(), RunFiles()
    since: dict[str, tuple[str, float]] = {}
    stood: dict[str, list[str]] = defaultdict(list)
    for write in [*writes, Write(at_ms=10**9, path="end", operation="delete")]:
        now: dict[str, str] = {}
        for scope in files.scopes():
            run = files.run(scope)
            if run.pid is None:
                continue
            said = judge(files, run, "s", Liveness.UNKNOWN, 0.0, is_current=True)
            now = {"session": str(said.status), **{t.id: str(t.status) for t in said.tasks}}
        for subject in set(since) - set(now):
            del since[subject]
        for subject, status in now.items():
            known, began = since.get(subject, ("", 0.0))
            if known != status:
                since[subject] = (status, write.at_ms)
        if layout.rank(write.path) is not None:
            files = after(files, layout, write)
        # What is so now has stood until this write.
        for subject, (status, began) in since.items():
            if write.at_ms - began >= at_least_ms and stood[subject][-1:] != [status]:
                stood[subject].append(status)
    return stood


def after(files: RunFiles, layout: LokiModeLayout, write: Write) -> RunFiles:
    """Take one write for what it means."""
    if write.operation == "delete":
        return files.with_sightings(layout.gone(write.path))
    if not write.data and not layout.is_marker(write.path):
        return files
    try:
        said = layout.sightings(write.path, write.data or b"")
    except NotUnderstood:
        return files
    return files.with_sightings(s for s in said if isinstance(s, RunSighting))


def told_of(events: Sequence[Event], subject: str) -> list[str]:
    """The statuses that events tell of the session or of a task."""
    if subject == "session":
        return [event.data["status"] for event in of_type(events, "session")]
    tasks = of_type(events, "task")
    return [event.data["status"] for event in tasks if event.data["taskId"] == subject]


def is_within(wanted: Sequence[str], told: Sequence[str]) -> bool:
    """Whether all of it was told, in this order."""
    rest = iter(told)
    return all(any(status == said for said in rest) for status in wanted)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["run1-simple", "run3-pause-human-stop", "run4-kill9"])
@pytest_twisted.ensureDeferred
async def test_a_restart_in_the_middle_changes_nothing(
    name: str, seed: int, tmp_path: Path
) -> None:
    """The server ends and comes back while a run goes on: nothing is lost, nothing told twice."""
    writes = recorded(name)
    expected = await read_cold(writes, tmp_path / "cold")
    cut = random.Random(seed).randrange(len(writes) // 4, len(writes))
    missed = random.Random(seed).randrange(cut, len(writes))
    async with WatchedProject(tmp_path / "played") as first:
        await deferToThread(play, writes[:cut], first.root, None)
    play(writes[cut:missed], tmp_path / "played" / ".loki", None)
    events = await play_into(writes[missed:], tmp_path / "played", None, expected)
    assert contradictions(events) == []
    assert lines_told(events) == lines_written(writes)
    news = Counter(
        event.data["message"]
        for event in of_type(events, "log")
        if event.data.get("source") == "loki-mode" and "context" not in event.data
    )
    assert [said for said, count in news.items() if count > 1 and " in a row" in said] == []


@pytest.mark.parametrize("seed", range(6))
@pytest_twisted.ensureDeferred
async def test_lost_repeated_and_torn_writes_change_nothing(seed: int, tmp_path: Path) -> None:
    """Whatever writes were lost, repeated or torn on the way, the last state is what is seen."""
    writes = mutated(recorded(NAMES[seed % len(NAMES)]), seed, share=0.4)
    expected = await read_cold(writes, tmp_path / "cold")
    events = await play_into(writes, tmp_path / "played", None, expected)
    assert contradictions(events) == []
    assert lines_told(events) == lines_written(writes)


@pytest.mark.parametrize("speed", [None, 20.0], ids=["fast", "live"])
@pytest.mark.parametrize("make", ALL_RUNS, ids=lambda make: make.__name__)
@pytest_twisted.ensureDeferred
async def test_runs_that_nobody_recorded(
    make: Callable[[], list[Write]], speed: float | None, tmp_path: Path
) -> None:
    """Runs built from the meaning of the files alone are seen as the recorded ones are."""
    writes = make()
    expected = await read_cold(writes, tmp_path / "cold")
    [seen] = expected.values()
    assert seen["status"] == STATUSES[make.__name__]
    assert seen["active agents"] == 0
    events = await play_into(writes, tmp_path / "played", speed, expected)
    assert contradictions(events) == []
    assert lines_told(events) == lines_written(writes)


@pytest_twisted.ensureDeferred
async def test_what_made_up_runs_say(tmp_path: Path) -> None:
    """Exit codes, names, unknown costs and the cost of the last run alone are told as they are."""
    exits = await read_cold(supervised_stop(), tmp_path / "supervised")
    [seen] = exits.values()
    assert (seen["exit"], seen["reason"]) == (143, "supervisor_signal")
    assert list(await read_cold(named_session(), tmp_path / "named")) == ["night-build"]
    [seen] = (await read_cold(unmeasured(), tmp_path / "unmeasured")).values()
    assert (seen["usage"], seen["provider"]) == (Usage(), "codex")
    [seen] = (await read_cold(two_runs(), tmp_path / "two")).values()
    assert seen["usage"] == Usage(tokens_used=5, cost=0.25, cost_origin=CostOrigin.REPORTED)


@pytest_twisted.ensureDeferred
async def test_agents_are_told_once_each(tmp_path: Path) -> None:
    """Agents that a second writer wipes from the list are neither ended nor spawned again."""
    async with WatchedProject(tmp_path / "project") as watched:
        await deferToThread(play, sub_agents(), watched.root, 10.0)
        await watched.until(lambda seen: [s["status"] for s in seen.values()] == ["completed"])
        agents = of_type(await watched.events(), "agent")
    told = Counter((event.data["agentId"], event.type) for event in agents)
    names = ("main", "toolu_01a", "toolu_01b")
    assert told == {
        (name, f"agent:{word}"): 1 for name in names for word in ("spawned", "completed")
    }


@pytest_twisted.ensureDeferred
async def test_a_second_run_is_started_and_ended_by_events(tmp_path: Path) -> None:
    """Two runs one after the other are two starts and two ends of one session."""
    async with WatchedProject(tmp_path / "project") as watched:
        await deferToThread(play, two_runs(), watched.root, 20.0)
        await watched.until(lambda seen: [s["status"] for s in seen.values()] == ["failed"])
        sessions = of_type(await watched.events(), "session")
    assert [event.type for event in sessions] == [
        "session:started",
        "session:completed",
        "session:started",
        "session:failed",
    ]


@pytest_twisted.ensureDeferred
async def test_two_projects_in_one_server(tmp_path: Path) -> None:
    """Runs in two projects at the same time are two sessions, each with its own tasks."""
    one, other = tmp_path / "one", tmp_path / "other"
    other.mkdir()
    async with WatchedProject(one, other) as watched:
        first = deferToThread(play, recorded("run1-simple"), one / ".loki", 20.0)
        await deferToThread(play, recorded("run4-fail"), other / ".loki", 20.0)
        await first
        await watched.until(
            lambda seen: sorted(s["status"] for s in seen.values()) == ["completed", "failed"]
        )
        events = await watched.events()
        sessions = (await watched.client.list_sessions()).sessions
    assert {session.project_dir for session in sessions} == {str(one), str(other)}
    assert contradictions(events) == []
