"""Tests of :mod:`loki_twisted.access.audit` and of how much of it there may be."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from loki_twisted.access import audit as module
from loki_twisted.access.allowance import WINDOW_SECONDS, Allowance
from loki_twisted.access.audit import MOST_OLD, AuditLog
from loki_twisted.access.interface import IAudit

AT_MS = 1_700_000_000_000


def made(path: Path, **options: Any) -> AuditLog:
    """An audit log whose clock stands still."""
    return AuditLog(str(path), lambda: AT_MS, **options)


def entries(path: Path) -> list[Any]:
    """What stands in a file."""
    return [json.loads(line) for line in path.read_bytes().splitlines() if line]


def test_an_entry_is_in_the_file_when_it_was_recorded(tmp_path: Path) -> None:
    """One line of JSON with its time; what is not known is left out; nobody else may read it."""
    path = tmp_path / "audit.jsonl"
    before = os.umask(0)
    try:
        log = made(path)
        assert verifyObject(IAudit, log)
        assert not path.exists()
        log.record({"who": "ci", "status": 200, "sessionId": None})
    finally:
        os.umask(before)
    assert entries(path) == [{"time": "2023-11-14T22:13:20.000Z", "who": "ci", "status": 200}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert log.problem() is None
    log.close()
    log.close()


def test_a_disk_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it: entries are kept, some, and are in the file when it answers again."""
    monkeypatch.setattr(module, "MOST_HELD", 2)
    path, answers = tmp_path / "audit.jsonl", [False]
    log = made(path, answers=lambda: answers[0])
    for number in range(4):
        log.record({"number": number})
        log.look()
    assert not path.exists()
    assert "2 entries are not there yet" in str(log.problem())
    answers[0] = True
    log.look()
    assert log.problem() is None
    log.record({"number": 4})
    assert [(each.get("number"), each.get("lost")) for each in entries(path)] == [
        (0, None),
        (1, None),
        (None, 2),
        (4, None),
    ]
    log.close()


def test_it_goes_on_where_the_last_server_stopped(tmp_path: Path) -> None:
    """Entries are added, and half a line of a crash spoils only itself."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"who": "before"}\n{"who": "ha')
    log = made(path)
    log.record({"who": "after"})
    log.close()
    lines = path.read_bytes().splitlines()
    assert lines[:2] == [b'{"who": "before"}', b'{"who": "ha']
    assert json.loads(lines[2])["who"] == "after"


def test_its_size_is_bounded(tmp_path: Path) -> None:
    """The oldest go: some whole files of at most so many bytes are kept, all of them 0600."""
    path = tmp_path / "audit.jsonl"
    log = made(path, most_bytes=1000)
    for number in range(500):
        log.record({"number": number})
    log.close()
    names = sorted(os.listdir(tmp_path))
    assert names == ["audit.jsonl", *(f"audit.jsonl.{n}" for n in range(1, MOST_OLD + 1))]
    numbers = []
    for name in reversed(names):
        file = tmp_path / name
        assert file.stat().st_size <= 1000
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        numbers += [entry["number"] for entry in entries(file)]
    assert numbers == list(range(numbers[0], 500))
    assert len(numbers) > 50


def test_one_that_was_removed_is_made_again(tmp_path: Path) -> None:
    """The next entry is in a file that is there."""
    path = tmp_path / "audit.jsonl"
    log = made(path)
    log.record({"number": 1})
    path.unlink()
    log.record({"number": 2})
    log.close()
    assert [entry["number"] for entry in entries(path)] == [2]


def test_one_that_was_moved_away_gets_no_more(tmp_path: Path) -> None:
    """Another program puts it aside, to compress it; what follows is in a new one, or in its."""
    path, aside = tmp_path / "audit.jsonl", tmp_path / "audit-20260101"
    log = made(path)
    log.record({"number": 1})
    path.rename(aside)
    log.record({"number": 2})
    path.rename(tmp_path / "audit-20260102")
    path.touch(0o640)
    log.record({"number": 3})
    log.close()
    assert [entry["number"] for entry in entries(aside)] == [1]
    assert [entry["number"] for entry in entries(tmp_path / "audit-20260102")] == [2]
    assert [entry["number"] for entry in entries(path)] == [3]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_that_was_cut_off_goes_on_at_its_beginning(tmp_path: Path) -> None:
    """Another program copies it and makes it empty: there is no hole in it, and all its room."""
    path = tmp_path / "audit.jsonl"
    log = made(path, most_bytes=200)
    log.record({"number": 1})
    os.truncate(path, 0)
    log.record({"number": 2})
    log.record({"number": 3})
    log.close()
    assert [entry["number"] for entry in entries(path)] == [2, 3]
    assert os.listdir(tmp_path) == ["audit.jsonl"]


def test_it_writes_through_no_link(tmp_path: Path) -> None:
    """What lies at its place and leads elsewhere is left alone; the loss is told."""
    (tmp_path / "audit.jsonl").symlink_to("elsewhere")
    log = made(tmp_path / "audit.jsonl")
    log.record({"number": 1})
    assert not (tmp_path / "elsewhere").exists()
    told = log.problem()
    assert told is not None
    assert "1 entries are lost" in told


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_failing_disk_is_told_and_stops_nobody(
    fault: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error comes out of it; how many are lost is told while it lasts, and then on record."""

    def failing(_file: int, _data: bytes) -> int:
        raise OSError(fault, os.strerror(fault))

    log = made(tmp_path / "audit.jsonl")
    log.record({"number": 1})
    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", failing)
        log.record({"number": 2})
        log.record({"number": 3})
    assert log.problem() == (
        f"The audit log cannot be written: {os.strerror(fault)}; 2 entries are lost."
    )
    log.look()
    assert log.problem() is None
    log.look()
    log.record({"number": 4})
    log.close()
    assert [
        (entry.get("number"), entry.get("lost")) for entry in entries(tmp_path / "audit.jsonl")
    ] == [(1, None), (None, 2), (4, None)]


def test_a_disk_that_is_really_full_cuts_no_entry_in_two(tmp_path: Path) -> None:
    """With a limit of the kernel's on the size of files: what is there afterwards is whole."""
    path = tmp_path / "audit.jsonl"
    log = made(path)
    log.record({"number": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the signal that comes with it.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        log.record({"number": 2})
        log.record({"number": 3})
        assert log.problem() is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.record({"number": 4})
    log.close()
    lines = path.read_bytes().splitlines()
    assert json.loads(lines[0])["number"] == 1
    assert json.loads(lines[-1])["number"] == 4
    assert log.problem() is None


def test_an_allowance_is_for_each_and_for_all() -> None:
    """Who has used up their own leaves room for others, and a minute later for themselves."""
    clock = Clock()
    allowance = Allowance(clock.seconds, 2, 3)
    assert [allowance.take(party) for party in "aaabb"] == [True, True, False, True, False]
    assert (allowance.refused(), allowance.refused()) == (2, 0)
    clock.advance(WINDOW_SECONDS)
    assert allowance.take("a")
