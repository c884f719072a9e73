"""A disk of a few megabytes that can be filled, for a server: a tmpfs that nobody else sees."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.system import Server, end_agents_of

MIB = 1024 * 1024
_BLOCK = 4096


class SmallDisk:
    """
    A disk that is a directory, in a mount namespace of its own.

    :ivar home: The directory, as it is called by who is started by ``within``.
    :ivar within: A command that becomes the one that is given to it, where the disk is.
    :ivar seen: The same directory, as it is reached from here.
    """

    def __init__(self, home: Path, size: int = 8 * MIB) -> None:
        """Make it of an empty directory."""
        unshare, nsenter = shutil.which("unshare"), shutil.which("nsenter")
        if unshare is None or nsenter is None:
            pytest.skip("unshare and nsenter are not installed")
        script = f'mount -t tmpfs -o size={size} none "$1" && echo made && exec cat'
        self._holder = subprocess.Popen(
            [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"made\n":
            self._end()
            pytest.skip("no user namespace can be made here")
        target = str(self._holder.pid)
        self.home = home
        self.seen = Path(f"/proc/{target}/root{home}")
        enter = [nsenter, "--preserve-credentials", "--user", "--mount", "--target", target]
        self.within = [*enter, "sh", "-c", f"cd '{home}' && exec \"$@\"", "sh"]
        self._ballast = self.seen / "ballast"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, where: TracebackType | None
    ) -> None:
        end_agents_of(self.seen)
        self._end()

    def _end(self) -> None:
        self._holder.send_signal(signal.SIGKILL)
        self._holder.communicate()

    def serve(self, *options: str, **variables: str) -> Server:
        """Start a server on it."""
        return Server(self.home, *options, within=self.within, **variables)

    @property
    def free_bytes(self) -> int:
        """How much room there is."""
        status = os.statvfs(self.seen)
        return status.f_bavail * status.f_frsize

    def fill(self) -> None:
        """Leave no byte free."""
        file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            while True:
                os.write(file, bytes(_BLOCK))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(file)

    def free(self) -> None:
        """Take away what it was filled with."""
        self._ballast.unlink()
