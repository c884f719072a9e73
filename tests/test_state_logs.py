"""Tests of following logs: each complete line once, whatever becomes of the file."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from loki_twisted.state.held import HeldLogs, Position, maybe_position, position_as_text
from loki_twisted.state.lines import MAX_LINE
from loki_twisted.state.logs import READ_LINES, READ_SIZE, LogOrder, LogReading, read_log
from tests.fakes_state import open_below


class Follower:
    """
    Reads a log as the watcher does.

    :ivar position: As it would be stored; None before the first reading.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "agent.log"
        self.held = HeldLogs()
        self.position: Position | None = None
        self.lines: list[str] = []
        self.last: LogReading | None = None

    def once(self, *, from_end: bool = False, moved_to: str | None = None) -> LogReading:
        """Read once, without taking what was read."""
        order = LogOrder("agent.log", self.position, from_end, moved_to)
        return read_log(str(self.root), order, self.held)

    def follow(self, *, from_end: bool = False, moved_to: str | None = None) -> list[str]:
        """Read all there is; gives what is new."""
        before = len(self.lines)
        has_more = True
        while has_more:
            self.last = self.once(from_end=from_end, moved_to=moved_to)
            has_more = self.last.has_more
            self.lines += self.last.lines
            self.position = self.last.position
        return self.lines[before:]

    def restart(self) -> None:
        """Begin again with what is stored."""
        self.held.drop(str(self.root))
        if self.position is not None:
            self.position = maybe_position(position_as_text(self.position))

    def append(self, text: str | bytes) -> None:
        """Write to the log."""
        with open(self.path, "ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Follower]:
    """A log and who follows it; no descriptor stays open."""
    follower = Follower(tmp_path)
    yield follower
    follower.held.drop(str(tmp_path))
    assert open_below(tmp_path) == []


def test_what_is_appended_is_read_once(log: Follower) -> None:
    """Each line is read once, over restarts too, and an unfinished one when it is finished."""
    log.append("one\ntwo\nthr")
    assert log.follow() == ["one", "two"]
    assert log.follow() == []
    log.restart()
    log.append("ee\n")
    assert log.follow() == ["three"]


def test_text_may_come_byte_by_byte(log: Follower) -> None:
    """Characters of several bytes, written a byte at a time, come whole."""
    for byte in "zwölf 🚀\nüber\n".encode():
        log.append(bytes([byte]))
        log.follow()
    assert log.lines == ["zwölf 🚀", "über"]


def test_from_the_end(log: Follower) -> None:
    """Who begins at the end gets what comes after, with a line that was begun before."""
    log.append("old\nbeg")
    assert log.follow(from_end=True) == []
    log.append("un\nnew\n")
    assert log.follow() == ["begun", "new"]


def test_from_the_end_of_a_log_without_lines(log: Follower) -> None:
    """Where no line ends for long before the end, reading begins at the very end."""
    log.append("x" * (MAX_LINE + 10))
    assert log.follow(from_end=True) == []
    log.append("\nnew\n")
    assert log.follow() == ["new"]


def test_an_empty_log_from_its_end(log: Follower) -> None:
    """A log that was empty at first is read from its beginning."""
    log.append("")
    assert log.follow(from_end=True) == []
    log.append("one\n")
    assert log.follow() == ["one"]


def test_a_read_is_bounded(log: Follower) -> None:
    """However much there is, a read takes no more than the limit, and all comes in order."""
    lines = [f"{number} " + "x" * 90 for number in range(10_000)]
    log.append("".join(line + "\n" for line in lines))
    first = log.once()
    assert first.has_more
    assert first.size <= READ_SIZE
    assert log.follow() == lines


@pytest.mark.parametrize("end", ["", "the rest"])
def test_lines_of_a_read_are_counted(log: Follower, end: str) -> None:
    """However short lines are, a read gives no more than a few thousand, and none is lost."""
    log.append("first\n")
    log.follow()
    log.append("x\n" * 2 * READ_LINES + end)
    reading = log.once()
    assert (len(reading.lines), reading.has_more) == (READ_LINES, True)
    os.unlink(log.path)
    assert log.follow() == ["x"] * 2 * READ_LINES + ([end] if end else [])
    assert log.position is None


def test_a_truncated_log_is_read_from_its_beginning(log: Follower) -> None:
    """After truncation what is written is read, even if the log has grown beyond the place."""
    log.append("one\ntwo\n")
    log.follow()
    os.truncate(log.path, 0)
    assert log.follow() == []
    log.append("three\n")
    assert log.follow() == ["three"]
    os.truncate(log.path, 0)
    log.append("four is longer\nthan it was\n")
    log.restart()
    assert log.follow() == ["four is longer", "than it was"]


def test_a_log_rewritten_with_the_same_beginning_is_noticed(log: Follower) -> None:
    """A log written anew that begins as the old one did is read from its beginning."""
    banner = "=" * 300 + "\n"
    log.append(banner + "one\ntwo\n")
    log.follow()
    os.truncate(log.path, 0)
    log.append(banner + "eno\nowt\nthree\n")
    assert log.follow() == [banner.strip(), "eno", "owt", "three"]


def test_a_renamed_log_is_read_to_its_end(log: Follower) -> None:
    """What was written before and after a rename is read, then the new file."""
    log.append("one\n")
    log.follow()
    log.append("two\n")
    rotated = log.root / "agent.log.1"
    log.path.rename(rotated)
    assert log.follow() == ["two"]
    with open(rotated, "a") as late:
        late.write("three\n")
    log.append("")
    assert log.follow() == ["three"]
    with open(rotated, "a") as late:
        late.write("four\nlast without end")
    log.append("five\n")
    assert log.follow() == ["four", "last without end", "five"]


def test_a_log_renamed_while_nobody_looked_is_found(log: Follower) -> None:
    """After a restart the rest of a renamed log is read where it lies, then the new file."""
    log.append("one\n")
    log.follow()
    log.append("two\n")
    log.path.rename(log.root / "agent.log.1")
    log.append("three\n")
    log.restart()
    assert log.follow(moved_to="agent.log.1") == ["two", "three"]


def test_a_stranger_in_the_old_place_is_not_read(log: Follower) -> None:
    """A file that only took over the inode's number is not taken for the rest of the log."""
    log.append("one\n")
    log.follow()
    log.restart()
    os.unlink(log.path)
    (log.root / "other").write_text("xxx\nstrange\n")
    assert log.position is not None
    log.position = Position(
        log.position.dev,
        os.stat(log.root / "other").st_ino,
        log.position.offset,
        log.position.head,
        log.position.tail,
    )
    log.append("two\n")
    assert log.follow(moved_to="other") == ["two"]


def test_a_deleted_log_is_read_to_its_end(log: Follower) -> None:
    """What was written before a log was deleted is read, then its successor."""
    log.append("one\n")
    log.follow()
    log.append("two\nthree")
    os.unlink(log.path)
    log.append("four\n")
    assert log.follow() == ["two", "three", "four"]


def test_a_deleted_log_without_successor_ends(log: Follower) -> None:
    """A deleted log is read to its end, and then there is nothing to follow."""
    log.append("one\n")
    log.follow()
    log.append("two\nthree")
    os.unlink(log.path)
    assert log.follow() == ["two", "three"]
    assert log.position is None
    assert log.follow() == []


def test_a_deleted_log_is_followed_until_its_successor_has_content(log: Follower) -> None:
    """Who still writes to a deleted log is heard, as long as its successor is empty."""
    with open(log.path, "ab") as writer:
        writer.write(b"one\nbeg")
        writer.flush()
        log.follow()
        log.path.unlink()
        log.append("")
        assert log.follow() == []
        writer.write(b"un\n")
    assert log.follow() == ["begun"]
    log.append("two\n")
    assert log.follow() == ["two"]


def test_much_that_is_left_of_a_renamed_log_is_read_first(log: Follower) -> None:
    """However much was not read of a log before it was replaced, it comes first and whole."""
    log.append("one\n")
    log.follow()
    lines = [f"{number} " + "x" * 90 for number in range(10_000)]
    log.append("".join(line + "\n" for line in lines))
    log.path.rename(log.root / "agent.log.1")
    log.append("new\n")
    assert log.follow() == [*lines, "new"]


def test_a_log_that_is_moved_while_the_one_before_it_is_held_is_read_to_its_end(
    log: Follower,
) -> None:
    """A new log that is rotated away at once is found, though the old one is still at hand."""
    log.append("one\n")
    log.follow()
    log.path.rename(log.root / "agent.log.2")
    log.append("two\n")
    over = log.once()
    assert over.left is not None
    log.position = over.position
    log.path.rename(log.root / "agent.log.1")
    log.append("three\n")
    assert log.follow(moved_to="agent.log.1") == ["two", "three"]


def test_a_line_is_not_torn_in_a_log_that_goes_on_under_another_name(log: Follower) -> None:
    """A last line without its end is told with the new name of its log, whole."""
    log.append("one\n")
    log.follow()
    log.append("two\nbeg")
    log.path.rename(log.root / "older.log")
    log.append("new\n")
    over = log.once()
    assert (over.lines, over.left and over.left.offset) == (["two"], len("one\ntwo\n"))
    assert log.follow() == ["two", "new"]


def test_reading_may_be_repeated(log: Follower) -> None:
    """What could not be stored is read again, also when a file has just come to its end."""
    log.append("one\n")
    log.follow()
    log.append("two\n")
    assert log.once().lines == log.once().lines == ["two"]
    os.unlink(log.path)
    assert log.once().lines == log.once().lines == ["two"]
    log.append("three\n")
    assert log.once().lines == log.once().lines == ["two"]
    assert log.follow() == ["two", "three"]


def test_a_log_replaced_by_its_own_end_goes_on(log: Follower) -> None:
    """A log that was cut to its last part, in a new file, is not read twice."""
    lines = [f"line {number:06}" for number in range(2000)]
    log.append("".join(line + "\n" for line in lines[:-1]))
    log.follow()
    log.append(lines[-1] + "\nbeg")
    kept = log.path.read_bytes()[-9000:]
    (log.root / "cut").write_bytes(kept + b"un\nafter\n")
    os.replace(log.root / "cut", log.path)
    assert log.follow() == [lines[-1], "begun", "after"]


@pytest.mark.parametrize("kept", [9000, 4196])
def test_a_log_cut_to_its_end_while_no_server_ran_goes_on(log: Follower, kept: int) -> None:
    """A log that was cut to its last part, in a new file, is not read twice after a restart."""
    lines = [f"line {number:06}" for number in range(2000)]
    log.append("".join(line + "\n" for line in lines[:-5]))
    log.follow()
    log.restart()
    log.append("".join(line + "\n" for line in lines[-5:]))
    (log.root / "cut").write_bytes(log.path.read_bytes()[-kept:] + b"after\n")
    os.replace(log.root / "cut", log.path)
    assert log.follow() == [*lines[-5:], "after"]


def test_a_log_cut_to_so_little_that_it_may_be_another_is_read_whole(log: Follower) -> None:
    """With less than 4 KiB in common a file may be alike by chance, and no line must be missed."""
    lines = [f"line {number:06}" for number in range(2000)]
    log.append("".join(line + "\n" for line in lines))
    log.follow()
    log.restart()
    (log.root / "cut").write_bytes(log.path.read_bytes()[-12 * 300 :])
    os.replace(log.root / "cut", log.path)
    assert log.follow() == lines[-300:]


def test_a_log_of_which_only_an_older_version_knows_the_place_is_read_whole(log: Follower) -> None:
    """A place that was stored without what is needed to find it again is good in its own file."""
    lines = [f"line {number:06}" for number in range(2000)]
    log.append("".join(line + "\n" for line in lines))
    log.follow()
    log.restart()
    assert log.position is not None
    log.position = msgspec.structs.replace(log.position, long_tail="")
    assert log.follow() == []
    log.restart()
    log.position = msgspec.structs.replace(log.position, long_tail="")
    (log.root / "cut").write_bytes(log.path.read_bytes()[-9000:])
    os.replace(log.root / "cut", log.path)
    assert log.follow() == lines[-750:]


def test_a_copy_of_a_log_is_another_log(log: Follower) -> None:
    """A log replaced by a file with the same text is read anew: its lines were written twice."""
    lines = [f"line {number:06}" for number in range(1000)]
    log.append("".join(line + "\n" for line in lines))
    log.follow()
    (log.root / "copy").write_bytes(log.path.read_bytes())
    os.replace(log.root / "copy", log.path)
    assert log.follow() == lines


@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
def test_what_is_no_file_is_no_log(log: Follower, kind: str) -> None:
    """Only regular files are followed."""
    match kind:
        case "pipe":
            os.mkfifo(log.path)
        case "link":
            (log.root / "secret").write_text("secret\n")
            log.path.symlink_to("secret")
        case _:
            log.path.mkdir()
    assert log.follow() == []
    assert log.position is None
    assert log.last is not None
    assert log.last.problem is None


def test_a_log_that_cannot_be_opened_now_keeps_its_place(
    log: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there are no descriptors left, the place in the log stays."""
    log.append("one\n")
    log.follow()
    log.append("two\n")

    def refuse(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        assert log.follow() == []
        assert log.last is not None
        assert log.last.problem == "cannot be read: Too many open files"
    assert log.follow() == ["two"]


@pytest.mark.promise("R21")
@pytest.mark.parametrize("seed", range(4))
def test_no_line_is_lost_or_read_twice(log: Follower, seed: int) -> None:
    """Over hundreds of rotations of every kind each line is read exactly once, in order."""
    rng = random.Random(seed)
    written = 0

    def write() -> None:
        nonlocal written
        for _ in range(rng.randint(0, 4)):
            log.append(f"line {written} " + "ä" * rng.randint(0, 40) + "\n")
            written += 1

    for step in range(600):
        write()
        kind = rng.randint(0, 9)
        if kind < 4:
            log.follow()
        if kind < 2 and log.path.exists():  # a file that was seen before loses nothing
            write()
        match kind:
            case 0 if log.path.exists():
                log.path.rename(log.root / f"agent.log.{step}")
            case 1:
                log.path.unlink(missing_ok=True)
            case 2 if log.path.exists():
                os.truncate(log.path, 0)
                log.follow()
            case 3:
                log.restart()
            case _:
                log.once()  # what was read is not taken
        write()
        log.follow()
    numbers = [int(line.split()[1]) for line in log.lines]
    assert numbers == list(range(written))
    assert written > 500
