"""Tests of which file systems others may write to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loki_twisted.state import mounts
from loki_twisted.state.mounts import file_system_type, shared_file_system

MOUNTINFO = """\
22 28 0:20 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
28 0 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 28 0:41 / /home/a\\040b rw shared:7 master:3 - nfs4 server:/home rw,vers=4.2
41 28 0:42 / /mnt/ssh rw - fuse.sshfs me@host: rw
a line that is none
"""


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (os.makedev(254, 1), "ext4"),
        (os.makedev(0, 41), "nfs4"),
        (os.makedev(0, 42), "fuse.sshfs"),
        (os.makedev(9, 9), None),
    ],
)
def test_the_type_is_found_by_the_device(device: int, expected: str | None) -> None:
    """The kernel's list of mounts says of which type a device's file system is."""
    assert file_system_type(MOUNTINFO, device) == expected


def mounted(monkeypatch: pytest.MonkeyPatch, path: Path, kind: str) -> None:
    """Let the file system of a directory be of a type."""
    device = os.stat(path).st_dev
    line = f"1 0 {os.major(device)}:{os.minor(device)} / / rw - {kind} source rw\n"
    listing = path / "mountinfo"
    listing.write_text(line)
    monkeypatch.setattr(mounts, "_MOUNTS", str(listing))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ext4", None),
        ("tmpfs", None),
        ("overlay", None),
        ("fuseblk", None),
        ("nfs", "nfs"),
        ("9p", "9p"),
        ("fuse.sshfs", "fuse.sshfs"),
    ],
)
def test_shared_file_systems_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, expected: str | None
) -> None:
    """What other machines may write to is known by its type, also of what is not there yet."""
    mounted(monkeypatch, tmp_path, kind)
    assert shared_file_system(str(tmp_path)) == expected
    assert shared_file_system(str(tmp_path / "not/yet")) == expected


def test_without_a_list_nothing_is_shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the system does not say what is mounted, nothing is taken for shared."""
    monkeypatch.setattr(mounts, "_MOUNTS", str(tmp_path / "none"))
    assert shared_file_system(str(tmp_path)) is None
