"""What an agent may put in the place of its spool."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from loki_twisted.agents.spool_file import open_spool


@pytest.mark.parametrize(
    "put",
    [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path), lambda _: None],
    ids=["a pipe", "a directory", "a link", "nothing"],
)
def test_there_is_a_plain_file_afterwards(tmp_path: Path, put: Callable[[Path], object]) -> None:
    """It is empty, only ours, and what was there has another name."""
    path = tmp_path / "stdout"
    put(path)
    was_there = os.path.lexists(path)
    for content in (b"", b"x"):  # it stays what it is
        descriptor = open_spool(str(path))
        try:
            assert os.read(descriptor, 10) == content
            os.pwrite(descriptor, b"x", 0)
        finally:
            os.close(descriptor)
    assert path.is_file()
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.path.lexists(f"{path}.odd") == was_there
