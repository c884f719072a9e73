"""Orders to a run by files: what is written, what is not followed, and what becomes of an input."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from loki_twisted.model.errors import Conflict, InvalidRequest, StorageFailed
from loki_twisted.state import orders
from loki_twisted.state.interface import InputFate, IRunControl, Orders
from loki_twisted.state.orders import MOST_INPUT_BYTES, RunControl

CONTROL = RunControl()
ORDERS: dict[str, Callable[[str], object]] = {
    "PAUSE": CONTROL.request_pause,
    "STOP": CONTROL.request_stop,
    "HUMAN_INPUT.md": lambda project: CONTROL.give_input(project, "text"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a state directory."""
    (tmp_path / "project/.loki/logs").mkdir(parents=True)
    return tmp_path / "project"


def contents(directory: Path) -> dict[str, str]:
    """All files in a directory and below, with what they hold."""
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_it_is_what_it_says() -> None:
    """It provides its interface."""
    verifyObject(IRunControl, CONTROL)


def test_pause_and_stop_are_files(project: Path) -> None:
    """Asking twice is asking once, and taking back removes that file alone."""
    (project / ".loki/PAUSED.md").touch()
    for _ in range(2):
        CONTROL.request_pause(str(project))
    CONTROL.request_stop(str(project))
    assert set(contents(project)) == {".loki/PAUSE", ".loki/STOP", ".loki/PAUSED.md"}
    assert CONTROL.orders(str(project)) == Orders(pause=True, stop=True)
    for _ in range(2):
        CONTROL.withdraw_pause(str(project))
    assert set(contents(project)) == {".loki/STOP", ".loki/PAUSED.md"}


def test_an_order_keeps_what_a_file_holds(project: Path) -> None:
    """A file that is there is not emptied."""
    (project / ".loki/PAUSE").write_text("by me")
    CONTROL.request_pause(str(project))
    assert (project / ".loki/PAUSE").read_text() == "by me"


@pytest.mark.parametrize("name", ORDERS)
def test_links_are_not_followed(project: Path, tmp_path: Path, name: str) -> None:
    """An agent may put a link in the place of an order: what it leads to stays as it is."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there").write_text("mine")
    for target in (outside / "there", outside / "new", outside):
        (project / ".loki" / name).symlink_to(target)
        with pytest.raises(Conflict):
            ORDERS[name](str(project))
        (project / ".loki" / name).unlink()
    assert contents(outside) == {"there": "mine"}
    (project / ".loki/PAUSE").symlink_to(outside / "there")
    CONTROL.withdraw_pause(str(project))
    assert contents(outside) == {"there": "mine"}
    assert not (project / ".loki/PAUSE").is_symlink()


def test_a_state_directory_that_is_a_link(tmp_path: Path) -> None:
    """Nothing is written through it, or read."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".loki").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict):
        CONTROL.request_pause(str(tmp_path))
    with pytest.raises(Conflict):
        CONTROL.give_input(str(tmp_path), "text")
    (tmp_path / "elsewhere/PAUSE").touch()
    assert CONTROL.orders(str(tmp_path)) == Orders()
    assert contents(tmp_path / "elsewhere") == {"PAUSE": ""}


def test_what_is_in_the_way(project: Path) -> None:
    """A directory, a pipe, no state directory: a conflict, at once."""
    (project / ".loki/PAUSE").mkdir()
    for order in (CONTROL.request_pause, CONTROL.withdraw_pause):
        with pytest.raises((Conflict, StorageFailed)):
            order(str(project))
    os.mkfifo(project / ".loki/STOP")
    with pytest.raises(Conflict):
        CONTROL.request_stop(str(project))
    with pytest.raises(Conflict):
        CONTROL.request_stop(str(project / "nowhere"))


def test_a_budget_that_is_used_up(project: Path) -> None:
    """It is known by the file that the run writes."""
    (project / ".loki/signals").mkdir()
    (project / ".loki/signals/BUDGET_EXCEEDED").touch()
    assert CONTROL.orders(str(project)) == Orders(over_budget=True)


@pytest.mark.parametrize("pid_file", ["loki.pid", "sessions/a/loki.pid"])
def test_a_budget_of_an_earlier_run(project: Path, pid_file: str) -> None:
    """What an earlier run has left says nothing of the one that is there now."""
    signal, number = project / ".loki/signals/BUDGET_EXCEEDED", project / ".loki" / pid_file
    for path in (signal, number):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("16")
    os.utime(signal, (1_000, 1_000))
    os.utime(number, (2_000, 2_000))
    assert CONTROL.orders(str(project)) == Orders()
    os.utime(signal, (2_000, 2_000))
    assert CONTROL.orders(str(project)) == Orders(over_budget=True)


@pytest.mark.parametrize(
    ("name", "fate"),
    [
        ("human-input-20261126-101500.md", InputFate.TAKEN),
        ("human-input-REJECTED-20261126-101500.md", InputFate.REJECTED),
        ("human-input-REJECTED-TOOLARGE-20261126-101500.md", InputFate.TOO_LARGE),
    ],
)
def test_the_fate_of_an_input(project: Path, name: str, fate: InputFate) -> None:
    """It waits until the run moves it, and where to says what became of it."""
    logs = project / ".loki/logs"
    (logs / "human-input-20261126-101400.md").write_text("an older one")
    receipt = CONTROL.give_input(str(project), "Grüße")
    assert (project / ".loki/HUMAN_INPUT.md").read_text() == "Grüße"
    assert CONTROL.orders(str(project)).human_input
    assert CONTROL.fate_of_input(str(project), receipt)[0] is InputFate.WAITING
    (project / ".loki/HUMAN_INPUT.md").rename(logs / name)
    assert CONTROL.fate_of_input(str(project), receipt) == (fate, f"logs/{name}")
    (logs / name).unlink()
    assert CONTROL.fate_of_input(str(project), receipt) == (InputFate.GONE, None)


def test_one_input_at_a_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is a conflict and leaves nothing, also where there are no hard links."""
    CONTROL.give_input(str(project), "one")
    with pytest.raises(Conflict, match="Another input"):
        CONTROL.give_input(str(project), "two")

    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(orders.os, "link", no_links)
    with pytest.raises(Conflict, match="Another input"):
        CONTROL.give_input(str(project), "three")
    assert contents(project) == {".loki/HUMAN_INPUT.md": "one"}
    (project / ".loki/HUMAN_INPUT.md").unlink()
    CONTROL.give_input(str(project), "four")
    assert contents(project) == {".loki/HUMAN_INPUT.md": "four"}


def test_an_input_that_the_run_would_reject(project: Path) -> None:
    """A mebibyte goes, a byte more is refused."""
    CONTROL.give_input(str(project), "x" * MOST_INPUT_BYTES)
    with pytest.raises(InvalidRequest):
        CONTROL.give_input(str(project), "x" * (MOST_INPUT_BYTES + 1))


def test_what_a_killed_run_leaves(project: Path, tmp_path: Path) -> None:
    """All that names its process goes, and nothing that names another one or is no such file."""
    state = project / ".loki"
    own = state / "sessions/s1"
    script = tmp_path / "loki-run-AbC123.sh"
    for place in (own, state):
        (place / "session.lock.lockdir").mkdir(parents=True)
        (place / "session.lock.lockdir/owner.pid").write_text("4711\n")
        (place / "loki.pid").write_text("4711\n")
        (place / "loki.pgid").write_text("pgid=4711 boot=1 started=2\n")
    (state / "loki.pid").write_text("4712\n")
    (state / "checkout-runs").mkdir()
    for number in ("4711", "4712", "47"):
        (state / "checkout-runs" / number).write_text(f"{number}\n")
    script.touch()
    CONTROL.clear(str(project), "s1", 4711, str(script))
    left = {path.relative_to(state).as_posix() for path in state.rglob("*") if path.is_file()}
    assert left == {"loki.pid", "checkout-runs/4712", "checkout-runs/47"}
    assert not list(state.rglob("*.lockdir"))
    assert not script.exists()


def test_nothing_is_cleared_by_way_of_links(project: Path, tmp_path: Path) -> None:
    """Not in the state directory, and no path that is no copy of a run's program."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "loki.pid").write_text("4711\n")
    (project / ".loki/sessions").mkdir()
    (project / ".loki/sessions/s1").symlink_to(outside)
    (tmp_path / "loki-run-a.sh").symlink_to(outside / "loki.pid")
    for script in (outside / "loki.pid", tmp_path / "loki-run-a.sh" / "..", tmp_path / "x.sh"):
        CONTROL.clear(str(project), "s1", 4711, str(script))
    CONTROL.clear(str(project), "s1", 4711, str(tmp_path / "loki-run-a.sh"))
    assert contents(outside) == {"loki.pid": "4711\n"}
    CONTROL.clear(str(tmp_path / "nowhere"), "s1", 4711, None)
