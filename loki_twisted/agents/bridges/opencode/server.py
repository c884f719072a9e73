"""The process of ``opencode serve``."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..program import own_environment
from ..voice import write_all
from .client import USER

_GRACE_SECONDS = 5.0
_CHUNK = 64 * 1024
_LONGEST_LINE = 4096
_LISTENING = re.compile(rb"listening.*?https?://127\.0\.0\.1:(\d+)")


class Server:
    """
    Starts opencode as a server, and says what becomes of it.

    It chooses its port itself and says which: so nobody else can have taken it.

    :param argv: The program and further arguments.
    :param note: Called from a thread with ``listening`` and the port, once, and with ``died`` and
        the exit code, negative for a signal.
    :ivar password: What its requests need.
    :raises OSError: if it cannot be started.
    """

    def __init__(self, argv: Sequence[str], note: Callable[[str, Any], None]) -> None:
        self.password = secrets.token_urlsafe(32)
        self._note = note
        self._process = subprocess.Popen(
            [argv[0], "serve", "--hostname=127.0.0.1", "--port=0", *argv[1:]],
            env={
                **own_environment(),
                b"OPENCODE_SERVER_USERNAME": USER.encode(),
                b"OPENCODE_SERVER_PASSWORD": self.password.encode(),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            process_group=0,  # What is installed may be a script that starts opencode.
        )
        self.has_ended = threading.Event()
        threading.Thread(target=self._forward, daemon=True).start()
        threading.Thread(target=self._wait, daemon=True).start()

    def end(self) -> None:
        """End it and what it is made of: SIGTERM, after a grace SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.has_ended.is_set():
                return
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            self.has_ended.wait(_GRACE_SECONDS)

    def _wait(self) -> None:
        code = self._process.wait()
        self.has_ended.set()
        self._note("died", code)

    def _forward(self) -> None:
        """Pass on what it prints, unchanged, and find the port in it."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 -- it is a pipe, as asked for above
        line = b""
        is_known = False
        while data := os.read(stdout.fileno(), _CHUNK):
            write_all(2, data)
            if not is_known:
                *lines, line = (line + data).split(b"\n")
                found = next(filter(None, map(_LISTENING.search, lines)), None)
                line = line[:_LONGEST_LINE]
                if found is not None:
                    is_known = True
                    self._note("listening", int(found[1]))
