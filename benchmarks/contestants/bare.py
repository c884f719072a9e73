"""A bare sender of the same bytes, in C: what the machine can do at all."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

import attrs

from benchmarks.trouble import Trouble
from benchmarks.works import Lines
from benchmarks.workshop import Workshop


@attrs.frozen
class Bare:
    """See above."""

    title: str = "bare sender"
    live: str = "/health/live"
    everything: str = "/events"

    def streams(self, filters: int) -> Sequence[str]:  # noqa: ARG002 - it has none
        """See :class:`Contestant`."""
        return ["/events"]

    def missing(self) -> str | None:
        """It lies beside us."""
        return None

    def versions(self) -> Mapping[str, str]:
        """It has none."""
        return {}

    def start(self, workshop: Workshop, *, loaded: int = 0) -> BareServer:  # noqa: ARG002 - it keeps nothing
        """See :class:`Contestant`."""
        process = subprocess.Popen(
            [str(workshop.program("sender"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None  # noqa: S101 - asked for
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise Trouble("the bare sender did not start")
        return BareServer(process, int(line))


@attrs.define
class BareServer:
    """The sender that runs."""

    process: subprocess.Popen[bytes]
    port: int
    ready_seconds: float = 0.0

    @property
    def pids(self) -> Sequence[int]:
        """See :class:`Server`."""
        return [self.process.pid]

    def feed(self, lines: Lines) -> None:
        """Have it send the lines."""
        assert self.process.stdin is not None  # noqa: S101 - asked for
        self.process.stdin.write(b"%d %f %d\n" % (lines.count, lines.per_second, lines.padding))
        self.process.stdin.flush()

    def replay(self, events: int) -> None:
        """Have it send so many."""
        self.feed(Lines(events))

    def settle(self) -> None:
        """All that can go wrong is seen by the subscribers."""

    def stop(self) -> None:
        """See :class:`Server`."""
        with self.process:
            self.process.kill()
