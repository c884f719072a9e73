"""sse-starlette on uvicorn with uvloop: what one would write in Python today, without a log."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs

from benchmarks.contestants.served import Served
from benchmarks.launching import free_port, launch, request
from benchmarks.trouble import Trouble
from benchmarks.works import Lines
from benchmarks.workshop import CHECKOUT, Workshop

_PACKAGES: Final = ("uvicorn", "uvloop", "httptools", "sse_starlette")
_BACKLOG: Final = 4_000
_OK: Final = 200


@attrs.frozen
class Starlette:
    """See above."""

    title: str = "sse-starlette"
    live: str = "/health/live"
    everything: str = "/events"

    def streams(self, filters: int) -> Sequence[str]:  # noqa: ARG002 - it has none
        """See :class:`Contestant`."""
        return ["/events"]

    def missing(self) -> str | None:
        """See :class:`Contestant`."""
        absent = [name for name in _PACKAGES if find_spec(name) is None]
        return f"not installed: {', '.join(absent)}" if absent else None

    def versions(self) -> Mapping[str, str]:
        """Its packages say theirs."""
        return {}

    def start(self, workshop: Workshop, *, loaded: int = 0) -> StarletteServer:  # noqa: ARG002 - it keeps nothing
        """See :class:`Contestant`."""
        place = workshop.place("starlette")
        port = free_port()
        options = {
            "port": port,
            "backlog": _BACKLOG,
            "loop": "uvloop",
            "http": "httptools",
            "log-level": "warning",
        }
        process = launch(
            [
                *(sys.executable, "-m", "uvicorn", "benchmarks.contestants.starlette_app:app"),
                *(f"--{name}={value}" for name, value in options.items()),
                "--no-access-log",
            ],
            port=port,
            ready="/health/live",
            place=place,
            PYTHONPATH=str(CHECKOUT),
        )
        return StarletteServer(process, workshop.program("agent"))


@attrs.define
class StarletteServer(Served):
    """
    The app that runs.

    :ivar agent: The program that prints.
    """

    agent: Path

    def feed(self, lines: Lines) -> None:
        """Have the app start the agent."""
        argv = [str(self.agent), str(lines.count), str(lines.per_second), str(lines.padding)]
        status, body = request(self.port, "POST", "/start", json.dumps(argv).encode())
        if status != _OK:
            raise Trouble(f"no agent was started: {body.decode()}")
