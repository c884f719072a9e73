"""One server after another on the same directory, and an agent that outlives them all."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.history import Told, history
from tests.system import TIMEOUT, Server
from tests.test_system_sessions import HERE, install_runner

TELLING = HERE / "standins" / "telling.py"


class Succession:
    """
    The servers, and one session whose agent does what it is ordered (``standins/telling.py``).

    :param heed: Called with the port whenever a server begins to serve, and with None
        before one ends.
    :ivar server: The one that runs.
    :ivar session_id: The session's.
    """

    def __init__(self, home: Path, heed: Callable[[int | None], object] = lambda _: None) -> None:
        home.mkdir(exist_ok=True)
        install_runner(home, f"exec '{sys.executable}' '{TELLING}'")
        self._home = home
        self._heed = heed
        self._changed = threading.Condition()
        self._port: int | None = None
        self._begin()
        self.session_id = self.server.start()
        self._agent: int = self.server.get(f"/api/sessions/{self.session_id}")["session"]["pid"]

    def _begin(self) -> None:
        self.server = Server(self._home)
        self._serve_at(self.server.port)

    def _serve_at(self, port: int | None) -> None:
        with self._changed:
            self._port = port
            self._changed.notify_all()
        self._heed(port)

    def port(self) -> int:
        """Where to connect; waits while no server runs."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._port is not None, TIMEOUT)
            assert self._port is not None
            return self._port

    def restart(self, *, crash: bool) -> None:
        """End the server as a crash or as its operator does, and start the next one."""
        self._serve_at(None)
        if crash:
            self.server.kill()
        else:
            assert self.server.stop() == 0
        self._begin()

    def order(self, words: str) -> None:
        """Tell the agent what to do."""
        self.server.post(f"/api/sessions/{self.session_id}/input", {"input": words})

    def end(self, code: int = 0) -> None:
        """End the agent, and wait until its end is told."""
        self.order(f"end {code}")
        self.server.wait_for(self.session_id, "session:failed" if code else "session:completed")

    def log(self) -> list[Told]:
        """All events there are, by the history; their numbers are consecutive."""
        told = list(history(self.server))
        assert [each.number for each in told] == list(range(1, len(told) + 1))
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._serve_at(None)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._agent, signal.SIGKILL)  # it would outlive a test that failed
        with self.server:
            pass
