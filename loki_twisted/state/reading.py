"""One trip to the disk: some files and logs are read in a thread, never too much at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from loki_twisted.state.files import Reading, read_state
from loki_twisted.state.held import HeldLogs
from loki_twisted.state.layout import ILayout
from loki_twisted.state.logs import READ_SIZE, LogOrder, LogReading, read_log

ENOUGH: Final = 256 * 1024
"""With this many bytes of state files a trip ends: what it found is told in one go."""


@attrs.frozen(slots=True)
class Errand:
    """
    What to read.

    :ivar root: Absolute path of the state directory.
    :ivar files: Relative paths, in the order in which to read them.
    """

    root: str
    files: Sequence[str]
    logs: Sequence[LogOrder]


@attrs.frozen(slots=True)
class Harvest:
    """What was read; the rest was too much for one trip."""

    files: Sequence[Reading]
    logs: Sequence[LogReading]


def run_errand(errand: Errand, layout: ILayout, held: HeldLogs) -> Harvest:
    """Read what is asked for, in order, until it is enough. Blocks."""
    files: list[Reading] = []
    size = 0
    for path in errand.files:
        if size >= ENOUGH:
            break
        files.append(read_state(errand.root, path, layout))
        size += files[-1].size
    logs: list[LogReading] = []
    left = READ_SIZE
    for order in errand.logs:
        if left <= 0:
            break
        logs.append(read_log(errand.root, order, held, left))
        left -= logs[-1].size
    return Harvest(files, logs)
