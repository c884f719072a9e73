"""Where the bridge speaks: one JSON object on each line of standard output."""

from __future__ import annotations

import json
import threading
from typing import Any

from ..voice import write_all


class Mouth:
    """
    Writes lines, each as a whole, whichever thread says them.

    :param file: A descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._is_closed = False

    def say(self, word: str, **fields: Any) -> None:
        """Say something of our own."""
        self._write(json.dumps({"loki.bridge": word, **fields}))

    def pass_on(self, event: str) -> None:
        """
        Say an event of opencode.

        :param event: JSON without line ends.
        """
        self._write(f'{{"loki.bridge":"event","event":{event}}}')

    def say_last(self, word: str, **fields: Any) -> None:
        """Say something, and nothing after it."""
        with self._lock:
            self._put(json.dumps({"loki.bridge": word, **fields}))
            self._is_closed = True

    def _write(self, line: str) -> None:
        with self._lock:
            if not self._is_closed:
                self._put(line)

    def _put(self, line: str) -> None:
        write_all(self._file, line.encode("utf-8", "replace") + b"\n")
