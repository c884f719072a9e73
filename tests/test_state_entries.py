"""Tests of what a tree is made of."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.state.entries import Entry, entry_of, join, split, text_of

NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1)


@given(st.lists(NAMES, min_size=1))
def test_paths_are_joined_and_split(names: list[str]) -> None:
    """A path that was joined of names is split into them again."""
    path = ""
    for name in names:
        path = join(path, name)
    for name in reversed(names):
        path, last = split(path)
        assert last == name
    assert path == ""


@given(st.binary(min_size=1))
def test_any_path_can_be_stored(raw: bytes) -> None:
    """Whatever bytes a path has, its text can be stored and sent, and is the same if it can be."""
    text = text_of(os.fsdecode(raw))
    assert text.encode().decode() == text
    try:
        assert text == raw.decode()
    except UnicodeDecodeError:
        assert "\\x" in text


def test_contents_are_told_apart(tmp_path: Path) -> None:
    """A file differs after a write that keeps size and times; a directory is what it is."""
    path = tmp_path / "file"
    path.write_text("one")
    before = os.lstat(path)
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert entry_of(before) != entry_of(os.lstat(path))
    directory = entry_of(os.lstat(tmp_path))
    (tmp_path / "new").touch()
    assert entry_of(os.lstat(tmp_path)) == directory == Entry(True, os.stat(tmp_path).st_ino)
