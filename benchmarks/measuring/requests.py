"""Short requests over connections that stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from benchmarks.contestants.interface import Contestant
from benchmarks.measuring.serving import serving
from benchmarks.trouble import Trouble
from benchmarks.works import Requests
from benchmarks.workshop import Workshop, run_to_end

_GRACE_SECONDS: Final = 30


class Answered(msgspec.Struct, frozen=True):
    """What the clients got; see ``load/requests.c``."""

    answers: int
    failures: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    wall_seconds: float


def measure_requests(
    contestant: Contestant, work: Requests, workshop: Workshop
) -> Mapping[str, float]:
    """Measure how many answers all connections get together."""
    with serving(contestant, workshop) as server:
        numbers = (str(server.port), contestant.live, str(work.connections), str(work.seconds))
        argv = [str(workshop.program("requests")), *numbers]
        output = run_to_end(argv, work.seconds + _GRACE_SECONDS, "the requests failed")
    answered = msgspec.json.decode(output, type=Answered)
    if answered.failures:
        raise Trouble(f"{answered.failures} of {answered.answers} answers were not 200")
    return {
        "answers": answered.answers / answered.seconds,
        "p50_ms": answered.p50_ms,
        "p99_ms": answered.p99_ms,
        "generator": 100 * answered.cpu_seconds / answered.wall_seconds,
    }
