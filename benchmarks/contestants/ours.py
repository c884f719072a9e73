"""
Ours: ``loki serve`` as a process of its own, with its log.

The agent is started through the API, as a project's ``autonomy/run.sh``. Its numbers stand in the
script: agents are given no variables of ours.
"""

from __future__ import annotations

import http.client
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.contestants.served import Served
from benchmarks.launching import free_port, launch, request
from benchmarks.trouble import Trouble
from benchmarks.works import Lines
from benchmarks.workshop import CHECKOUT, Workshop

_BACKLOG: Final = 2_000
_CREATED: Final = 201
_OTHER_TYPES: Final = (
    "task:created",
    "task:started",
    "task:progress",
    "task:completed",
    "task:failed",
    "agent:output",
    "agent:failed",
    "log:debug",
    "log:warn",
    "metrics:update",
    "input:requested",
)
"""What the agent never says: a filter may want it, and gets no event more."""


def filters(count: int) -> list[str]:
    """
    Make so many different filters that all want the agent's lines and get nothing else.

    :raises ValueError: if there are not as many.
    """
    if count > 1 << len(_OTHER_TYPES):
        msg = f"there are no {count} filters"
        raise ValueError(msg)
    return [
        ",".join(["log:info", *(name for bit, name in enumerate(_OTHER_TYPES) if n >> bit & 1)])
        for n in range(count)
    ]


@attrs.frozen
class Ours:
    """See above."""

    title: str = "ours"
    live: str = "/health/live"
    everything: str = "/api/events?types=log:info&lastEventId=earliest"

    def streams(self, filters_: int) -> Sequence[str]:
        """See :class:`Contestant`."""
        return [f"/api/events?types={types}" for types in filters(filters_)]

    def missing(self) -> str | None:
        """It lies beside us."""
        return None

    def versions(self) -> Mapping[str, str]:
        """Its packages say theirs."""
        return {}

    def start(self, workshop: Workshop, *, loaded: int = 0) -> OurServer:
        """See :class:`Contestant`."""
        place = workshop.place("ours")
        home = workshop.filled(loaded) if loaded else place
        port = free_port()
        listen = f"tcp:{port}:interface=127.0.0.1:backlog={_BACKLOG}"
        process = launch(
            [sys.executable, "-m", "loki_twisted", "serve", "--listen", listen],
            port=port,
            ready="/health/ready",
            place=place,
            LOKI_DIR=str(home),
            PYTHONPATH=str(CHECKOUT),
        )
        return OurServer(process, home, workshop.program("agent"))


@attrs.define
class OurServer(Served):
    """
    Ours that runs.

    :ivar home: Its LOKI_DIR.
    :ivar agent: The program that prints.
    """

    home: Path
    agent: Path
    _session: str | None = None

    def feed(self, lines: Lines) -> None:
        """Start a session whose agent prints the lines."""
        script = self.home / "autonomy" / "run.sh"
        script.parent.mkdir(exist_ok=True)
        argv = [str(self.agent), str(lines.count), str(lines.per_second), str(lines.padding)]
        script.write_text(f"#!/bin/sh\nexec {shlex.join(argv)}\n", encoding="utf-8")
        script.chmod(0o755)
        status, body = request(self.port, "POST", "/api/sessions", b"{}")
        if status != _CREATED:
            raise Trouble(f"no session was started: {body.decode()}")
        self._session = json.loads(body)["sessionId"]

    def stop(self) -> None:
        """Stop the agent, if it is still there, and then the server."""
        try:
            if self._session is not None:
                request(self.port, "POST", f"/api/sessions/{self._session}/stop")
        except (OSError, http.client.HTTPException):
            pass  # the server is gone, and says why in its output
        finally:
            self.process.stop()
