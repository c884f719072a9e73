"""The files that the server and a keeper share."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
from pathlib import Path

import attrs
import pytest
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.agents import files as files_module
from loki_twisted.agents.bell import Bell
from loki_twisted.agents.files import AgentFiles, ProcessIdentity
from loki_twisted.agents.input_file import InputFile
from loki_twisted.agents.interface import AgentEnd
from loki_twisted.agents.keeper.layout import ENDED, INPUT, LOG, SPEC, STARTED, Note
from loki_twisted.agents.raw_output import RawOutput
from loki_twisted.kernel.procfs import stat_of
from loki_twisted.model.errors import StorageFailed
from tests.agents_support import plan


@pytest.mark.parametrize(
    "session_id", ["", ".", "..", "../x", "a/b", "/etc", ".hidden", "a\0b", "ä", "-x", "x" * 129]
)
def test_an_id_that_is_no_plain_name_is_refused(session_id: str) -> None:
    """No id leads out of the directory of agents."""
    with pytest.raises(ValueError, match="not the name"):
        AgentFiles.of("/agents", session_id)


def nobody() -> Bell:
    """No bell: nobody listens."""
    raise AssertionError


class FilesTests(SynchronousTestCase):
    """With a directory."""

    def setUp(self) -> None:
        root = tempfile.TemporaryDirectory(prefix="files-")
        self.addCleanup(root.cleanup)
        self.files = AgentFiles.of(f"{root.name}/agents", "session_1")

    def make(self) -> None:
        self.files.make(plan("/bin/true", cwd="/tmp", accepts_input=True), "secret", "boot", 1.5)

    def test_what_is_made_can_be_read_back(self) -> None:
        """The server of tomorrow reads how the agent was started."""
        self.make()
        spec = self.files.spec()
        assert spec is not None
        assert (spec.cookie, spec.boot_id, spec.cwd) == ("secret", "boot", "/tmp")
        assert (spec.accepts_input, spec.grace_seconds) == (True, 1.5)

    def test_only_we_can_look_into_it(self) -> None:
        """Directories are made 0700, files 0600, whatever the umask."""
        before = os.umask(0)
        try:
            self.make()
        finally:
            os.umask(before)
        for directory in (self.files.directory, os.path.dirname(self.files.directory)):
            assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in Path(self.files.directory).iterdir()
            if path.name != SPEC
        }
        assert set(modes.values()) == {0o600}
        assert set(modes) == {"control", "input", "intent.json", "keeper.log", "stderr", "stdout"}

    def test_a_directory_is_made_once(self) -> None:
        """An agent of the same session is refused, and the first one's files stay."""
        self.make()
        with pytest.raises(FileExistsError):
            self.make()
        assert self.files.spec() is not None

    def test_a_data_directory_that_is_gone_is_not_made_anew(self) -> None:
        """Nothing is in the way of who puts it back."""
        above = os.path.dirname(os.path.dirname(self.files.directory))
        self.files = AgentFiles.of(f"{above}/data/agents", "session_1")
        with pytest.raises(FileNotFoundError):
            self.make()
        assert os.listdir(above) == []

    def test_nothing_is_left_of_half_a_directory(self) -> None:
        """If something cannot be made, what was made goes."""

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(files_module.json, "dump", refuse)
        with pytest.raises(OSError, match="No space"):
            self.make()
        assert not self.files.exist

    def test_a_path_of_other_bytes_is_kept(self) -> None:
        """A working directory need not be UTF-8."""
        path = os.fsdecode(b"/tmp/\xff\xfe")
        self.files.make(plan("/bin/true", cwd=path), "secret", "boot", 1)
        spec = self.files.spec()
        assert spec is not None
        assert spec.cwd == path

    def test_what_is_not_there_is_none(self) -> None:
        """Before the keeper has written, there is nothing to read."""
        assert self.files.spec() is self.files.started() is self.files.end() is None
        assert self.files.complaint() == ""
        self.make()
        assert self.files.started() is self.files.end() is None

    def test_what_is_damaged_is_none(self) -> None:
        """A file that was torn by a loss of power says nothing, and breaks nothing."""
        self.make()
        for content in (b"", b"{", b"\0\0\0\0", b"\xff", b"[]", b'{"pid": 1}', b'{"code": "x"}'):
            for name, read in (
                (SPEC, self.files.spec),
                (STARTED, self.files.started),
                (ENDED, self.files.end),
            ):
                Path(self.files.path(name)).write_bytes(content)
                assert read() is None

    def test_what_has_no_end_or_no_bottom_is_none(self) -> None:
        """An agent may have put anything in the place of these files: no start ends with it."""
        self.files.make(plan(), "cookie", "boot", 1.0)
        for name in (SPEC, STARTED, ENDED):
            Path(self.files.path(name)).unlink(missing_ok=True)
            os.symlink("/dev/zero", self.files.path(name))
        assert self.files.spec() is self.files.started() is self.files.end() is None
        for name in (SPEC, STARTED, ENDED):
            os.unlink(self.files.path(name))
            Path(self.files.path(name)).write_text("[" * 100_000)
        assert self.files.spec() is self.files.started() is self.files.end() is None
        os.unlink(self.files.path(LOG))
        os.symlink("/dev/zero", self.files.path(LOG))
        assert len(self.files.complaint()) <= 4096

    def test_an_end_can_be_told_whatever_stands_there(self) -> None:
        """What is no text, or has no measure, would keep the end of a session from being told."""
        self.files.make(plan(), "cookie", "boot", 1.0)
        path = Path(self.files.path(ENDED))
        path.write_text(json.dumps({"code": 1, "signal": None, "problem": "x\udcff" * 100_000}))
        end = self.files.end()
        assert end is not None
        assert end.problem is not None
        assert end.problem[:2] == "x?"
        assert len(end.problem.encode()) <= 4096

    def test_a_pipe_with_nothing_in_it_is_none(self) -> None:
        """One that somebody holds open, and writes nothing into, is waited for by nobody."""
        self.files.make(plan(), "cookie", "boot", 1.0)
        path = self.files.path(SPEC)
        os.unlink(path)
        os.mkfifo(path)
        holder = os.open(path, os.O_RDWR)
        try:
            assert self.files.spec() is None
        finally:
            os.close(holder)

    def test_a_pipe_holds_up_nobody(self) -> None:
        """What became a pipe, into which nobody writes, is as good as damaged."""
        self.make()
        for name in ("stdout", INPUT, LOG, SPEC, ENDED):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.files.path(name))
            os.mkfifo(self.files.path(name))
        assert (self.files.spec(), self.files.end()) == (None, None)
        assert self.files.complaint() == ""
        with pytest.raises(StorageFailed):
            InputFile(self.files.directory).add(b"x")
        output = RawOutput(self.files, "stdout", nobody)
        with pytest.raises(StorageFailed):
            output.read(0, 1)
        output.close()

    def test_an_end_can_be_written_and_read(self) -> None:
        """What is written in the keeper's place is read like the keeper's."""
        self.make()
        for end in (AgentEnd(3, None), AgentEnd(None, 9), AgentEnd(None, None, "lost “it”")):
            self.files.write_end(end)
            assert self.files.end() == end
        assert json.loads(Path(self.files.path(ENDED)).read_bytes()) == attrs.asdict(end)
        assert not os.path.exists(self.files.path(f"{ENDED}.tmp"))

    def test_the_lock_has_one_holder(self) -> None:
        """While one has the lock no other gets it."""
        self.make()
        lock = self.files.lock()
        assert lock is not None
        assert self.files.lock() is None
        os.close(lock)
        again = self.files.lock()
        assert again is not None
        os.close(again)

    def test_orders_wait_for_the_keeper(self) -> None:
        """An order that is given before anybody listens is not lost, and blocks nobody."""
        self.make()
        control, keeper = self.files.open_control(), self.files.open_control()
        os.write(control, b"pause\n")
        assert os.read(keeper, 100) == b"pause\n"
        os.close(control)
        os.close(keeper)

    def test_the_last_complaint_is_found(self) -> None:
        """Of what the keeper complained about, the last line tells most."""
        self.make()
        Path(self.files.path(LOG)).write_text("Traceback\n  in a file\nOSError: full\n\n")
        assert self.files.complaint() == "OSError: full"

    def test_removing_may_be_repeated(self) -> None:
        """All is removed, and removing nothing is no error."""
        self.make()
        self.files.remove()
        self.files.remove()
        assert not self.files.exist


@pytest.mark.parametrize(
    ("number", "is_told"),
    [
        (errno.EMFILE, True),
        (errno.ENFILE, True),
        (errno.EIO, True),
        (errno.EACCES, True),
        (errno.ENOENT, False),
        (errno.ELOOP, False),
        (errno.ENXIO, False),
    ],
)
def test_what_cannot_be_read_now_is_not_taken_for_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_told: bool
) -> None:
    """Whoever has no descriptor left must not believe that an agent never was, or has not ended."""

    def refuse(path: str, _: int) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(files_module, "open_at_once", refuse)
    files = AgentFiles.of(str(tmp_path), "session_1")
    for read in (files.spec, files.started, files.end):
        told = pytest.raises(OSError, match=os.strerror(number))
        with told if is_told else contextlib.nullcontext():
            assert read() is None


def test_an_identity_is_of_one_process_only() -> None:
    """A process with our number that started at another time is not us."""
    ours = stat_of(os.getpid())
    assert ours is not None
    assert ProcessIdentity(pid=ours.pid, start_ticks=ours.start_ticks).is_there
    assert not ProcessIdentity(pid=ours.pid, start_ticks=ours.start_ticks - 1).is_there
    assert not ProcessIdentity(pid=2**22 + 1, start_ticks=ours.start_ticks).is_there


def test_a_note_takes_its_room_before_it_is_written() -> None:
    """Its space is on the disk from the beginning, and it has its name only when it is whole."""
    with tempfile.TemporaryDirectory() as directory:
        note = Note(directory, "note.json")
        draft = Path(directory, "note.json.tmp")
        assert draft.stat().st_size == 4096
        assert draft.stat().st_blocks > 0
        assert not Path(directory, "note.json").exists()
        note.write({"text": "ä\udcff"}, durable=True)
        assert json.loads(Path(directory, "note.json").read_bytes()) == {"text": "ä\udcff"}
        assert not draft.exists()
