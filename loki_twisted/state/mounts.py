"""Which file systems tell inotify nothing of what other machines write."""

from __future__ import annotations

import os
from typing import Final

_SHARED: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre"),
        *("gfs2", "ocfs2", "9p", "virtiofs", "vboxsf", "prl_fs", "fuse"),
    }
)
"""Types of file systems that others may write without this kernel."""

_MOUNTS: Final = "/proc/self/mountinfo"


def file_system_type(mountinfo: str, device: int) -> str | None:
    """
    Find the type of a mounted file system.

    :param mountinfo: What ``/proc/self/mountinfo`` says.
    :param device: Its device number, as ``os.stat`` gives it.
    :returns: For example ``ext4``; None if it is not listed.
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
        mount, _, source = line.partition(" - ")
        if mount.split()[2:3] == [wanted] and source:
            return source.split()[0]
    return None


def shared_file_system(path: str) -> str | None:
    """
    Say whether other machines may change a directory without this kernel's knowledge.

    :param path: Absolute. If it does not exist, the nearest directory above it counts.
    :returns: The type of its file system if so; None if not, or if nobody can tell.
    """
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        device = os.stat(path).st_dev
        with open(_MOUNTS, encoding="utf-8", errors="replace") as mounts:
            found = file_system_type(mounts.read(), device)
    except OSError:
        return None
    return found if found is not None and found.partition(".")[0] in _SHARED else None
