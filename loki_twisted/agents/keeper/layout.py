"""The directory that the server and the keeper of an agent share: the names of its files."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

LOCK = "lock"
SPEC = "spec.json"
INTENT = "intent.json"
STARTED = "pid.json"
ENDED = "exit.json"
CONTROL = "control"
INPUT = "input"
INPUT_END = "input.end"
LOG = "keeper.log"
STREAMS = ("stdout", "stderr")

COOKIE = "LOKI_KEEPER"
"""
A variable in the environment of the agent, with a value that is its own. By it the server
finds what a killed keeper has left behind.
"""

EXIT_LOCKED = 75
"""The keeper's exit code when another one works in the directory."""


class Note:
    """
    A small file that is written once, as a whole.

    Its room on the disk is taken when this is made, so that no full disk prevents it later.
    """

    _ROOM = 4096

    def __init__(self, directory: str, name: str) -> None:
        """
        Take the room.

        :raises OSError: if there is none.
        """
        self._directory = directory
        self._path = os.path.join(directory, name)
        self._draft = f"{self._path}.tmp"
        self._file = os.open(self._draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.posix_fallocate(self._file, 0, self._ROOM)

    def write(self, value: Mapping[str, Any], *, durable: bool) -> None:
        """
        Write it, then give it its name.

        :param value: Becomes a JSON object.
        :param durable: Whether it must outlive a loss of power.
        """
        data = json.dumps(value).encode("ascii")
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))
        if durable:
            os.fsync(self._file)
        os.rename(self._draft, self._path)
        if durable:
            directory = os.open(self._directory, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)
        os.close(self._file)
