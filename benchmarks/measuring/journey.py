"""The way of a line through the server, stage by stage."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

import msgspec

from benchmarks.contestants.interface import Contestant
from benchmarks.stages import Stages
from benchmarks.works import Journey
from benchmarks.workshop import Workshop, run_to_end

_SECONDS: Final = 300


def measure_journey(_: Contestant, work: Journey, workshop: Workshop) -> Mapping[str, float]:
    """Measure what each stage costs ours; see :mod:`benchmarks.stages`."""
    place = workshop.place("stages")
    numbers = (str(place), str(work.lines), str(work.batch))
    argv = [sys.executable, "-m", "benchmarks.stages", *numbers]
    output = run_to_end(argv, _SECONDS, "the stages could not be measured")
    return msgspec.structs.asdict(msgspec.json.decode(output, type=Stages))
