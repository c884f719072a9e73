"""The data directory: made for one server, and refused to every other."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loki_twisted.log.place import LEAST_FREE_BYTES, DataDirectory, lack_of_room
from loki_twisted.model.errors import StorageExposed, StorageRefused

HOLDER = """
import sys
from loki_twisted.log.place import LEAST_FREE_BYTES, DataDirectory, lack_of_room
directory = DataDirectory(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def listing(path: Path) -> list[tuple[str, bytes, int]]:
    return sorted(
        (each.name, each.read_bytes(), each.stat().st_mtime_ns) for each in path.iterdir()
    )


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.threat("T34")
def test_only_we_may_enter(tmp_path: Path, umask: int) -> None:
    """The directory is 0700 and its lock 0600, whatever the umask is."""
    path = tmp_path / "server"

    DataDirectory(str(path)).release()

    assert mode_of(path) == 0o700
    assert mode_of(path / "lock") == 0o600


def test_parents_are_made(tmp_path: Path) -> None:
    """A directory whose parents are not there is made with them."""
    path = tmp_path / ".loki" / "server"

    DataDirectory(str(path)).release()

    assert path.is_dir()


@pytest.mark.threat("T34", "T-perm")
def test_nobody_else_may_write_into_the_parents_that_are_made(tmp_path: Path, umask: int) -> None:
    """Who could would put a directory of his own in the place of ours, whatever the umask is."""
    path = tmp_path / "one" / "two" / "server"

    DataDirectory(str(path)).release()

    for made in (path.parent, path.parent.parent):
        assert mode_of(made) & 0o022 == 0


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """In a sentence, and before anything is made there: the log could not be kept in it."""
    path = tmp_path / os.fsdecode(b"\xff")

    with pytest.raises(StorageRefused, match=r"\\udcff' cannot be used: its name is not UTF-8"):
        DataDirectory(str(path))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.promise("R25")
def test_a_second_server_is_refused(tmp_path: Path) -> None:
    """Whoever comes second is told which directory and which process, and changes nothing."""
    first = DataDirectory(str(tmp_path / "server"))
    before = listing(tmp_path / "server")

    with pytest.raises(StorageRefused) as refused:
        DataDirectory(str(tmp_path / "server"))

    expected = f"{tmp_path / 'server'} is in use by another server (pid {os.getpid()})."
    assert str(refused.value) == f"The data directory {expected}"
    assert listing(tmp_path / "server") == before
    first.release()


def test_it_can_be_handed_on(tmp_path: Path) -> None:
    """After a release, which may be repeated, the next server gets in."""
    first = DataDirectory(str(tmp_path))
    first.release()
    first.release()

    DataDirectory(str(tmp_path)).release()


@pytest.mark.promise("R14")
def test_a_killed_server_keeps_nobody_out(tmp_path: Path) -> None:
    """The lock ends with its process, however that ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StorageRefused, match=rf"\(pid {holder.pid}\)"):
            DataDirectory(str(tmp_path))
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    DataDirectory(str(tmp_path)).release()


def test_the_lock_is_not_inherited(tmp_path: Path) -> None:
    """A program that the server started does not hold the lock when the server has gone."""
    directory = DataDirectory(str(tmp_path))
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        directory.release()
        DataDirectory(str(tmp_path)).release()
        assert child.poll() is None


@pytest.mark.threat("T34", "T-perm")
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o702])
def test_a_directory_of_many_is_refused(tmp_path: Path, mode: int) -> None:
    """Where others may write nothing is kept, and nothing is left there."""
    path = tmp_path / "server"
    path.mkdir()
    path.chmod(mode)

    with pytest.raises(StorageExposed, match="chmod go-w"):
        DataDirectory(str(path))

    assert list(path.iterdir()) == []
    assert mode_of(path) == mode


def test_a_directory_that_others_may_read_is_taken(tmp_path: Path) -> None:
    """A directory that was made by hand in the usual way is good enough."""
    path = tmp_path / "server"
    path.mkdir()
    path.chmod(0o755)

    DataDirectory(str(path)).release()


@pytest.mark.threat("T34", "T-perm")
def test_a_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What belongs to somebody else is left alone."""
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)

    with pytest.raises(StorageExposed, match="belongs to user"):
        DataDirectory(str(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """A link in the place of the lock leads nowhere."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageRefused, match="cannot be used"):
        DataDirectory(str(tmp_path))

    assert not (tmp_path / "elsewhere").exists()


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    """A path that cannot be a directory is refused in a sentence."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageRefused, match="cannot be used: "):
        DataDirectory(str(tmp_path / "file" / "server"))


def test_a_place_that_somebody_takes_away(tmp_path: Path) -> None:
    """Whether the lock is still the one that we hold can be asked at any time."""
    directory = DataDirectory(str(tmp_path / "server"))
    assert directory.is_intact()

    (tmp_path / "server").rename(tmp_path / "aside")
    assert not directory.is_intact()
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "lock").touch()
    assert not directory.is_intact()

    directory.release()
    assert not directory.is_intact()


def test_what_is_missing_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing new is begun with too few bytes or files free; what cannot be told is no lack."""

    def disk(bytes_free: int, files_free: int, files: int = 1000) -> os.statvfs_result:
        blocks = bytes_free // 4096
        return os.statvfs_result((4096, 4096, 9999, blocks, blocks, files, 0, files_free, 0, 255))

    def lack(found: os.statvfs_result) -> str | None:
        monkeypatch.setattr(os, "statvfs", lambda _: found)
        return lack_of_room(str(tmp_path))

    assert lack(disk(LEAST_FREE_BYTES, 1000)) is None
    assert "no room left" in str(lack(disk(LEAST_FREE_BYTES - 1, 1000)))
    assert "No more files" in str(lack(disk(LEAST_FREE_BYTES, 3)))
    assert lack(disk(LEAST_FREE_BYTES, 0, files=0)) is None
    monkeypatch.undo()
    assert lack_of_room(str(tmp_path / "nowhere")) is None


def test_a_disk_that_takes_nothing_holds_nobody(tmp_path: Path) -> None:
    """A directory is left without a word to its disk, and the next one can have it."""
    path = tmp_path / "server"
    directory = DataDirectory(str(path))
    before = listing(path)

    directory.release()

    assert listing(path) == before
    DataDirectory(str(path)).release()
