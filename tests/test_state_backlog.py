"""Tests of what is still to be told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.state.backlog import Backlog, Portion
from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.layout import JoinedLayout
from loki_twisted.state.loki_mode import LokiModeLayout

FILES = ("session", "phase", "tasks", "agents")


def file_of(session: int, name: str) -> str:
    """A file of a session."""
    return f"sessions/s{session}/{name}.json"


def test_what_comes_first_is_taken_first() -> None:
    """Whole sessions are taken, those that waited longest, their files by rank."""
    backlog = Backlog(DocumentedLayout())
    backlog.add_files([file_of(1, "tasks"), file_of(2, "phase"), file_of(3, "session")])
    backlog.add_files([file_of(1, "session"), file_of(2, "tasks"), "state.json"])
    backlog.add_logs(["a.log", "b.log", "a.log"])
    backlog.add_gone(["s9"])
    assert backlog.take(2, 1, 9) == Portion(
        ("s9",),
        (file_of(1, "session"), file_of(2, "phase"), file_of(1, "tasks"), file_of(2, "tasks")),
        ("a.log",),
    )
    assert backlog.take(9, 9, 9) == Portion((), (file_of(3, "session"), "state.json"), ("b.log",))
    assert not backlog
    assert not backlog.take(9, 9, 9)


@pytest.mark.promise("R27")
def test_of_many_files_some_are_taken() -> None:
    """Those of the lowest ranks come first, and others have their turn before the rest."""
    backlog = Backlog(JoinedLayout([DocumentedLayout(), LokiModeLayout()]))
    costs = [f"metrics/result-cost-{number:04}.json" for number in range(1_000)]
    backlog.add_files([*costs, "loki.pid", file_of(1, "session")])
    assert backlog.take(9, 0, 400).files == ("loki.pid", *costs[:399])
    assert backlog.take(9, 0, 400).files == (file_of(1, "session"), *costs[399:798])
    assert backlog.take(9, 0, 400).files == tuple(costs[798:])
    assert not backlog


def test_a_file_that_is_gone_is_not_read() -> None:
    """What was dropped is not taken, and dropping what is not there does nothing."""
    backlog = Backlog(DocumentedLayout())
    backlog.add_files([file_of(1, "tasks")])
    backlog.drop_file(file_of(1, "phase"))
    backlog.drop_file(file_of(2, "phase"))
    assert backlog.everything() == Portion((), [file_of(1, "tasks")], ())
    backlog.drop_file(file_of(1, "tasks"))
    assert not backlog


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(FILES))),
    st.integers(1, 3),
    st.integers(1, 5),
)
def test_everything_is_taken_once(added: list[tuple[int, str]], groups: int, files: int) -> None:
    """Every file is taken once, however it is put in, and a session's own file first."""
    backlog = Backlog(DocumentedLayout())
    paths = [file_of(*each) for each in added]
    backlog.add_files(paths)
    taken: list[str] = []
    while backlog:
        portion = backlog.take(groups, 0, files)
        backlog.put_back(portion)
        again = backlog.take(len(set(paths)), 0, len(paths))
        assert set(portion.files) <= set(again.files)
        backlog.put_back(again)
        portion = backlog.take(groups, 0, files)
        assert 0 < len(portion.files) <= files
        layout = DocumentedLayout()
        ranks = [layout.rank(path) or 0 for path in portion.files]
        assert ranks == sorted(ranks)
        taken += portion.files
    assert sorted(taken) == sorted(set(paths))
