"""A whole run: every row and every point of a sweep, by every contestant in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

from benchmarks.contestants.interface import Contestant
from benchmarks.machine import machine
from benchmarks.measuring import measure
from benchmarks.options import Options
from benchmarks.report import Measurement, Report
from benchmarks.rows import BARE, GENERATOR_ROWS, ROWS, Row, work_text
from benchmarks.scales import Scale
from benchmarks.sweeps import SWEEPS, Sweep
from benchmarks.trouble import Trouble
from benchmarks.works import Work
from benchmarks.workshop import Workshop

Item = TypeVar("Item")

Tell = Callable[[str], None]
"""Shows a line to whoever waits."""


@attrs.frozen(slots=True)
class Step:
    """
    One thing to measure.

    :ivar works: What is done; the figures of all are put together.
    :ivar at: The number that the sweep changes; None in a row.
    """

    row: str
    works: tuple[Work, ...]
    contestant: str
    repetition: int
    at: int | None = None


def steps_of(options: Options, contestants: Sequence[str]) -> Iterator[Step]:
    """
    Say what is to be measured, in order.

    The contestants alternate, and each repetition begins with another one: what changes on the
    machine in the meantime meets all of them.
    """
    rows = [ROWS[key] for key in options.rows]
    if BARE in contestants:
        rows = [*GENERATOR_ROWS.values(), *rows]
    for row in rows:
        yield from _steps_of_row(row, options, contestants)
    for key in options.sweeps:
        yield from _steps_of_sweep(SWEEPS[key], options, contestants)


def _steps_of_row(row: Row, options: Options, contestants: Sequence[str]) -> Iterator[Step]:
    able = [key for key in contestants if key in row.contestants]
    work = options.scale.apply(row.work)
    for repetition in range(options.repeat):
        for key in turned(able, repetition):
            yield Step(row.key, (work,), key, repetition)


def _steps_of_sweep(sweep: Sweep, options: Options, contestants: Sequence[str]) -> Iterator[Step]:
    able = [key for key in contestants if key in sweep.contestants]
    for repetition in range(options.repeat):
        for at, works in points_of(sweep, options.scale).items():
            for key in turned(able, repetition):
                yield Step(sweep.key, works, key, repetition, at)


def points_of(sweep: Sweep, scale: Scale) -> Mapping[int, tuple[Work, ...]]:
    """The points of a sweep. Where a smaller scale makes two of them the same, the first stands."""
    points: dict[tuple[Work, ...], int] = {}
    for at, works in sweep.works.items():
        points.setdefault(tuple(scale.apply(work) for work in works), at)
    return {at: works for works, at in points.items()}


def turned(items: Sequence[Item], by: int) -> Sequence[Item]:
    """Begin with another item: the first, the second and so on, and the first again."""
    if not items:
        return items
    start = by % len(items)
    return [*items[start:], *items[:start]]


def run(
    options: Options, contestants: Mapping[str, Contestant], directory: Path, tell: Tell
) -> Report:
    """
    Measure all that is wanted.

    :param contestants: All there are, by key.
    :param directory: Empty; for the files of the run.
    :raises Trouble: if nothing can be measured at all.
    """
    workshop = Workshop(directory)
    workshop.compile()
    missing = {key: contestants[key].missing() for key in options.contestants}
    left_out = {key: reason for key, reason in missing.items() if reason is not None}
    for key, reason in left_out.items():
        tell(f"{contestants[key].title}: left out, {reason}")
    able = [key for key in options.contestants if key not in left_out]
    steps = list(steps_of(options, able))
    measurements = []
    for number, step in enumerate(steps, 1):
        measurements.append(_measured(step, contestants[step.contestant], workshop))
        tell(f"[{number}/{len(steps)}] {told(measurements[-1])}")
    versions = {name: text for key in able for name, text in contestants[key].versions().items()}
    return Report(
        machine=machine(directory, versions),
        scale=options.scale.name,
        repeat=options.repeat,
        left_out=left_out,
        measurements=measurements,
    )


def _measured(step: Step, contestant: Contestant, workshop: Workshop) -> Measurement:
    figures: dict[str, float] = {}
    trouble = None
    try:
        for work in step.works:
            figures |= measure(contestant, work, workshop)
    except Trouble as error:
        figures, trouble = {}, " ".join(str(error).split())
    return Measurement(
        row=step.row,
        contestant=step.contestant,
        repetition=step.repetition,
        work=work_text(step.works[-1]),
        figures=figures,
        trouble=trouble,
        at=step.at,
    )


def told(measurement: Measurement) -> str:
    """Say in one line what a measurement gave."""
    name = f"{measurement.row} ({measurement.work}), {measurement.contestant}: "
    if measurement.trouble is not None:
        return f"{name}no figures: {measurement.trouble}"
    return name + ", ".join(f"{key} {value:.6g}" for key, value in measurement.figures.items())
