"""The file that holds what an agent is given to read."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.agents.input_file import InputFile
from loki_twisted.agents.keeper.layout import INPUT
from loki_twisted.model.errors import Conflict, OtherInput, StorageFailed, StorageFull


class InputFileTests(SynchronousTestCase):
    """With a directory."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="input-")
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, INPUT)
        self.path.touch(0o600)
        self.input = InputFile(directory.name)

    def test_input_is_appended(self) -> None:
        """All input stays in one file, in order, and each tells the offset behind it."""
        assert self.input.add(b"one\n") == 4
        assert self.input.add(b"two\n") == 8
        assert self.input.add(b"") == 8
        assert self.path.read_bytes() == b"one\ntwo\n"

    def test_what_stands_there_is_not_written_again(self) -> None:
        """At its offset only that of the data is written which is not there yet."""
        assert self.input.add(b"one\n", 0) == 4
        assert self.input.add(b"one\n", 0) == 4
        self.path.write_bytes(b"one\ntw")  # the server was killed while it wrote
        assert self.input.add(b"two\n", 4) == 8
        assert self.input.add(b"one\n", 0) == 4
        assert self.path.read_bytes() == b"one\ntwo\n"

    def test_input_that_was_lost_is_told(self) -> None:
        """Where less is on disk than was stored, nothing is written as if it were the next."""
        self.path.write_bytes(b"on")
        with pytest.raises(StorageFailed, match=r"Of 4 bytes .* 2 are left"):
            self.input.add(b"two\n", 4)
        assert self.path.read_bytes() == b"on"

    def test_input_is_there_wholly_or_not_at_all(self) -> None:
        """If the disk is full in the middle, the file is as it was before."""
        self.input.add(b"before\n")
        write = os.write

        def write_some(file: int, data: memoryview) -> int:
            if len(data) < 10:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(file, data[: len(data) // 2])

        self.patch(os, "write", write_some)
        with pytest.raises(StorageFull, match="No space"):
            self.input.add(b"x" * 100)
        with pytest.raises(StorageFull, match="No space"):
            self.input.add(b"before\n" + b"x" * 100, 0)
        assert self.path.read_bytes() == b"before\n"

    def test_what_stands_there_already_is_brought_to_disk(self) -> None:
        """Who wrote it may have been killed before it was safe."""
        synced: list[int] = []
        self.patch(os, "fdatasync", synced.append)
        self.path.write_bytes(b"one\n")
        self.input.add(b"one\n", 0)
        assert len(synced) == 1

    def test_what_somebody_else_wrote_stays(self) -> None:
        """Where something else stands nothing is written, and it is told up to where it is ours."""
        self.path.write_bytes(b"one\ntwo\nthree\n")
        for data, at, same in (
            (b"one\ntwenty\n", 0, 4),
            (b"four\n", 4, 4),
            (b"two\nthree\r\n", 4, 8),
            (b"two\nthree and four\n", 4, 8),
        ):
            with pytest.raises(OtherInput) as caught:
                self.input.add(data, at)
            assert (caught.value.same_until, caught.value.end) == (same, 14)
        assert self.input.add(b"two\nthree\nfour\n", 4) == 19
        assert self.path.read_bytes() == b"one\ntwo\nthree\nfour\n"

    def test_behind_the_end_nothing_is_stored(self) -> None:
        """When it has ended, what is there may be sent again, but nothing new."""
        self.input.add(b"one\n")
        assert not self.input.has_ended
        self.input.end()
        self.input.end()
        assert self.input.has_ended
        assert self.input.add(b"one\n", 0) == 4
        for data, at in ((b"more\n", None), (b"more\n", 4), (b"e\nmore\n", 2)):
            with pytest.raises(Conflict, match="has ended"):
                self.input.add(data, at)
        assert self.path.read_bytes() == b"one\n"

    def test_an_end_that_cannot_be_stored_is_told(self) -> None:
        """Who ends it is told if the disk fails."""

        def refuse(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.patch(os, "fsync", refuse)
        with pytest.raises(StorageFailed, match="could not be stored: Input/output error"):
            self.input.end()


@given(
    messages=st.lists(st.binary(max_size=9), min_size=1, max_size=6),
    crashes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=6),
)
def test_after_any_crash_the_input_is_written_once(
    messages: list[bytes], crashes: list[tuple[int, int]]
) -> None:
    """However much of the input a killed server has written, the next completes it exactly."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, INPUT)
        path.touch()

        def send(count: int) -> int:
            at = 0
            for message in messages[:count]:
                at = InputFile(directory).add(message, at)
            return at

        for count, part in crashes:
            at = send(count)
            missing = messages[count][path.stat().st_size - at :] if count < len(messages) else b""
            with path.open("ab") as file:
                file.write(missing[:part])
        whole = b"".join(messages)
        assert send(len(messages)) == len(whole)
        assert path.read_bytes() == whole
