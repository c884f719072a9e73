"""The marks of agents whose output finds no room."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.gap_marks import GapMarks
from tests.agents_support import plan


class MarkTests(SynchronousTestCase):
    """With the files of an agent, whose keeper has its lock."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="marks-")
        self.addCleanup(directory.cleanup)
        self.root = directory.name
        self.files = AgentFiles.of(self.root, "session_1")
        self.files.make(plan("/bin/true"), "secret", "boot", 1.5)
        lock = self.files.lock()
        assert lock is not None
        self.addCleanup(os.close, lock)
        self.marks = GapMarks(self.root)

    @pytest.mark.promise("R15")
    def test_a_mark_is_found_by_others(self) -> None:
        """It stands, with the time at which it was made, until it is taken away."""
        assert list(self.marks.found()) == [("session_1", None)]
        since = self.marks.begin("session_1")
        assert since is not None
        assert self.marks.begin("session_1") == since
        assert self.files.lock() is None
        assert list(GapMarks(self.root).found()) == [("session_1", since)]
        assert self.marks.end("session_1")
        assert self.marks.end("session_1")
        assert list(self.marks.found()) == [("session_1", None)]

    @pytest.mark.promise("R15")
    def test_a_mark_that_cannot_be_taken_away(self) -> None:
        """Without a descriptor it stays, and that is said; later it is taken, or made anew."""
        since = self.marks.begin("session_1")
        assert since is not None
        least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
        try:
            assert not self.marks.end("session_1")
            assert self.marks.begin("session_1", anew=True) is None
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))
        assert list(self.marks.found()) == [("session_1", since)]
        while self.marks.begin("session_1", anew=True) == since:
            pass  # the clock of files goes on in steps
        [(_, later)] = self.marks.found()
        assert later is not None
        assert later > since
        assert self.marks.begin("session_1") == later
        assert self.marks.end("session_1")

    def test_where_none_can_be_made(self) -> None:
        """Of what is not there, or is something else, nothing is marked, and nobody is held up."""
        for name in ("session_2", "../session_1"):
            assert self.marks.begin(name) is None
            assert self.marks.end(name)
        other = Path(self.root, "other")
        other.touch(0o600)
        lock = Path(self.files.path("lock"))
        lock.unlink()
        lock.symlink_to(other)
        assert self.marks.begin("session_1") is None
        assert self.marks.end("session_1")
        assert other.stat().st_mode & 0o777 == 0o600
        lock.unlink()
        os.mkfifo(lock, 0o700)
        assert sorted(self.marks.found()) == [("other", None), ("session_1", None)]
        assert list(GapMarks(f"{self.root}/away").found()) == []
