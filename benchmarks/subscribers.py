"""The subscribers of the load programs, as the measurements use them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Final, Self

import msgspec

from benchmarks.trouble import Trouble
from benchmarks.workshop import Workshop

_GRACE_SECONDS: Final = 30


class Connected(msgspec.Struct, frozen=True):
    """All subscribers have the beginning of their answers, so many seconds after the first."""

    connected: int
    seconds: float


class Received(msgspec.Struct, frozen=True):
    """
    What subscribers received; see ``load/subscribers.c``.

    :ivar wanted: Events, over all subscribers.
    :ivar least: Events of the one that got least.
    :ivar closed: Connections that the server closed.
    :ivar seconds: From the moment that the first line was printed to the last receipt.
    :ivar seconds_since_request: From the first request to the last receipt.
    :ivar cpu_seconds: What the load program used, while it was ``wall_seconds`` at work.
    """

    wanted: int
    delivered: int
    least: int
    gaps: int
    disorder: int
    closed: int
    bytes: int
    seconds: float
    seconds_since_request: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    cpu_seconds: float
    wall_seconds: float

    def flaw(self) -> str | None:
        """What is not exact: every event once and in order, or None."""
        if self.delivered == self.wanted and not (self.gaps or self.disorder or self.closed):
            return None
        return (
            f"{self.delivered} of {self.wanted} events came ({self.least} to the last of them), "
            f"{self.gaps} were passed over, {self.disorder} came twice or late, "
            f"{self.closed} connections were closed"
        )


class Subscribers:
    """
    Subscribers that are connected, until the block ends.

    :param targets: What they ask for, in turn.
    :param events: How many events each is to get; with 0 they only stay.
    :param seconds: How long they wait for them, once all are connected.
    :param stuck: So many more ask and never read.
    """

    def __init__(
        self,
        workshop: Workshop,
        port: int,
        targets: Sequence[str],
        count: int,
        *,
        events: int = 0,
        seconds: float = 0,
        stuck: int = 0,
    ) -> None:
        self._seconds = seconds
        self._targets = _file_of(targets, workshop.directory)
        options = {
            "port": port,
            "targets": self._targets,
            "subscribers": count,
            "events": events,
            "seconds": self._seconds,
            "stuck": stuck,
        }
        self._process = subprocess.Popen(
            [
                str(workshop.program("subscribers")),
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._count = count

    def __enter__(self) -> Self:
        try:
            assert self._process.stdout is not None  # noqa: S101 - asked for
            self._check(self._process.stdout.readline())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def received(self) -> Received:
        """
        Wait for what they receive.

        :raises Trouble: if they do not get all, or something twice or late.
        """
        try:
            output, errors = self._process.communicate(timeout=self._seconds + _GRACE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise Trouble("the subscribers do not end") from error
        try:
            received = msgspec.json.decode(output, type=Received)
        except msgspec.MsgspecError as error:
            raise Trouble(f"the subscribers failed: {errors.decode().strip()}") from error
        flaw = received.flaw()
        if flaw is not None:
            raise Trouble(flaw)
        return received

    def _check(self, line: bytes) -> None:
        try:
            connected = msgspec.json.decode(line, type=Connected)
        except msgspec.MsgspecError as error:
            assert self._process.stderr is not None  # noqa: S101 - asked for
            reason = self._process.stderr.read().decode().strip()
            raise Trouble(f"the subscribers failed: {reason}") from error
        if connected.connected < self._count:
            raise Trouble(f"only {connected.connected} of {self._count} subscribers got an answer")

    def _end(self) -> None:
        with self._process:
            self._process.kill()
        os.unlink(self._targets)


def _file_of(targets: Sequence[str], directory: Path) -> str:
    with NamedTemporaryFile("w", dir=directory, prefix="targets-", delete=False) as file:
        file.write("\n".join(targets) + "\n")
        return file.name
