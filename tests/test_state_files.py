"""Tests of reading files that anybody may have put there."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from zope.interface import implementer

from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.files import (
    MAX_BYTES,
    Content,
    Flaw,
    NoContent,
    open_beneath,
    read_file,
    read_state,
)
from loki_twisted.state.interface import Sighting, TasksSighting
from loki_twisted.state.layout import ILayout, PlainLayout
from tests.fakes_state import logged_failures

TASKS = "sessions/s1/tasks.json"


def flaw_of(root: Path, path: str = "file.json") -> Flaw | None:
    """Why a file says nothing."""
    found = read_file(str(root), path)
    return found.flaw if isinstance(found, NoContent) else None


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """What a regular file holds is read, up to the limit and not a byte more."""
    (tmp_path / "file.json").write_bytes(b"12345")
    assert read_file(str(tmp_path), "file.json", limit=5) == Content(b"12345")
    found = read_file(str(tmp_path), "file.json", limit=4)
    assert isinstance(found, NoContent)
    assert found.flaw is Flaw.TOO_BIG


@pytest.mark.threat("T20")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe that nobody writes to is refused at once."""
    os.mkfifo(tmp_path / "file.json")
    assert flaw_of(tmp_path) is Flaw.NOT_REGULAR


@pytest.mark.threat("T20")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """Directories, devices and sockets are refused."""
    (tmp_path / "directory.json").mkdir()
    assert flaw_of(tmp_path, "directory.json") is Flaw.NOT_REGULAR
    assert flaw_of(Path("/dev"), "zero") is Flaw.NOT_REGULAR
    with socket.socket(socket.AF_UNIX) as listening:
        home = os.getcwd()
        os.chdir(tmp_path)  # names of sockets are short
        listening.bind("socket.json")
        os.chdir(home)
        assert flaw_of(tmp_path, "socket.json") is Flaw.NOT_REGULAR


@pytest.mark.threat("T20")
def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A symbolic link is refused, as the file, as a directory on the way, and as the root."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file.json").write_text("secret")
    (tmp_path / "root/real").mkdir(parents=True)
    (tmp_path / "root/file.json").symlink_to(tmp_path / "secret/file.json")
    (tmp_path / "root/loop.json").symlink_to("loop.json")
    (tmp_path / "root/way").symlink_to(tmp_path / "secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    assert flaw_of(tmp_path / "root") is Flaw.NOT_REGULAR
    assert flaw_of(tmp_path / "root", "loop.json") is Flaw.NOT_REGULAR
    assert flaw_of(tmp_path / "root", "way/file.json") is Flaw.MISSING
    assert flaw_of(tmp_path / "link") is Flaw.MISSING
    assert flaw_of(tmp_path / "secret") is None


@pytest.mark.threat("T20")
def test_a_huge_file_costs_nothing(tmp_path: Path) -> None:
    """A file of 100 MB (of holes) is refused by its size."""
    with open(tmp_path / "file.json", "wb") as file:
        file.truncate(100_000_000)
    assert flaw_of(tmp_path) is Flaw.TOO_BIG


def test_what_grows_while_it_is_read_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was small when it was looked at is not read beyond the limit either."""
    path = tmp_path / "file.json"
    path.write_bytes(b"x")
    before = os.stat(path)
    path.write_bytes(b"x" * 20_000)
    monkeypatch.setattr(os, "fstat", lambda _: before)
    found = read_file(str(tmp_path), "file.json", limit=10_000)
    assert isinstance(found, NoContent)
    assert found.flaw is Flaw.TOO_BIG


def test_missing_empty_and_unreadable_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there, one that is empty, and one that is locked away differ."""
    assert flaw_of(tmp_path) is Flaw.MISSING
    assert flaw_of(tmp_path / "nowhere") is Flaw.MISSING
    (tmp_path / "file.json").touch()
    assert flaw_of(tmp_path) is Flaw.EMPTY

    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "read", refuse)
    found = read_file(str(tmp_path), "file.json")
    assert found == NoContent(Flaw.UNREADABLE, "cannot be read: Permission denied", "unreadable 13")


def test_descriptors_are_closed(tmp_path: Path) -> None:
    """However a file turns out, no descriptor stays open."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/good.json").write_text("{}")
    os.mkfifo(tmp_path / "a/b/pipe.json")
    before = os.listdir("/proc/self/fd")
    for path in ("a/b/good.json", "a/b/pipe.json", "a/b/none.json", "a/none/x.json", "a"):
        read_file(str(tmp_path), path)
    assert os.listdir("/proc/self/fd") == before


def test_an_opened_file_is_not_inherited(tmp_path: Path) -> None:
    """Agents that are started meanwhile do not get the file."""
    (tmp_path / "file").touch()
    descriptor = open_beneath(str(tmp_path), "file")
    try:
        assert not os.get_inheritable(descriptor)
        assert stat.S_ISREG(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


@pytest.mark.promise("R17")
def test_a_file_cut_anywhere_says_nothing(tmp_path: Path) -> None:
    """Of a file that is cut off at any byte nothing is believed, and of the whole all."""
    whole = json.dumps({"tasks": [{"id": "1", "title": "Zwölf", "status": "done"}]}).encode()
    (tmp_path / "sessions/s1").mkdir(parents=True)
    for length in range(len(whole)):
        (tmp_path / TASKS).write_bytes(whole[:length])
        reading = read_state(str(tmp_path), TASKS, DocumentedLayout())
        assert reading.flaw is (Flaw.INVALID if length else Flaw.EMPTY)
        assert reading.sightings == ()
    (tmp_path / TASKS).write_bytes(whole)
    reading = read_state(str(tmp_path), TASKS, DocumentedLayout())
    assert reading.flaw is None
    assert [type(sighting) for sighting in reading.sightings] == [TasksSighting]


@pytest.mark.promise("R17")
@pytest.mark.threat("T20", "T23")
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"tasks": [NaN]}',
        b'{"tasks": [1e999]}',
        b'{"tasks": [' + b"1" * 100_000 + b"]}",
        b'{"tasks": ["\xff"]}',
        b'{"tasks": ["\\ud800"]}',
        '{"tasks": []}'.encode("utf-16"),
        b"\0" * 1000,
        b'{"tasks": []} more',
    ],
    ids=lambda content: content[:12],
)
def test_hostile_content_is_invalid(tmp_path: Path, content: bytes) -> None:
    """Content that no reader of JSON should take is said to be invalid, in words."""
    (tmp_path / "sessions/s1").mkdir(parents=True)
    (tmp_path / TASKS).write_bytes(content)
    reading = read_state(str(tmp_path), TASKS, DocumentedLayout())
    assert reading.flaw is Flaw.INVALID
    assert reading.reason.startswith(("is no valid JSON", "is nested too deeply"))


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """A file that an editor began with a byte order mark is read."""
    (tmp_path / "sessions/s1").mkdir(parents=True)
    (tmp_path / TASKS).write_bytes(b"\xef\xbb\xbf" + b'{"tasks": []}')
    reading = read_state(str(tmp_path), TASKS, DocumentedLayout())
    assert reading.sightings == [TasksSighting("s1", ())]


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    """A file of exactly the limit is read."""
    (tmp_path / "sessions/s1").mkdir(parents=True)
    (tmp_path / TASKS).write_bytes(b'{"tasks": []}'.ljust(MAX_BYTES))
    assert read_state(str(tmp_path), TASKS, DocumentedLayout()).flaw is None


def test_equal_content_has_an_equal_mark(tmp_path: Path) -> None:
    """The mark of a reading tells contents apart, and flaws too."""
    marks = []
    for content in (b'{"tasks": []}', b'{"tasks": []} ', b'{"tasks": []}', b"", b"x", b"y"):
        (tmp_path / "sessions/s1").mkdir(parents=True, exist_ok=True)
        (tmp_path / TASKS).write_bytes(content)
        marks.append(read_state(str(tmp_path), TASKS, DocumentedLayout()).mark)
    assert marks[0] == marks[2]
    assert len(set(marks)) == 5


@implementer(ILayout)
class Broken(PlainLayout):
    """A layout with a fault."""

    def rank(self, path: str) -> int | None:
        return 0

    def sightings(self, path: str, content: bytes) -> Sequence[Sighting]:
        raise ZeroDivisionError

    def session_of(self, path: str) -> str | None:
        return None


def test_a_fault_of_a_layout_is_logged(tmp_path: Path) -> None:
    """When a layout fails, that is in the server's log, and the file says nothing."""
    (tmp_path / "file.json").write_text("{}")
    with logged_failures() as failures:
        reading = read_state(str(tmp_path), "file.json", Broken())
    assert reading.flaw is Flaw.INVALID
    assert [event["log_failure"].type for event in failures] == [ZeroDivisionError]
