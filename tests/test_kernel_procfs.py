"""What ``/proc`` says of processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.kernel.procfs import (
    ProcessStat,
    boot_id,
    has_variable,
    process_ids,
    stat_from,
    stat_of,
)


@given(
    pid=st.integers(1, 2**22),
    name=st.binary(max_size=15),
    state=st.sampled_from("RSDTtZX"),
    numbers=st.lists(st.integers(0, 2**31), min_size=3, max_size=3),
    start_ticks=st.integers(0, 2**63),
)
def test_any_name_of_a_process_is_read_over(
    pid: int, name: bytes, state: str, numbers: list[int], start_ticks: int
) -> None:
    """A name with blanks, parentheses or line ends moves no other field."""
    between = b" 0" * 15
    line = b"%d (%s) %s %d %d %d%s %d 99 98\n" % (
        pid, name, state.encode(), *numbers, between, start_ticks
    )  # fmt: skip
    assert stat_from(line) == ProcessStat(pid, state, *numbers, start_ticks)


@pytest.mark.parametrize("line", [b"", b"1", b"1 (sh) S 0 1 1", b"x (sh) S" + b" 1" * 40])
def test_a_line_that_is_none_is_refused(line: bytes) -> None:
    """What is no line of a stat file is an error."""
    with pytest.raises(ValueError, match="not a line"):
        stat_from(line)


def test_our_own_line_says_who_we_are() -> None:
    """The line of this process has the numbers that the system calls give."""
    stat = stat_of(os.getpid())
    assert stat is not None
    assert (stat.pid, stat.parent) == (os.getpid(), os.getppid())
    assert (stat.group, stat.session) == (os.getpgrp(), os.getsid(0))
    assert stat.state == "R"


def test_a_process_that_started_later_has_not_fewer_ticks() -> None:
    """The time of the start tells processes apart."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        theirs, ours = stat_of(child.pid), stat_of(os.getpid())
        assert theirs is not None
        assert ours is not None
        assert theirs.start_ticks >= ours.start_ticks > 0
        assert child.pid in process_ids()
        child.communicate(b"\n")
    assert stat_of(child.pid) is None


def test_a_variable_is_found_by_its_exact_value() -> None:
    """Neither a longer nor a shorter value, nor another name, is taken for the variable."""
    env = {"NAME": "some=value", "LONGER_NAME": "other"}
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert has_variable(child.pid, "NAME", "some=value")
        assert not has_variable(child.pid, "NAME", "some")
        assert not has_variable(child.pid, "NAME", "some=value2")
        assert not has_variable(child.pid, "LONGER_", "NAME=other")
        assert not has_variable(child.pid, "NAME", "other")
        child.communicate(b"\n")
    assert not has_variable(child.pid, "NAME", "some=value")


def test_a_boot_has_one_name() -> None:
    """The name of the boot does not change while the machine runs."""
    assert len(boot_id()) == 36
    assert boot_id() == boot_id()
