"""Tests of the documented layout."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from loki_twisted.model.events import EVENT_TYPES, Fact, event_as_frame
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import Task, TaskStatus
from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.interface import (
    AgentSeen,
    AgentsSighting,
    CurrentSession,
    PhaseSighting,
    SessionSighting,
    Sighting,
    TasksSighting,
    Unreadable,
)
from loki_twisted.state.layout import ILayout, NotUnderstood

LAYOUT = DocumentedLayout()


def said(file: str, value: Any) -> list[Sighting]:
    """What a file of session ``s1`` says, or with a slash in its name another one."""
    path = file if "/" in file or file == "state.json" else f"sessions/s1/{file}"
    return list(LAYOUT.sightings(path, json.dumps(value).encode()))


def tasks(*items: Any) -> list[Task]:
    """The tasks of a file."""
    (sighting,) = said("tasks.json", {"tasks": items})
    assert isinstance(sighting, TasksSighting)
    return list(sighting.tasks)


def test_it_is_a_layout() -> None:
    """The documented layout is one of those that the watcher can use."""
    verifyObject(ILayout, LAYOUT)


@pytest.mark.parametrize(
    ("path", "rank", "session_id"),
    [
        ("sessions/s1/session.json", 0, "s1"),
        ("sessions/s1/phase.json", 1, "s1"),
        ("sessions/s1/tasks.json", 2, "s1"),
        ("sessions/s1/agents.json", 3, "s1"),
        ("state.json", 4, None),
        ("sessions/s1", None, "s1"),
        ("sessions/s1/agent.log", None, "s1"),
        ("sessions/s1/deep/session.json", None, "s1"),
        ("sessions/s1/other.json", None, "s1"),
        ("sessions/../session.json", None, None),
        ("sessions/-s/session.json", None, None),
        ("sessions/" + "x" * 65 + "/session.json", None, None),
        ("sessions", None, None),
        ("sessions/session.json", None, None),
        ("session.json", None, None),
        ("other/s1/session.json", None, None),
        ("deep/state.json", None, None),
    ],
)
def test_which_files_say_something(path: str, rank: int | None, session_id: str | None) -> None:
    """Only the documented files are read, a session's own ones first, and each is the session's."""
    assert LAYOUT.rank(path) == rank
    if not path.endswith("sessions/session.json"):
        assert LAYOUT.session_of(path) == session_id


def test_a_session() -> None:
    """All fields of a session are understood, times in either form."""
    assert said(
        "session.json",
        {
            "id": "another",
            "status": "Running",
            "provider": "codex",
            "prdPath": "docs/prd.md",
            "startedAt": "2026-11-23T22:43:11+01:00",
            "updatedAt": 1_795_470_191_042,
            "currentPhase": "Testing",
            "exitCode": 3,
            "pid": 99,
        },
    ) == [
        SessionSighting(
            session_id="s1",
            status=SessionStatus.RUNNING,
            provider="codex",
            prd_path="docs/prd.md",
            started_at="2026-11-23T21:43:11.000Z",
            updated_at="2026-11-23T21:43:11.042Z",
            current_phase="testing",
            exit_code=3,
        )
    ]


@pytest.mark.parametrize("wrong", [None, [], {}, 1.5, "", "  ", True, "no such word"])
def test_fields_of_wrong_types_are_absent(wrong: Any) -> None:
    """A field that makes no sense counts as one that is not there."""
    fields = ("status", "startedAt", "updatedAt", "exitCode")
    (sighting,) = said("session.json", dict.fromkeys(fields, wrong) | {"provider": "aider"})
    expected = SessionSighting(session_id="s1", provider="aider")
    if wrong == 1.5:  # a time after all
        first = "1970-01-01T00:00:00.001Z"
        expected = SessionSighting(
            session_id="s1", provider="aider", started_at=first, updated_at=first
        )
    assert sighting == expected


def test_a_phase() -> None:
    """A phase is told with the one before and its progress; without a name there is none."""
    assert said(
        "phase.json", {"current": "Testing", "previous": "DEVELOPMENT", "progress": 40}
    ) == [
        PhaseSighting(session_id="s1", phase="testing", previous_phase="development", progress=40)
    ]
    assert said("phase.json", {"current": "x", "previous": 1.5, "progress": "40"}) == [
        PhaseSighting(session_id="s1", phase="x")
    ]
    assert said("phase.json", {"current": None}) == []
    assert said("phase.json", {}) == []


def test_a_task() -> None:
    """All fields of a task are understood."""
    (task,) = tasks(
        {
            "id": "t1",
            "title": "Write it",
            "description": "All of it",
            "status": "failed",
            "priority": 3,
            "createdAt": "2026-11-23T22:43:11Z",
            "startedAt": 1_795_473_791_000,
            "completedAt": "2026-11-23T22:43:11.5Z",
            "agent": "dev-1",
            "output": {"files": ["a", 1.5, None, True]},
            "error": "no",
        }
    )
    assert task == Task(
        id="t1",
        session_id="s1",
        title="Write it",
        status=TaskStatus.FAILED,
        description="All of it",
        priority=3,
        created_at="2026-11-23T22:43:11.000Z",
        started_at="2026-11-23T22:43:11.000Z",
        completed_at="2026-11-23T22:43:11.500Z",
        agent="dev-1",
        output={"files": ["a", 1.5, None, True]},
        error="no",
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *((status.value, status) for status in TaskStatus),
        ("in progress", TaskStatus.RUNNING),
        ("in_progress", TaskStatus.RUNNING),
        ("In-Progress", TaskStatus.RUNNING),
        ("done", TaskStatus.COMPLETED),
        ("DONE", TaskStatus.COMPLETED),
        (None, TaskStatus.PENDING),
        ("", TaskStatus.PENDING),
    ],
)
def test_words_for_where_a_task_stands(word: str | None, status: TaskStatus) -> None:
    """The words of the wire are understood, and those that programs use instead."""
    assert tasks({"id": "1", "title": "x", "status": word})[0].status is status


def test_tasks_may_be_a_list_or_in_an_object() -> None:
    """A plain list of tasks says the same as an object with one."""
    items = [{"id": "1", "title": "x"}]
    assert said("tasks.json", items) == said("tasks.json", {"tasks": items, "other": 1})


def test_a_task_goes_by_what_it_has() -> None:
    """A task may have its title in another field, or none, and even no id."""
    found = tasks(
        {"id": "1", "subject": "from the subject"},
        {"id": 2, "title": None, "description": "\nfirst line\nsecond"},
        {"id": "3"},
        {"title": "nameless"},
    )
    assert [(task.id, task.title) for task in found] == [
        ("1", "from the subject"),
        ("2", "first line"),
        ("3", "3"),
        ("task-4", "nameless"),
    ]


def test_of_two_tasks_with_one_id_the_last_counts() -> None:
    """The same id twice is one task, as it was said last."""
    found = tasks({"id": "1", "title": "a"}, {"id": "2", "title": "b"}, {"id": "1", "title": "c"})
    assert sorted((task.id, task.title) for task in found) == [("1", "c"), ("2", "b")]


def test_a_bad_task_hides_no_good_one() -> None:
    """Good tasks are listed beside bad ones, and the bad ones are told of once."""
    bad = [None, "text", {}, {"id": "9", "status": "lost"}, []]
    tasks_said, told = said("tasks.json", [{"id": "1", "title": "good"}, *bad])
    assert isinstance(tasks_said, TasksSighting)
    assert [task.id for task in tasks_said.tasks] == ["1"]
    assert told == Unreadable(
        "s1",
        "sessions/s1/tasks.json",
        "some tasks are not understood: number 2 is no object; number 3 is no object;"
        " number 4 has neither id nor title; and 2 more",
    )


@pytest.mark.parametrize("name", ["output", "error"])
def test_what_cannot_be_passed_on_is_left_out(name: str) -> None:
    """A result too deep to be sent is left out of its task, and that is told."""
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    for value in (deep, 10**300, {"n": [-(10**300)]}):
        tasks_said, told = said("tasks.json", [{"id": "1", "title": "x", name: value}])
        assert isinstance(tasks_said, TasksSighting)
        assert getattr(tasks_said.tasks[0], name) is None
        assert isinstance(told, Unreadable)


def test_agents() -> None:
    """Active agents are told with what they are and do; one without an id is told of."""
    agents, told = said(
        "agents.json",
        {
            "active": [
                {"id": "a", "type": "developer", "model": "opus", "task": "t1"},
                {"id": 7, "task": 3},
                {"type": "nameless"},
                {"id": "a", "type": "tester"},
            ]
        },
    )
    assert agents == AgentsSighting(
        "s1", (AgentSeen("a", "tester"), AgentSeen("7", "agent", None, "3"))
    )
    assert told == Unreadable(
        "s1", "sessions/s1/agents.json", "some agents are not understood: number 3 has no id"
    )


def test_the_current_session() -> None:
    """The global state names the current session, or none."""
    assert said("state.json", {"currentSession": "s1", "version": 3}) == [CurrentSession("s1")]
    for nothing in ({}, {"currentSession": None}, {"currentSession": ""}):
        assert said("state.json", nothing) == [CurrentSession(None)]


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("session.json", []),
        ("session.json", None),
        ("phase.json", "testing"),
        ("tasks.json", {}),
        ("tasks.json", {"tasks": {}}),
        ("tasks.json", "x"),
        ("agents.json", {"active": None}),
        ("agents.json", 5),
        ("state.json", []),
        ("state.json", {"currentSession": "../.."}),
        ("state.json", {"currentSession": 5}),
    ],
)
def test_a_file_of_a_wrong_shape_says_nothing(file: str, value: Any) -> None:
    """A file that holds something else is refused as a whole, in words."""
    with pytest.raises(NotUnderstood, match=r"holds no|current session"):
        said(file, value)


def test_names_are_bounded() -> None:
    """Names and titles of any length are cut to what fits into a list."""
    (task,) = tasks({"id": "i" * 9999, "title": "t" * 9999, "agent": "a" * 9999})
    assert (len(task.id), len(task.title), len(task.agent or "")) == (256, 1024, 256)


NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
WORDS = st.sampled_from(
    [
        *("id", "title", "subject", "status", "tasks", "active", "current", "previous", "type"),
        *("createdAt", "startedAt", "output", "error", "priority", "currentSession", "done"),
        *("exitCode", "progress", "2026-11-23T22:43:11Z", "0001-01-01T00:00:00+23:59"),
        "9999-12-31T23:59:59-23:59",
    ]
)
TEXT = st.one_of(WORDS, st.text(st.characters(codec="utf-8")))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=6)),
    max_leaves=10,
)
FILES = [
    "sessions/s1/session.json",
    "sessions/s1/phase.json",
    "sessions/s1/tasks.json",
    "sessions/s1/agents.json",
    "state.json",
]


def assert_usable(sighting: Sighting) -> None:
    """It can be stored as a row and told as an event."""
    data = msgspec.to_builtins(sighting)
    frame = event_as_frame(1, 1, "s1", Fact(EVENT_TYPES[0], {"data": data}))
    assert b"data: " in frame
    if isinstance(sighting, TasksSighting):
        for task in sighting.tasks:
            assert msgspec.json.decode(msgspec.json.encode(task), type=Task) == task


@given(path=st.sampled_from(FILES), value=VALUES)
def test_any_json_is_survived(path: str, value: Any) -> None:
    """Whatever JSON a file holds, what comes of it can be stored and sent, or it is refused."""
    try:
        sightings = LAYOUT.sightings(path, json.dumps(value).encode())
    except NotUnderstood:
        return
    for sighting in sightings:
        assert_usable(sighting)


FIELDS = (
    *("id", "title", "subject", "description", "status", "priority", "createdAt", "startedAt"),
    *("completedAt", "agent", "output", "error"),
)
TASK = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES))


@given(st.lists(st.one_of(TASK, VALUES), max_size=3))
def test_any_task_is_survived(items: list[Any]) -> None:
    """Whatever tasks and no tasks a list holds, the rest can be stored, each id once."""
    for sighting in LAYOUT.sightings(FILES[2], json.dumps(items).encode()):
        assert_usable(sighting)
        if isinstance(sighting, TasksSighting):
            ids = [task.id for task in sighting.tasks]
            assert len(set(ids)) == len(ids)


@given(st.binary(max_size=60))
def test_any_bytes_are_survived(content: bytes) -> None:
    """Whatever bytes a file holds, they are understood or refused."""
    for path in FILES:
        try:
            LAYOUT.sightings(path, content)
        except NotUnderstood:
            continue
