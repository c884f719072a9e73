"""Lines that are longer than one read: whole, once, and in bounded memory."""

from __future__ import annotations

import os
import tempfile
import time
import tracemalloc
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from loki_twisted.agents import spool as spool_module
from loki_twisted.agents.lines import CUT_MARK, LINE_LIMIT, MOST_LINE_LIMIT, Cursor
from loki_twisted.agents.pieces import TURN_WORK
from loki_twisted.agents.spool import READ_SIZE, Spool, Tail
from loki_twisted.kernel.shares import Shares
from tests.agents_support import Recorder
from tests.figures import tell
from tests.test_agents_lines import plainly_cut, streams
from tests.test_agents_spool import SpoolCase


class LongLineCase(SpoolCase):
    """With a reader that wants lines of any length that there may be."""

    limit = MOST_LINE_LIMIT

    def follow(self, cursor: str = "0", *, is_growing: bool = True) -> Tail:
        spool = Spool(
            self.path, Cursor.from_text(cursor), is_growing=is_growing, line_limit=self.limit
        )
        tail = Tail(Shares(self.clock, TURN_WORK), spool, "stdout", "s/stdout", self.recorder)
        self.result = tail.read()
        self.addCleanup(tail.stop)
        return tail


class LongLineTests(LongLineCase):
    """Through a tail."""

    def test_15_mb_are_one_line(self) -> None:
        """A line of 15 MB is given whole, between those before and behind it."""
        line = "0123456789ä€😀" * (15_000_000 // 19)
        self.write(f"before\n{line}\r\nbehind\n".encode())
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == ["before", line, "behind"]
        assert self.successResultOf(self.result) is True

    def test_the_limit_is_a_byte_exact(self) -> None:
        """A line of the limit is whole; of one with a byte more its beginning is given."""
        self.limit = 2 * READ_SIZE + 100
        self.write(b"x" * self.limit + b"\n" + b"y" * (self.limit + 1) + b"\nnext\n")
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == ["x" * self.limit, "y" * LINE_LIMIT + CUT_MARK, "next"]

    def test_each_byte_is_read_about_once(self) -> None:
        """Also of a line that grows slowly, what was read is not read again and again."""
        pread, sizes = os.pread, []

        def measured(file: int, size: int, offset: int) -> bytes:
            data = pread(file, size, offset)
            sizes.append(len(data))
            return data

        self.patch(os, "pread", measured)
        tail = self.follow()
        for _ in range(2_000):
            self.write(b"x" * 5_000)
            tail.look()
            self.until_idle()
        assert self.recorder.stdout == []
        self.write(b"\n")
        tail.look()
        self.until_idle()
        assert self.recorder.stdout == ["x" * 10_000_000]
        # Each read begins a few bytes before what is new; the first 64 KiB may be read again.
        assert sum(sizes) < 12_000_000
        assert max(sizes) < READ_SIZE + 100

    def test_who_begins_anew_in_the_middle_is_given_it_whole(self) -> None:
        """What was read of a line that was not given is no progress to be stored."""
        self.write(b"first\n" + b"x" * 1_000_000)
        tail = self.follow()
        self.until_idle()
        tail.stop()
        assert self.recorder.cursors == {"s/stdout": "6"}
        self.write(b"y\n")
        self.follow(self.recorder.cursors["s/stdout"])
        self.until_idle()
        assert self.recorder.stdout == ["first", "x" * 1_000_000 + "y"]

    def test_the_last_line_needs_no_newline(self) -> None:
        """A long line at which the agent ended is given when it has."""
        self.write(b"x" * 1_000_000)
        tail = self.follow()
        self.until_idle()
        assert self.recorder.stdout == []
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == ["x" * 1_000_000]
        assert self.recorder.cursors == {"s/stdout": "1000000"}
        assert self.successResultOf(self.result) is True

    def test_a_spool_that_is_emptied_in_the_middle_is_read_from_its_start(self) -> None:
        """Of a line whose beginning is gone nothing is given."""
        self.write(b"x" * 1_000_000)
        tail = self.follow()
        self.until_idle()
        Path(self.path).write_bytes(b"y" * 2_000_000 + b"\nnext\n")
        tail.look()
        self.until_idle()
        assert self.recorder.stdout == ["y" * 2_000_000, "next"]

    def test_one_that_is_not_taken_is_offered_again(self) -> None:
        """A long line is no less offered again than a short one."""

        def break_once() -> None:
            self.recorder.answer = lambda: None
            raise RuntimeError

        self.recorder.answer = break_once
        self.write(b"x" * 1_000_000 + b"\nnext\n")
        self.follow()
        self.until_idle()
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
        self.clock.advance(1)
        self.until_idle()
        assert self.recorder.stdout == ["x" * 1_000_000, "next"]


class MemoryTests(LongLineCase):
    """Of what there is, one line of the limit is held at most."""

    def peak_of_reading(self) -> int:
        tracemalloc.start()
        try:
            tail = self.follow()
            tail.finish()
            self.until_idle()
            assert self.successResultOf(self.result) is True
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_300_mb_without_a_newline(self) -> None:
        """A line without end takes as much memory as the longest that is whole, for a while."""
        with open(self.path, "wb") as file:
            file.truncate(300_000_000)  # zeros that need no disk
            file.seek(0, os.SEEK_END)
            file.write(b"\nnext\n")
        peak = self.peak_of_reading()
        assert self.recorder.stdout == ["\0" * LINE_LIMIT + CUT_MARK, "next"]
        assert peak < MOST_LINE_LIMIT + 4_000_000

    def test_a_whole_line_is_held_once(self) -> None:
        """A line of the limit is never twice in memory, as bytes and as text."""
        self.write(b"x" * MOST_LINE_LIMIT + b"\n")
        peak = self.peak_of_reading()
        assert self.recorder.stdout == ["x" * MOST_LINE_LIMIT]
        assert peak < MOST_LINE_LIMIT + 4_000_000


@given(
    stream=streams,
    steps=st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=20),
    limit=st.integers(5, 60),
    size=st.integers(5, 40),
)
def test_the_lines_do_not_depend_on_reads_and_restarts(
    stream: bytes, steps: list[tuple[int, bool]], limit: int, size: int
) -> None:
    """Whatever comes in one read, and however often the reader begins anew, lines are the same."""
    clock, recorder = Clock(), Recorder()
    with (
        patch.object(spool_module, "READ_SIZE", size),
        patch.object(spool_module, "LINE_LIMIT", 4),
        tempfile.TemporaryDirectory() as directory,
    ):
        path = Path(directory, "stdout")

        def follow() -> Tail:
            cursor = Cursor.from_text(recorder.cursors.get("s/stdout", "0"))
            spool = Spool(str(path), cursor, is_growing=True, line_limit=limit)
            tail = Tail(Shares(clock, TURN_WORK), spool, "stdout", "s/stdout", recorder)
            tail.read()
            return tail

        tail, written = follow(), 0
        for step, is_restart in [*steps, (len(stream), False)]:
            with path.open("ab") as file:
                file.write(stream[written : written + step])
            written += step
            tail.look()
            clock.pump([0] * 30)
            if is_restart:
                tail.stop()
                tail = follow()
        tail.finish()
        clock.pump([0] * 200)
    assert recorder.stdout == plainly_cut(stream, limit)


def take_a_turn(clock: Clock) -> None:
    """Call what is due now, and not what becomes due by that, as a reactor does."""
    for call in [each for each in clock.calls if each.getTime() <= clock.seconds()]:
        clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)


def turns_of_reading(path: Path, line: str) -> list[float]:
    """Read a spool of one line; how long each turn of the reactor was, in seconds."""
    clock, recorder, turns = Clock(), Recorder(), []
    spool = Spool(str(path), Cursor(), is_growing=True, line_limit=MOST_LINE_LIMIT)
    tail = Tail(Shares(clock, TURN_WORK), spool, "stdout", "s/stdout", recorder)
    began = time.perf_counter()
    done = tail.read()
    tail.finish()
    while not done.called:
        take_a_turn(clock)
        turns.append(time.perf_counter() - began)
        began = time.perf_counter()
    assert recorder.stdout == [line]
    return turns


@pytest.mark.promise("R27")
@pytest.mark.parametrize(
    ("pattern", "last"),
    [
        (b"x", b""),
        ("äöü€".encode(), b""),
        ("😀".encode(), b""),
        (b"\xff", b""),
        (b"\xf0\x9f\x98", b""),
        (b"\0", b""),
        (b"x", "😀".encode()),
    ],
    ids=["ascii", "two bytes", "four bytes", "broken", "cut short", "zeros", "four bytes at last"],
)
def test_no_turn_of_the_reactor_is_long(
    pattern: bytes, last: bytes, tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading a long line takes many short turns, whatever it is made of."""
    size = MOST_LINE_LIMIT if is_full else 4_000_000
    line = pattern * ((size - len(last)) // len(pattern)) + last
    path = tmp_path / "stdout"
    path.write_bytes(line + b"\n")
    turns = turns_of_reading(path, line.decode("utf-8", "replace"))
    assert len(turns) >= size // READ_SIZE
    if is_full:
        # Others are at work on the machine too: what is short once is short.
        again = [turns_of_reading(path, line.decode("utf-8", "replace")) for _ in range(4)]
        longest = min(map(max, [turns, *again]))
        took = f"the longest turn took {longest * 1000:.1f} ms"
        tell(capsys, f"16 MiB of {pattern.decode(errors='replace')!r} and {last!r}: {took}")
        assert longest < 0.05
