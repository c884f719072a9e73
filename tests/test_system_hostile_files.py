"""Files of Loki Mode that are none: what they cost a run that goes on beside them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from loki_twisted.model.events import Event
from tests.contradictions import contradictions
from tests.recordings_player import play
from tests.synthetic_runs import RunWriter
from tests.watched_project import LOOK_SECONDS, WatchedProject, of_type

VICTIMS = (
    *("queue/failed.json", "queue/dead-letter.json", "state/completion.json"),
    *("state/resources.json", "metrics/budget.json", "dashboard-state.json"),
    *("quality/gate-failure-count.json", "notifications/active.json"),
)
"""Files that the run beside them does not need."""


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 100_000 + b"]" * 100_000)


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 100 * 1024 * 1024)


def linked(path: Path) -> None:
    secret = path.parent.parent.parent / "secret.json"
    secret.write_text('{"outcome": "complete"}')
    path.symlink_to(secret)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a number": lambda path: path.write_bytes(b"7"),
    "null": lambda path: path.write_bytes(b"null"),
    "text": lambda path: path.write_bytes(b'"x"'),
    "half": lambda path: path.write_bytes(b'{"id": "x", "st'),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(b'{"\xff\xfe": "\x80"}'),
    "deep": deep,
    "huge": huge,
    "pipe": os.mkfifo,
    "link": linked,
    "device": endless,
}


def warnings(events: Sequence[Event]) -> Counter[str]:
    """How often each file was warned of."""
    return Counter(
        event.data["message"].partition(":")[0]
        for event in of_type(events, "log")
        if event.data.get("source") == "state"
    )


@pytest.mark.promise("R17")
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
@pytest_twisted.ensureDeferred
async def test_a_file_costs_its_own_facts_and_one_warning(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    """Whatever is named like a state file costs one warning, and the run beside it nothing."""
    run = RunWriter()
    run.begin(50)
    run.put("queue/pending.json", [{"id": "prd-001", "title": "A"}])
    run.iterate(1)
    run.end("council_approved", "complete")
    writes = [write for write in run.writes if write.path not in VICTIMS]
    async with WatchedProject(tmp_path / "project") as watched:
        for name in VICTIMS:
            path = watched.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
        await deferToThread(play, writes, watched.root, None)
        [seen] = (
            await watched.until(lambda seen: [s["status"] for s in seen.values()] == ["completed"])
        ).values()
        assert {name: task[1] for name, task in seen["tasks"].items()} == {
            "prd-001": "pending",
            "iteration-1": "completed",
        }
        warned = warnings(await watched.events())
        while len(warned) < len(VICTIMS):  # they are given a second to become whole
            await deferLater(reactor, LOOK_SECONDS)
            warned = warnings(await watched.events())
        await watched.service.rooms.watcher.settle(str(tmp_path / "project"))
        events = await watched.events()
    assert warnings(events) == dict.fromkeys(VICTIMS, 1)
    assert contradictions(events) == []
