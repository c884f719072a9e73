"""Tests of files that are held open."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from loki_twisted.state.held import (
    HeldLogs,
    LogFile,
    Position,
    maybe_log,
    maybe_position,
    position_as_text,
)


def opened(root: Path, name: str) -> LogFile:
    """A log of that name, opened."""
    (root / name).touch()
    file = maybe_log(str(root), name)
    assert file is not None
    return file


def is_open(file: LogFile) -> bool:
    """Whether a file was not closed yet."""
    return os.path.exists(f"/proc/self/fd/{file.descriptor}")


def test_too_many_files_are_not_held(tmp_path: Path) -> None:
    """Of more files than may be held, those kept last are."""
    held = HeldLogs(limit=2)
    files = [opened(tmp_path, name) for name in "abc"]
    for name, file in zip("abc", files, strict=True):
        held.keep("root", name, file)
    assert [is_open(file) for file in files] == [False, True, True]
    assert held.take("root", "a") is None
    assert held.take("root", "b") is files[1]
    held.keep("root", "c", files[1])
    assert not is_open(files[2])
    held.drop("root")
    assert not is_open(files[1])
    assert len(held) == 0


def test_dropping_is_for_one_directory(tmp_path: Path) -> None:
    """Files of other state directories stay."""
    held = HeldLogs()
    mine, other = opened(tmp_path, "a"), opened(tmp_path, "b")
    held.keep("mine", "a", mine)
    held.keep("other", "b", other)
    held.drop("mine")
    held.forget("other", "none")
    assert (is_open(mine), is_open(other)) == (False, True)
    held.forget("other", "b")
    assert not is_open(other)


def test_a_position_is_found_again(tmp_path: Path) -> None:
    """A stored position is as it was, and anything else is none."""
    file, copy = opened(tmp_path, "a"), opened(tmp_path, "b")
    for name in "ab":
        (tmp_path / name).write_text("x" * 1000)
    position = file.position_at(700)
    assert maybe_position(position_as_text(position)) == position
    assert file.still_has(position)
    assert file.still_has(msgspec.structs.replace(position, dev=position.dev + 1))
    assert not copy.still_has(position)
    for changed in (0, 699):
        (tmp_path / "a").write_text("x" * changed + "y" + "x" * 999)
        assert not file.still_has(position)
    (tmp_path / "a").write_text("x" * 699)
    assert not file.still_has(position)
    file.close()
    copy.close()


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "5", '{"dev":1,"ino":1,"offset":-1,"head":"","tail":""}', "\ud800"],
)
def test_what_is_no_position_is_none(text: str) -> None:
    """A cursor that was stored by something else is passed over."""
    assert maybe_position(text) is None


def test_a_position_of_an_older_version_is_read() -> None:
    """What was stored before there was a long tail is a position all the same."""
    text = '{"dev":1,"ino":2,"offset":3,"head":"h","tail":"t"}'
    assert maybe_position(text) == Position(1, 2, 3, "h", "t", "")
