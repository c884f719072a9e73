"""What is known of very many files is not gone through again and again."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping
from typing import cast

import pytest

from loki_twisted.state.backlog import Portion
from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.entries import Entry
from loki_twisted.state.held import HeldLogs, Position, position_as_text
from loki_twisted.state.logs import LogReading
from loki_twisted.state.memory import Memory
from loki_twisted.state.trails import Trails
from loki_twisted.state.tree import TreeWatcher
from loki_twisted.state.waits import Waits

NAMES = CursorNames("/nowhere")


class Counted(str):
    """
    A path that counts how often one is compared with another.

    :cvar count: How often.
    """

    __slots__ = ()
    count = 0

    def __eq__(self, other: object) -> bool:
        Counted.count += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def compared(others: int) -> int:
    """How many paths are compared while ten logs are told, and others wait."""
    paths = [Counted(f"{number}.log") for number in range(others)]
    waits = Waits()
    waits.add(Portion(logs=["x.log"]), Portion(logs=paths), lambda _: 100, is_new=False)
    Counted.count = 0
    for number in range(10):
        log = LogReading(f"new{number}.log", (), Position(1, 1, 100, "", ""))
        waits.taken(Portion(logs=[log.path]), [log], is_new=False)
    again = LogReading("0.log", (), Position(1, 1, 100, "", ""))
    waits.taken(Portion(logs=[again.path]), [again], is_new=False)
    return Counted.count


@pytest.mark.promise("R27")
def test_who_waits_goes_through_nothing() -> None:
    """What is told while somebody waits costs the same, however much is still to be told."""
    assert compared(3_000) == compared(3)


class Entries(dict[str, Entry]):
    """
    What is known of a directory.

    :cvar passes: How often all of it was gone through.
    """

    passes = 0

    def items(self) -> ItemsView[str, Entry]:
        Entries.passes += 1
        return super().items()


class Tree:
    """A tree in which all logs were renamed to what is no log."""

    root = "/nowhere/.loki"

    def __init__(self, count: int) -> None:
        self.found = Entries(
            {f"{number}.old": Entry(False, 1_000 + number) for number in range(count)}
        )

    def entries(self, _: str) -> Mapping[str, Entry]:
        return self.found


@pytest.mark.promise("R27")
def test_files_are_looked_for_once() -> None:
    """Where logs have moved, their directory is gone through once for all of them."""
    layout = DocumentedLayout()
    trails = Trails(NAMES, layout.session_of)
    places = {f"{number}.log": Position(1, 1_000 + number, 5, "", "") for number in range(50)}
    trails.load({NAMES.name(path, None): position_as_text(at) for path, at in places.items()})
    memory = Memory(cast("TreeWatcher", Tree(50)), layout, trails, HeldLogs())

    errand = memory.errand(Portion(logs=list(places)))

    assert {order.path: order.moved_to for order in errand.logs} == {
        path: path.replace(".log", ".old") for path in places
    }
    assert Entries.passes == 1
