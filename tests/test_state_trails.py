"""Tests of how far logs were read, by name and over renames."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from types import FrameType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.held import Position, position_as_text
from loki_twisted.state.logs import LogReading
from loki_twisted.state.trails import Trails
from loki_twisted.state.whereabouts import Whereabouts

NAMES = CursorNames("/home/me/project")


def position(inode: int, offset: int = 5) -> Position:
    """A place in a file."""
    return Position(1, inode, offset, "head", "tail")


def trails(**logs: Position) -> Trails:
    """What is known of logs, their names without the suffix."""
    found = Trails(NAMES, DocumentedLayout().session_of)
    found.load({NAMES.name(f"{name}.log", None): position_as_text(at) for name, at in logs.items()})
    return found


class Disk(Whereabouts):
    """
    A disk that is made up: no inode was given to another file.

    :ivar inodes: By path, the inode of its file.
    :ivar false: Offsets of places that are no such in their files.
    :ivar is_readable: Whether files can be opened.
    """

    def __init__(self, *false: int, **inodes: int) -> None:
        super().__init__("/nowhere")
        self.inodes = {f"{name}.log": inode for name, inode in inodes.items()}
        self.false = false
        self.is_readable = True

    def inode(self, path: str) -> int | None:
        return self.inodes.get(path)

    def has_too(self, path: str, position: Position) -> bool:
        names = [name for name, inode in self.inodes.items() if inode == position.ino]
        return path in names and len(names) > 1

    def true_of(self, path: str, positions: Sequence[Position]) -> Sequence[Position] | None:
        if not self.is_readable or any(self.inode(path) != each.ino for each in positions):
            return None
        return [position for position in positions if position.offset not in self.false]


def restarted(found: Trails) -> Trails:
    """What the next server knows."""
    again = Trails(NAMES, DocumentedLayout().session_of)
    again.load(found.stored())
    return again


def test_names_of_cursors() -> None:
    """A log's cursor is named by project and path; one of a session goes with the session."""
    assert NAMES.name("logs/agent.log", None) == "state:/home/me/project:logs/agent.log"
    name = NAMES.name("sessions/s1/agent.log", "s1")
    assert name == "s1/log:/home/me/project:sessions/s1/agent.log"
    assert NAMES.maybe_path(name) == "sessions/s1/agent.log"
    assert NAMES.maybe_path(NAMES.seen()) is None
    assert NAMES.maybe_path("agent/stdout") is None
    assert CursorNames("/home/me").maybe_path(NAMES.name("x.log", None)) is None


@given(
    st.sampled_from(["/a", "/a:b", "/a%3Ab", "/a:", "/a/b", "/a:b:c.log"]),
    st.sampled_from(["/a", "/a:b", "/a%3Ab", "/a:", "/a/b", "/a:b:c.log"]),
    st.sampled_from(["x.log", "b:x.log", "s/x.log", "a/log:/a:x.log"]),
    st.sampled_from([None, "s1"]),
)
def test_cursors_of_projects_are_not_mixed_up(
    mine: str, other: str, path: str, session_id: str | None
) -> None:
    """A project knows its own cursors by their names and no others."""
    name = CursorNames(mine).name(path, session_id)
    assert CursorNames(other).maybe_path(name) == (path if mine == other else None)


@given(st.sampled_from(["/a", "/a:b", "/a%3Ab", "/a:", "/\udcff"]), st.integers(0, 2**64 - 1))
def test_all_cursors_of_a_project_have_a_part_in_common(project: str, inode: int) -> None:
    """By that part a project finds each of its cursors again, whatever it says."""
    names = CursorNames(project)
    made = [
        names.name("x.log", None),
        names.name("sessions/s1/x.log", "s1"),
        names.seen(),
        names.left(inode),
        names.directory("s1"),
    ]
    assert [each for each in made if names.part() not in each] == []
    assert names.maybe_inode(names.left(inode)) == inode
    assert [each for each in made if names.maybe_inode(each) is not None] == [names.left(inode)]


def test_bytes_that_are_no_text_can_be_stored() -> None:
    """The name of a cursor is text, whatever the file is called."""
    assert NAMES.name("\udcff.log", None).encode() == rb"state:/home/me/project:\xff.log"


def test_a_project_is_new_until_all_is_known() -> None:
    """A project was watched before once that is on record, not if only some of its logs are."""
    found = trails(agent=position(1))
    assert found.is_new
    assert found.seen() == {NAMES.seen(): "1"}
    found.confirm([], {})
    assert found.is_new
    found.confirm([], found.seen())
    assert not found.is_new
    assert found.seen() == {}
    again = Trails(NAMES, DocumentedLayout().session_of)
    again.load(found.stored())
    assert not again.is_new


def test_what_is_stored_is_not_stored_again() -> None:
    """Only cursors that differ from what is stored are to be stored."""
    found = trails(agent=position(1))
    readings = [LogReading("agent.log", (), position(1)), LogReading("new.log", (), position(2))]
    name = NAMES.name("new.log", None)
    cursors = found.after(readings)
    assert cursors == {"new.log": {name: position_as_text(position(2))}}
    found.confirm(readings, cursors["new.log"])
    assert found.after(readings) == {}
    gone = [LogReading("new.log", (), None)]
    assert found.after(gone) == {"new.log": {name: None}}
    found.confirm(gone, {name: None})
    assert found.after(gone) == {}
    assert found.position("new.log") is None
    assert NAMES.name("agent.log", None) in found.stored()


def test_a_position_follows_its_file() -> None:
    """When a log gets another log's name its position goes with it, in a whole chain."""
    found = trails(a=position(1), b=position(2))
    now = Disk(a=3, b=1, c=2)
    assert set(found.rename(["a.log", "b.log", "c.log"], now)) == {"b.log", "c.log"}
    assert found.position("b.log") == position(1)
    assert found.position("c.log") == position(2)
    assert found.position("a.log") is None


def test_names_may_be_exchanged() -> None:
    """Two logs that change names are both read on."""
    found = trails(a=position(1), b=position(2))
    found.rename(["a.log", "b.log"], Disk(a=2, b=1))
    assert (found.position("a.log"), found.position("b.log")) == (position(2), position(1))


def test_a_second_name_is_another_log() -> None:
    """A hard link to a log that keeps its name is a log of its own."""
    found = trails(a=position(1))
    assert found.rename(["b.log"], Disk(a=1, b=1)) == set()
    assert found.position("a.log") == position(1)


def test_of_two_new_names_one_is_the_log() -> None:
    """A log that got two new names at once is read on under one of them."""
    found = trails(a=position(1))
    assert set(found.rename(["b.log", "c.log"], Disk(b=1, c=1))) == {"b.log"}
    assert found.position("c.log") is None


def test_a_file_that_lost_its_name_is_known_under_the_next() -> None:
    """A log read to its end under a name it had is not read again under a new one."""
    found = trails(a=position(1))
    found.confirm([LogReading("a.log", (), position(2), left=position(1, 90))], {})
    assert found.rename(["b.log"], Disk(a=2, b=1)) == {"b.log"}
    assert found.position("b.log") == position(1, 90)


def test_a_log_that_another_took_the_name_of_is_known_under_the_next() -> None:
    """A log that was moved away is read on where it comes back, though its name was taken."""
    found = trails(a=position(1, 50), b=position(2))
    assert found.rename(["a.log"], Disk(a=2)) == {"a.log"}
    assert found.rename(["c.log"], Disk(a=2, c=1)) == {"c.log"}
    assert found.position("c.log") == position(1, 50)


def test_a_log_that_was_renamed_while_it_was_read_is_not_begun_again() -> None:
    """What was begun under a new name is read again, from the place under the former one."""
    found = trails(a=position(1, 50))
    begun = LogReading("b.log", ("line",), position(1, 90))
    assert found.sound([begun], Disk(b=1)) == []
    assert found.sound([begun], Disk(a=1, b=1)) == [begun]  # a second name of it
    found.rename(["b.log"], Disk(b=1))
    assert found.position("b.log") == position(1, 50)
    assert found.sound([begun], Disk(b=1)) == [begun]


def test_a_log_that_changed_over_to_a_known_file_goes_on_in_it() -> None:
    """A log whose name went to another that is known is read on where that one was."""
    found = trails(a=position(1, 50), b=position(2))
    over = LogReading("b.log", (), position(1, 0), left=position(2))
    disk = Disk(b=1)
    [over] = found.sound([over], disk)  # what is left of the other must be told
    assert over.position == position(1, 50)
    found.confirm([over], {})
    assert found.rename(["b.log"], disk) == {"b.log"}
    assert (found.position("b.log"), found.paths()) == (position(1, 50), ["b.log"])


def test_a_log_that_was_renamed_and_renamed_back_is_not_begun_again() -> None:
    """What was begun under a name that a log had for a moment only is not told."""
    found = trails(a=position(1, 50))
    begun = LogReading("b.log", ("line",), position(1, 90))
    assert found.sound([begun], Disk(a=1)) == []


def test_a_log_is_begun_once_under_two_names_in_one_go() -> None:
    """A new log that is renamed between two readings of one go is told under the first."""
    found = trails()
    first = LogReading("a.log", ("line",), position(1, 90))
    second = LogReading("b.log", ("line",), position(1, 90))
    assert found.sound([first, second], Disk(b=1)) == [first]
    found.confirm([first], {})
    assert found.rename(["b.log"], Disk(b=1)) == {"b.log"}
    assert found.position("b.log") == position(1, 90)


def test_a_log_that_comes_back_while_it_is_read_is_not_begun_again() -> None:
    """A log that has lost its name and has another just when that is read goes on in its place."""
    found = trails(a=position(1, 50))
    found.confirm([LogReading("a.log", (), None, lost=position(1, 50))], {})
    begun = LogReading("b.log", ("line",), position(1, 90))
    assert found.sound([begun], Disk(b=1)) == []
    assert found.rename(["b.log"], Disk(b=1)) == {"b.log"}
    assert found.position("b.log") == position(1, 50)


def test_a_log_that_changed_over_to_a_file_without_a_name_goes_on_in_it() -> None:
    """A log whose name went to a file that had lost its own is read on where that one was."""
    found = trails(a=position(1, 50), b=position(2))
    found.confirm([LogReading("a.log", (), None, lost=position(1, 50))], {})
    over = LogReading("b.log", (), position(1, 0), left=position(2))
    assert found.sound([over], Disk(b=1)) == [attrs.evolve(over, position=position(1, 50))]


def test_of_two_places_in_a_log_the_later_one_is_true() -> None:
    """A log that is known under two names is read on where most was read, in whichever order."""
    for names in (
        {"a": position(1, 0), "b": position(1, 70)},
        {"b": position(1, 70), "a": position(1, 0)},
    ):
        found = trails(**names)
        assert found.rename(["c.log"], Disk(c=1)) == {"c.log"}
        assert (found.position("c.log"), found.paths()) == (position(1, 70), ["c.log"])


def test_of_two_places_in_a_lost_log_the_later_one_is_stored() -> None:
    """A log that loses two names at once is known by the place up to which most was read."""
    for first, second in ((10, 70), (70, 10)):
        found = trails(a=position(1, first), b=position(1, second))
        readings = [
            LogReading("a.log", (), None, lost=position(1, first)),
            LogReading("b.log", (), None, lost=position(1, second)),
        ]
        for path, cursors in found.after(readings).items():
            found.confirm([each for each in readings if each.path == path], cursors)
        for known in (found, restarted(found)):
            assert known.rename(["c.log"], Disk(c=1)) == {"c.log"}
            assert known.position("c.log") == position(1, 70)


def test_a_place_that_is_not_true_hides_no_other() -> None:
    """Where an inode was given to another file, what was read of that one counts."""
    found = trails(a=position(1, 70), b=position(1, 30))
    assert found.rename(["c.log"], Disk(70, c=1)) == {"c.log"}
    assert found.position("c.log") == position(1, 30)


def test_a_log_that_is_gone_again_keeps_its_place() -> None:
    """A log that comes back for an instant, too short to be looked into, is known afterwards."""
    found = trails(a=position(1))
    found.confirm([LogReading("a.log", (), None, lost=position(1))], {})
    for is_there in (False, True):
        disk = Disk(b=1)
        disk.is_readable = is_there
        assert set(found.rename(["b.log"], disk)) == ({"b.log"} if is_there else set())


def test_the_last_that_lost_their_names_are_remembered() -> None:
    """A file that loses its name a second time is forgotten as late as any other."""
    found = trails()
    for inode in (*range(1, 250), 1, *range(250, 500)):
        found.confirm([LogReading("a.log", (), None, lost=position(inode))], {})
    assert found.rename(["b.log"], Disk(b=1)) == {"b.log"}


def test_the_place_under_a_former_name_goes_with_the_new_one() -> None:
    """A log has one stored place, whatever happens between telling of its two names."""
    found = trails(a=position(1))
    found.rename(["b.log"], Disk(b=1))
    reading = LogReading("b.log", ("line",), position(1, 90))
    cursors = found.after([reading])["b.log"]
    assert cursors[NAMES.name("a.log", None)] is None
    found.confirm([reading], cursors)
    again = Trails(NAMES, DocumentedLayout().session_of)
    again.load(found.stored())
    assert again.paths() == ["b.log"]
    assert found.after([reading]) == {}


def test_only_some_files_without_names_are_remembered() -> None:
    """What is remembered of files that lost their names is bounded."""
    found = trails(a=position(1))
    for inode in range(1, 400):
        left = LogReading("a.log", (), position(inode + 1), left=position(inode))
        found.confirm([left], {})
    assert found.rename(["b.log"], Disk(b=1)) == set()
    assert found.rename(["b.log"], Disk(b=399)) == {"b.log"}


def test_a_name_that_is_taken_in_the_same_breath_keeps_its_place() -> None:
    """Where one log took another's name and a new one has its own, all keep their places."""
    found = trails(a=position(1), b=position(2))
    found.rename(["a.log", "b.log"], Disk(a=2, b=3))
    readings = [LogReading("a.log", (), position(2)), LogReading("b.log", ("x",), position(3, 9))]
    changes = found.after(readings)
    for path in ("b.log", "a.log"):  # what has lines is stored first
        found.confirm([each for each in readings if each.path == path], changes[path])
    again = restarted(found)
    assert again.position("a.log") == position(2)
    assert again.position("b.log") == position(3, 9)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_log_without_a_name_is_known_after_a_restart(is_restarted: bool) -> None:
    """A log whose name was taken, or that was not to be found, is read on where it comes back."""
    found = trails(a=position(1, 50), b=position(2), d=position(4, 70))
    found.rename(["a.log"], Disk(a=2))
    readings = [
        LogReading("a.log", (), position(2)),
        LogReading("d.log", (), None, lost=position(4, 70)),
    ]
    for path, cursors in found.after(readings).items():
        found.confirm([each for each in readings if each.path == path], cursors)
    found = restarted(found) if is_restarted else found
    assert found.rename(["c.log", "e.log"], Disk(a=2, c=1, e=4)) == {"c.log", "e.log"}
    assert found.position("c.log") == position(1, 50)
    assert found.position("e.log") == position(4, 70)
    back = [LogReading("c.log", (), position(1, 50)), LogReading("e.log", (), position(4, 70))]
    for cursors in found.after(back).values():
        found.confirm(back, cursors)
    assert not any(map(NAMES.is_left, found.stored()))


def test_another_file_with_the_inode_of_one_that_was_lost_is_begun() -> None:
    """An inode alone does not make a file that one which was read before."""
    found = trails(a=position(1))
    found.confirm([LogReading("a.log", (), None, lost=position(1))], {})
    assert found.rename(["b.log"], Disk(5, b=1)) == set()
    assert found.position("b.log") is None


@pytest.mark.parametrize("text", ["", "1", "{}", "nonsense"])
def test_a_cursor_that_says_nothing_is_passed_over(text: str) -> None:
    """A stored cursor that cannot be read counts as a log that was not read."""
    found = Trails(NAMES, DocumentedLayout().session_of)
    found.load({NAMES.name("a.log", None): text})
    assert found.position("a.log") is None


def calls_of_reading(others: int) -> int:
    """How many functions are called for ten logs that have grown, or have moved, beside others."""
    known = {f"other{number}": position(1_000 + number) for number in range(others)}
    moved = {f"old{number}": position(number + 100) for number in range(5)}
    grown = {f"log{number}": position(number) for number in range(10)}
    found = trails(**known, **moved, **grown)
    disk = Disk(
        **{name: each.ino for name, each in (known | grown).items()},
        **{f"new{number}": number + 100 for number in range(5)},
    )
    paths = [f"log{number}.log" for number in range(10)]
    paths += [f"new{number}.log" for number in range(5)]
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    gc.disable()  # whoever listens to the collector, as Hypothesis does, would be counted too
    sys.setprofile(counted)
    try:
        found.rename(paths, disk)
        readings = [LogReading(path, ["a line"], position(disk.inodes[path], 50)) for path in paths]
        readings = list(found.sound(readings, disk))
        changes = found.after(readings)
        for reading in readings:
            found.confirm([reading], changes[reading.path])
    finally:
        sys.setprofile(None)
        gc.enable()
    assert len(readings) == 15
    assert len(found.paths()) == others + 15
    return count


@pytest.mark.promise("R27")
def test_work_does_not_grow_with_other_logs() -> None:
    """However many logs there are, only those that are read make work."""
    assert calls_of_reading(2_000) == calls_of_reading(20)
