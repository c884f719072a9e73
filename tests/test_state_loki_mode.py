"""Tests of the layout that today's Loki Mode writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from loki_twisted.model.events import EVENT_TYPES, Fact, event_as_frame
from loki_twisted.model.runs import (
    ListedAgent,
    Note,
    RunAgents,
    RunBeat,
    RunCheckout,
    RunCost,
    RunFact,
    RunMarker,
    RunNotes,
    RunOutcome,
    RunPhase,
    RunPid,
    RunProgress,
    RunProvider,
    RunStamp,
    RunTasks,
    RunTermination,
    RunWrapper,
    Shelf,
)
from loki_twisted.model.tasks import TaskStatus
from loki_twisted.state.interface import RunSighting, Sighting, Unreadable
from loki_twisted.state.layout import ILayout, NotUnderstood
from loki_twisted.state.loki_events import EVENT_FILES
from loki_twisted.state.loki_mode import LokiModeLayout
from tests.recordings_player import NAMES, recorded

LAYOUT = LokiModeLayout()
NOON = "2026-11-23T12:00:00Z"
AT_NOON = "2026-11-23T12:00:00.000Z"

PATHS = [
    *("loki.pid", "loki.pgid", "autonomy-state.json", "checkout-runs/9", "pids/9.json"),
    *("sessions/a.b/loki.pid", "sessions/x/autonomy-state.json", "dashboard-state.json"),
    *("state/orchestrator.json", "state/provider", "state/completion.json"),
    *("state/termination.json", "state/agents.json", "state/LAST_ERROR.json"),
    *("state/resources.json", "metrics/budget.json", "metrics/result-cost-3.json"),
    *("metrics/efficiency/iteration-3.json", "quality/gate-failure-count.json"),
    *("council/votes/round-2.json", "notifications/active.json", "PAUSE", "PAUSED.md", "STOP"),
    *("HUMAN_INPUT.md", "logs/human-input-20261123-224637.md", "signals/TESTS_FAILED"),
    *(f"queue/{shelf}.json" for shelf in Shelf),
]
"""A file of each kind."""


def said(path: str, value: Any) -> list[Sighting]:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return list(LAYOUT.sightings(path, content))


def fact_of(path: str, value: Any) -> RunFact:
    """The one value that a file says, with nothing that is not understood."""
    [sighting] = said(path, value)
    assert isinstance(sighting, RunSighting)
    assert sighting.path == path
    assert sighting.fact is not None
    return sighting.fact


def notes_of(path: str, value: Any) -> Sequence[Note]:
    fact = fact_of(path, value)
    assert isinstance(fact, RunNotes)
    return fact.notes


def test_it_is_a_layout() -> None:
    """The layout of Loki Mode is one of those that the watcher can use."""
    verifyObject(ILayout, LAYOUT)


@pytest.mark.parametrize("path", PATHS)
def test_files_that_say_something(path: str) -> None:
    """Each kind of file is read, is of no session alone, and says so when it goes."""
    assert LAYOUT.rank(path) is not None
    assert LAYOUT.session_of(path) is None
    [sighting] = LAYOUT.gone(path)
    assert isinstance(sighting, RunSighting)
    assert sighting.fact is None


@pytest.mark.parametrize(
    "path",
    [
        *("autonomy-state.json.tmp.9", "queue/.pending-det-x.json", "queue/other.json"),
        *("deep/autonomy-state.json", "sessions/autonomy-state.json", "sessions/../loki.pid"),
        *("session.lock", "state/tmp1.json", "pids/x.json", "checkout-runs/0", "pause"),
        *("metrics/result-cost-x.json", "signals/OTHER", "logs/human-input-a/b.md", "config"),
        *("sessions/s/session.json", "state.json", "sessions/.hidden/loki.pid", "STOPPED"),
    ],
)
def test_files_that_say_nothing(path: str) -> None:
    """Temporary files, those of others, and those that only look alike are passed over."""
    assert LAYOUT.rank(path) is None
    assert LAYOUT.gone(path) == ()
    assert not LAYOUT.is_marker(path)
    assert not LAYOUT.is_log(path)


@pytest.mark.parametrize(
    ("path", "value", "fact"),
    [
        ("loki.pid", b"16\n", RunPid(16)),
        (
            "loki.pgid",
            b"pgid=16 boot=1795472373 started=1795474782\n",
            RunStamp(16, 1795472373, 1795474782),
        ),
        ("loki.pgid", b"16\n", RunStamp(16, None, None)),
        ("state/provider", b" Codex\n", RunProvider("codex")),
        ("checkout-runs/12", b"", RunCheckout(12)),
        ("PAUSE", b"", RunMarker("PAUSE")),
        (
            "pids/9.json",
            {"pid": 9, "kind": "wrapper", "started": NOON},
            RunWrapper(9, AT_NOON),
        ),
        (
            "state/orchestrator.json",
            {"currentPhase": "BUILDING", "startedAt": NOON},
            RunPhase("building", AT_NOON),
        ),
        (
            "state/completion.json",
            {"outcome": "failed", "error_brief": "It broke.", "timestamp": NOON},
            RunOutcome("failed", "It broke.", AT_NOON),
        ),
        (
            "state/termination.json",
            {"reason": "supervisor_signal", "exit_code": 143, "timestamp": NOON},
            RunTermination("supervisor_signal", 143, AT_NOON),
        ),
        (
            "autonomy-state.json",
            {"status": "Exited", "pid": 9, "iterationCount": 2, "lastRun": NOON, "prdPath": "./p"},
            RunProgress(status="exited", pid=9, iteration=2, prd_path="./p", last_run=AT_NOON),
        ),
        ("autonomy-state.json", {"status": "running", "pid": "?"}, RunProgress(status="running")),
        (
            "metrics/result-cost-2.json",
            {"total_cost_usd": 0.5, "input_tokens": 4, "output_tokens": 3},
            RunCost(iteration=2, is_exact=True, tokens=7, cost=0.5),
        ),
        (
            "metrics/efficiency/iteration-2.json",
            {"cost_usd": 0, "input_tokens": 0, "output_tokens": 0},
            RunCost(iteration=2, is_exact=False, tokens=None, cost=None),
        ),
        ("dashboard-state.json", {"timestamp": NOON, "iteration": 0}, RunBeat(AT_NOON)),
    ],
)
def test_what_files_say(path: str, value: Any, fact: RunFact) -> None:
    """Each file is understood as the facts about it say."""
    assert fact_of(path, value) == fact


def test_a_run_with_a_name_has_files_of_its_own() -> None:
    """The files of a run with a LOKI_SESSION_ID say which one they speak of."""
    [sighting] = said("sessions/night.build/loki.pid", b"5")
    assert sighting == RunSighting("night.build", "sessions/night.build/loki.pid", RunPid(5))


@pytest.mark.parametrize("content", [b"", b"0", b"-1", b"99999999999", b"1 2", b"\xff", b"pid"])
def test_what_is_no_process_id(content: bytes) -> None:
    """A number that no process can have is not taken for one."""
    with pytest.raises(NotUnderstood):
        said("loki.pid", content)


def test_monitors_are_no_runs() -> None:
    """Of the processes that a run notes, only itself says when it began."""
    assert said("pids/424.json", {"pid": 424, "label": "status-monitor", "started": NOON}) == []


def test_a_queue() -> None:
    """A task is what its entry says, or else what its file means; finished files win."""
    items = [
        {"id": "prd-001", "title": "A", "priority": "high", "description": "Why\nand how"},
        {"id": 2, "subject": "B", "status": "In Progress", "startedAt": NOON, "provider": "claude"},
        {"id": "c", "description": "Only this\nand more"},
        {"id": "c", "title": "The last counts"},
    ]
    fact = fact_of("queue/pending.json", {"tasks": items})
    assert isinstance(fact, RunTasks)
    assert [(t.id, t.title, t.status) for t in fact.tasks] == [
        ("prd-001", "A", TaskStatus.PENDING),
        ("2", "B", TaskStatus.RUNNING),
        ("c", "The last counts", TaskStatus.PENDING),
    ]
    assert (fact.tasks[1].started_at, fact.tasks[1].agent) == (AT_NOON, "claude")
    [failed] = fact_of("queue/failed.json", [{"id": "x", "status": "pending", "exitCode": 3}]).tasks
    assert (failed.status, failed.error) == (TaskStatus.FAILED, "exit code 3")
    [current] = fact_of("queue/current-task.json", {"id": "iteration-1"}).tasks
    assert current.status is TaskStatus.RUNNING
    assert fact_of("queue/current-task.json", {}) == RunTasks(Shelf.CURRENT, ())


def test_what_of_a_queue_is_not_understood() -> None:
    """Entries that make no sense hide no others, and are told of in one sentence."""
    tasks, problem = said("queue/pending.json", [1, {"title": "?"}, {"id": "a"}, None, [], "x"])
    assert isinstance(tasks, RunSighting)
    assert isinstance(tasks.fact, RunTasks)
    assert [task.id for task in tasks.fact.tasks] == ["a"]
    assert isinstance(problem, Unreadable)
    assert "number 1 is no object" in problem.reason
    assert "and 2 more" in problem.reason


def test_a_queue_without_end() -> None:
    """Of a file with very many entries so many are read as a server can bear, and it is said."""
    tasks, problem = said("queue/pending.json", [{"id": str(n)} for n in range(5_000)])
    assert isinstance(tasks, RunSighting)
    assert isinstance(tasks.fact, RunTasks)
    assert len(tasks.fact.tasks) == 1_000
    assert isinstance(problem, Unreadable)
    assert "of 5000 entries the first 1000 are read" in problem.reason


def test_agents() -> None:
    """Agents are known by what is not cut short, and are at work unless they say otherwise."""
    items = [
        {"agent_id": "agent-toolu_01", "tool_id": "toolu_01a", "agent_type": "qa", "model": "m"},
        {"agent_id": "agent-toolu_01", "tool_id": "toolu_01b", "status": "completed"},
    ]
    assert fact_of("state/agents.json", items) == RunAgents(
        (
            ListedAgent(id="toolu_01a", type="qa", is_active=True, model="m"),
            ListedAgent(id="toolu_01b", type="agent", is_active=False),
        )
    )


@pytest.mark.parametrize(
    ("path", "value", "types"),
    [
        ("metrics/budget.json", {"budget_limit": 2, "budget_used": 0.5}, ["log:info"]),
        (
            "metrics/budget.json",
            {"limit": 2, "budget_used": 2.5, "exceeded": True},
            ["log:warn"],
        ),
        ("quality/gate-failure-count.json", {"tests": 2, "docs": 0, "x": "?"}, ["log:warn"]),
        ("council/votes/round-1.json", {"verdict": "COMPLETE"}, ["log:info"]),
        (
            "notifications/active.json",
            {
                "notifications": [
                    {"severity": s, "message": s} for s in ("critical", "warning", "x")
                ]
            },
            ["log:error", "log:warn", "log:info"],
        ),
        ("notifications/triggers.json", {"triggers": []}, []),
        ("state/LAST_ERROR.json", {"iteration": 1, "brief": "It broke."}, ["log:error"]),
        ("state/resources.json", {"cpu": {"usage_percent": 7}}, ["metrics:update"]),
        ("signals/BUDGET_EXCEEDED", b"{}", ["log:warn"]),
        ("signals/COMPLETION_REQUESTED", b"", ["log:info"]),
        ("HUMAN_INPUT.md", b"", ["log:info"]),
        ("logs/human-input-20261123-224637.md", b"", ["log:info"]),
        ("logs/human-input-REJECTED-20261123-224637.md", b"", ["log:warn"]),
        ("logs/human-input-REJECTED-TOOLARGE-20261123-224637.md", b"", ["log:warn"]),
    ],
)
def test_news_for_people(path: str, value: Any, types: list[str]) -> None:
    """What is written for people becomes events of their level."""
    notes = notes_of(path, value)
    assert [note.type for note in notes] == types
    assert len({note.key for note in notes}) == len(notes)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("human-input-1.md", "has taken the input"),
        ("human-input-REJECTED-1.md", "has rejected the input"),
        ("human-input-REJECTED-TOOLARGE-1.md", "finds the input too large"),
    ],
)
def test_what_became_of_an_input(name: str, words: str) -> None:
    """The name of its file says it, and the news where it is now."""
    [note] = notes_of(f"logs/{name}", b"")
    assert note.data["message"] == f"Loki Mode {words}: it is in .loki/logs/{name}."


def test_the_same_news_has_the_same_mark() -> None:
    """News is new when what it says is, not when its file is written again."""
    once = notes_of("metrics/budget.json", {"limit": 2, "budget_used": 1})
    again = notes_of("metrics/budget.json", {"budget_used": 1, "limit": 2, "created_at": NOON})
    later = notes_of("metrics/budget.json", {"limit": 2, "budget_used": 1.5})
    assert once == again
    assert once[0].key == later[0].key
    assert once[0].mark != later[0].mark


@pytest.mark.parametrize(
    ("line", "type_", "message"),
    [
        (
            {"type": "iteration_start", "data": {"iteration": 2, "provider": "claude"}},
            "log:info",
            "Iteration start: iteration 2, provider claude",
        ),
        ({"type": "stage_complete", "data": {"status": "fail"}}, "log:warn", None),
        ({"type": "iteration_complete", "data": {"status": "failed"}}, "log:warn", None),
        ({"type": "budget_exceeded", "data": {}}, "log:warn", "Budget exceeded"),
        ({"type": "phase_change", "data": {"from": "A", "to": "B"}}, "log:debug", None),
        ({"type": "claude_hook_x", "payload": {"tool": "Bash"}}, "log:info", None),
        ({"type": "odd", "data": [1]}, "log:info", "Odd"),
        ({"action": "git_commit", "description": "Done"}, "log:debug", "git_commit: Done"),
        ({"no": "type"}, "log:info", '{"no": "type"}'),
        ([1], "log:info", "[1]"),
        ("{broken", "log:info", None),
    ],
)
def test_lines_of_events(line: Any, type_: str, message: str | None) -> None:
    """Each line of the event files is one log event of its level, whatever it is."""
    text = line if isinstance(line, str) else json.dumps(line)
    facts = LAYOUT.facts("events.jsonl", [text])
    assert facts is not None
    [fact] = facts
    assert fact.type == type_
    assert message is None or fact.data["message"] == message


def test_lines_of_other_logs_are_lines() -> None:
    """What a plain log says is not looked into."""
    assert LAYOUT.facts("logs/agent.log", ['{"type": "x"}']) is None


def test_what_the_agent_printed_is_told_once() -> None:
    """One of the two files with the same output is followed in silence, whatever the day."""
    assert LAYOUT.facts("logs/autonomy-20261123.log", ["a line"]) == ()
    assert LAYOUT.facts("logs/autonomy-notes.log", ["a line"]) is None


def encoded(sightings: Sequence[Sighting]) -> None:
    """Whatever is told can be an event."""
    for sighting in sightings:
        if isinstance(sighting, RunSighting):
            json.dumps(msgspec.to_builtins(sighting))
            if isinstance(sighting.fact, RunNotes):
                for note in sighting.fact.notes:
                    assert note.type in EVENT_TYPES
                    event_as_frame(1, 0, "s", Fact(note.type, note.data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("id", "title", "status", "tasks", "agents", "pid", "kind", "started"),
                    *("timestamp", "currentPhase", "startedAt", "outcome", "notifications"),
                    *("message", "severity", "cpu", "usage_percent", "limit", "budget_used"),
                    *("exceeded", "input_tokens", "total_cost_usd", "tool_id", "verdict", "brief"),
                    *("iterationCount", "lastRun", "output", "error", "exitCode", "type", "data"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(path=st.sampled_from(PATHS), content=st.binary(max_size=64))
def test_any_bytes(path: str, content: bytes) -> None:
    """Whatever bytes a file holds, it says something, or is not understood, and nothing else."""
    try:
        sightings = LAYOUT.sightings(path, content)
    except NotUnderstood:
        return
    assert sum(isinstance(sighting, Unreadable) for sighting in sightings) <= 1
    encoded(sightings)


@given(path=st.sampled_from(PATHS), value=JSON)
def test_any_json(path: str, value: Any) -> None:
    """Whatever JSON a file holds, it costs one warning at most."""
    try:
        sightings = LAYOUT.sightings(path, json.dumps(value).encode())
    except NotUnderstood:
        return
    assert sum(isinstance(sighting, Unreadable) for sighting in sightings) <= 1
    encoded(sightings)


@given(path=st.sampled_from(sorted(EVENT_FILES)), line=st.text(max_size=64) | JSON.map(json.dumps))
def test_any_line(path: str, line: str) -> None:
    """Whatever a line of an event file is, it is one event."""
    facts = LAYOUT.facts(path, [line])
    assert facts is not None
    [fact] = facts
    assert fact.type in EVENT_TYPES
    event_as_frame(1, 0, "s", fact)


@pytest.mark.parametrize("name", NAMES)
def test_every_whole_file_of_the_recordings_is_understood(name: str) -> None:
    """In what the real program wrote there is nothing that we do not understand."""
    kinds = set()
    for write in recorded(name):
        if write.operation == "delete" or LAYOUT.rank(write.path) is None:
            continue
        if write.data or LAYOUT.is_marker(write.path):
            for sighting in LAYOUT.sightings(write.path, write.data or b""):
                assert isinstance(sighting, RunSighting), (write, sighting)
                kinds.add(type(sighting.fact))
    assert {RunProgress, RunPid, RunStamp, RunPhase, RunTasks, RunAgents, RunWrapper} <= kinds
