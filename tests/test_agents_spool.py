"""Reading spools while they grow."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from loki_twisted.agents.interface import IAgentListener
from loki_twisted.agents.keeper.room import ROOM
from loki_twisted.agents.lines import CUT_MARK, LINE_LIMIT, Cursor
from loki_twisted.agents.pieces import FORMED_LINES, PIECE_LINES, TURN_WORK
from loki_twisted.agents.spool import READ_SIZE, Spool, Tail
from loki_twisted.kernel.shares import Shares
from loki_twisted.model.errors import StorageFailed
from tests.agents_support import Recorder


def test_the_recorder_is_a_listener() -> None:
    """What these tests listen with is what the product calls."""
    assert verifyObject(IAgentListener, Recorder())


class SpoolCase(SynchronousTestCase):
    """With a file, and a clock that stands still."""

    def setUp(self) -> None:
        descriptor, self.path = tempfile.mkstemp(prefix="spool-")
        os.close(descriptor)
        self.addCleanup(os.unlink, self.path)
        self.clock = Clock()
        self.recorder = Recorder()

    def write(self, data: bytes) -> None:
        """Write as an agent does."""
        with open(self.path, "ab") as file:
            file.write(data)

    def follow(self, cursor: str = "0", *, is_growing: bool = True) -> Tail:
        """Begin to read; at the end of the test, the file is closed."""
        spool = Spool(self.path, Cursor.from_text(cursor), is_growing=is_growing)
        tail = Tail(
            Shares(self.clock, TURN_WORK), spool, "stdout", "session_1/stdout", self.recorder
        )
        self.result = tail.read()
        self.addCleanup(tail.stop)
        return tail

    def turn(self, times: int = 1) -> None:
        """Let the reactor go round."""
        self.clock.pump([0] * times)

    def until_idle(self) -> None:
        """Let the reactor go round until nothing is left to do at once."""
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.turn()


def room_behind(path: str) -> int:
    """How much room a file has beyond its end."""
    found = os.stat(path)
    return found.st_blocks * 512 - found.st_size


class RoomTests(SpoolCase):
    """The room behind the end."""

    @pytest.mark.promise("R15")
    def test_there_is_always_some_and_in_the_end_none(self) -> None:
        """A full disk stops nobody who writes at once; what is left is given back."""
        self.write(b"one\n")
        tail = self.follow()
        for size in (10, 40_000, 100_000, 3):
            self.write(b"x" * size + b"\n")
            tail.look()
            self.until_idle()
            assert room_behind(self.path) >= ROOM // 2
        os.truncate(self.path, 0)
        self.write(b"two\n")
        tail.look()
        self.until_idle()
        assert room_behind(self.path) >= ROOM // 2
        tail.finish()
        self.until_idle()
        assert self.successResultOf(self.result) is True
        assert self.recorder.stdout[-1] == "two"
        assert room_behind(self.path) <= 4096

    @pytest.mark.promise("R9")
    def test_nothing_is_cut_off_where_somebody_may_write(self) -> None:
        """Who outlived his keeper and has the spool open keeps the room, and what he writes."""
        survivor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self.addCleanup(os.close, survivor)
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.successResultOf(self.result) is True
        assert room_behind(self.path) >= ROOM // 2

    def test_who_leaves_takes_nothing_away(self) -> None:
        """A server that ends before the agent leaves it the room that there is."""
        self.write(b"one\n")
        tail = self.follow()
        tail.stop()
        assert room_behind(self.path) >= ROOM // 2


class TailTests(SpoolCase):
    """From the file to the listener."""

    def test_lines_are_given_with_the_place_behind_them(self) -> None:
        """What stands there is given at once, with a cursor named after the session and stream."""
        self.write(b"one\ntwo\nthr")
        self.follow()
        assert self.recorder.stdout == ["one", "two"]
        assert self.recorder.cursors == {"session_1/stdout": "8"}

    def test_more_is_given_when_the_bell_rings(self) -> None:
        """A line is given when it is whole."""
        tail = self.follow()
        self.write(b"on")
        tail.look()
        assert self.recorder.stdout == []
        self.write(b"e\n")
        tail.look()
        assert self.recorder.stdout == ["one"]

    def test_reading_goes_on_from_a_cursor(self) -> None:
        """Who begins with a stored cursor is given only what stands behind it."""
        self.write(b"one\ntwo\n")
        self.follow("4")
        assert self.recorder.stdout == ["two"]

    def test_nothing_more_is_read_before_the_listener_has_answered(self) -> None:
        """A slow listener holds the reading up, and loses nothing by it."""
        answers: list[Deferred[None]] = []
        self.recorder.answer = lambda: answers.append(Deferred()) or answers[-1]
        self.write(b"one\n")
        tail = self.follow()
        self.write(b"two\n")
        for _ in range(3):
            tail.look()
            self.until_idle()
        assert self.recorder.pieces == 1
        answers.pop().callback(None)
        self.until_idle()
        assert self.recorder.pieces == 2
        answers.pop().callback(None)
        assert self.recorder.stdout == ["one", "two"]

    def test_what_is_not_taken_is_offered_again(self) -> None:
        """If the listener fails the same lines come again, after 1, 2, 4, 5, 5, 5 s; told once."""
        self.recorder.answer = lambda: fail(RuntimeError("the disk is full"))
        self.write(b"one\n")
        tail = self.follow()
        for seconds in (1, 2, 4, 5, 5, 5):
            pieces = self.recorder.pieces
            self.write(b"more\n")
            tail.look()
            self.clock.advance(seconds - 0.01)
            assert self.recorder.pieces == pieces
            self.clock.advance(0.01)
            assert self.recorder.pieces == pieces + 1
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
        self.recorder.answer = lambda: succeed(None)
        self.clock.advance(10)
        self.until_idle()
        assert self.recorder.stdout == ["one"] + ["more"] * 6

    def test_a_log_that_cannot_be_written_is_told_once(self) -> None:
        """It may last for hours: a warning without a traceback, and at the end how often it was."""
        self.recorder.answer = lambda: fail(StorageFailed("The log could not be written."))
        self.write(b"one\n")
        with capturedLogs() as said:
            self.follow()
            self.clock.pump([1, 2, 4])
            self.recorder.answer = lambda: succeed(None)
            self.clock.advance(5)
        assert [formatEvent(each) for each in said] == [
            (
                "session_1/stdout was not taken, and will be offered again: "
                "The log could not be written."
            ),
            "session_1/stdout was taken, after 4 refusals",
        ]
        assert all("log_failure" not in each for each in said)

    def test_a_listener_that_raises_has_not_taken_it(self) -> None:
        """An exception counts as a failed Deferred does."""

        def break_once() -> None:
            self.recorder.answer = lambda: succeed(None)
            raise RuntimeError

        self.recorder.answer = break_once
        self.write(b"one\n")
        self.follow()
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
        self.clock.advance(1)
        assert self.recorder.stdout == ["one"]

    def test_the_last_line_needs_no_newline(self) -> None:
        """When nobody writes any more, what is left is a line, and the reading is over."""
        self.write(b"one\ntwo")
        tail = self.follow()
        self.until_idle()
        self.assertNoResult(self.result)
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == ["one", "two"]
        assert self.recorder.cursors == {"session_1/stdout": "7"}
        assert self.successResultOf(self.result) is True

    def test_a_long_spool_that_nobody_writes_to_is_read_to_its_end(self) -> None:
        """Also where one read ends in the middle of a line, lines stay whole."""
        lines = [f"{number:060}" for number in range(3 * READ_SIZE // 61)]
        self.write("\n".join(lines).encode())
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == lines
        assert self.successResultOf(self.result) is True

    def test_a_spool_of_exactly_one_read_is_read_to_its_end(self) -> None:
        """The end is found also where it is the end of a full read."""
        lines = ["x" * 63] * (READ_SIZE // 64)
        self.write("\n".join(lines).encode() + b"y")
        assert os.path.getsize(self.path) == READ_SIZE
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == [*lines[:-1], lines[-1] + "y"]

    def test_after_stop_nothing_is_given(self) -> None:
        """Who has stopped it hears no more, and is told that it was not the end."""
        tail = self.follow()
        tail.stop()
        self.write(b"one\n")
        tail.look()
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == []
        assert self.successResultOf(self.result) is False

    def test_stop_waits_for_the_answer_to_what_was_given(self) -> None:
        """What the listener is at is finished first; its Deferred is not cancelled."""
        answer: Deferred[None] = Deferred()
        self.recorder.answer = lambda: answer
        self.write(b"one\n")
        tail = self.follow()
        tail.stop()
        self.assertNoResult(self.result)
        answer.callback(None)
        self.until_idle()
        assert self.successResultOf(self.result) is False
        assert self.recorder.stdout == ["one"]

    def test_stop_ends_the_pause_after_a_failure(self) -> None:
        """Nothing is left waiting when the tail was stopped in a pause."""
        self.recorder.answer = lambda: fail(RuntimeError())
        self.write(b"one\n")
        tail = self.follow()
        tail.stop()
        assert self.successResultOf(self.result) is False
        self.turn()
        assert self.clock.getDelayedCalls() == []
        self.flushLoggedErrors(RuntimeError)

    def test_others_have_their_turn(self) -> None:
        """A listener that answers at once is given one piece in a turn of the reactor."""
        self.write(b"x\n" * (PIECE_LINES + 1))
        self.follow()
        assert self.recorder.pieces == 1
        self.turn()
        assert self.recorder.pieces == 2

    def test_lines_that_cost_more_are_given_fewer_at_a_time(self) -> None:
        """Of lines with JSON, or with escape sequences, a piece has a fifth of plain ones."""
        for line in (b'{"type":"log:info"}\n', b"\x1b[1mbold\n"):
            self.write(line * (FORMED_LINES + 1))
        self.follow()
        assert len(self.recorder.stdout) == FORMED_LINES
        self.until_idle()
        assert len(self.recorder.stdout) == 2 * (FORMED_LINES + 1)

    def test_a_spool_that_cannot_be_read_ends_in_what_was_read(self) -> None:
        """A broken disk is logged, and does not keep the end of the agent from being told."""
        tail = self.follow()
        self.patch(os, "pread", lambda *_: fail_with(OSError("the disk is broken")))
        tail.look()
        assert len(self.flushLoggedErrors(OSError)) == 1
        assert self.successResultOf(self.result) is True


def fail_with(error: Exception) -> None:
    """Raise, where only an expression may stand."""
    raise error


class EmptiedTests(SpoolCase):
    """Agents that truncate their own output, as ``echo > /dev/stderr`` does."""

    def empty(self, data: bytes) -> None:
        """Write as ``echo data > /dev/stdout`` does."""
        Path(self.path).write_bytes(data)

    def test_a_shorter_file_is_read_from_its_start(self) -> None:
        """What is written after the file was emptied is given."""
        self.write(b"a long line\n")
        tail = self.follow()
        self.until_idle()
        self.empty(b"short\n")
        tail.look()
        self.until_idle()
        assert self.recorder.stdout == ["a long line", "short"]
        assert self.recorder.cursors == {"session_1/stdout": "6"}

    def test_a_file_of_the_same_length_or_a_greater_one_too(self) -> None:
        """Emptying is seen by what stands before the place, not by the length."""
        self.write(b"step 1\n")
        tail = self.follow()
        for text in (b"step 2\n", b"step three\n", b"step 4\nstep 5\nstep 6\n"):
            self.until_idle()
            self.empty(text)
            tail.look()
        self.until_idle()
        assert self.recorder.stdout == [
            "step 1", "step 2", "step three", "step 4", "step 5", "step 6",
        ]  # fmt: skip

    def test_emptied_while_nobody_looked(self) -> None:
        """A file that is shorter than was read, while the agent runs, was emptied."""
        self.write(b"new\n")
        self.follow("100")
        assert self.recorder.stdout == ["new"]

    def test_a_file_that_lost_its_end_with_the_power_is_not_read_again(self) -> None:
        """When the agent has ended, a shorter file holds nothing that was not given before."""
        self.write(b"old\n")
        tail = self.follow("100", is_growing=False)
        tail.finish()
        self.until_idle()
        assert self.recorder.stdout == []
        assert self.successResultOf(self.result) is True
        assert len(self.flushLoggedErrors()) == 0


class MemoryTests(SpoolCase):
    """However much there is, little is held."""

    def peak_of(self, follow: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            follow()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def read_all(self) -> None:
        tail = self.follow()
        tail.finish()
        self.until_idle()
        assert self.successResultOf(self.result) is True

    @pytest.mark.promise("R9")
    def test_100_mb_without_a_newline(self) -> None:
        """An endless line is given once, cut, in bounded memory; the next is whole."""
        with open(self.path, "wb") as file:
            file.write(b"x" * LINE_LIMIT)
            file.truncate(100_000_000)  # zeros that need no disk
            file.seek(0, os.SEEK_END)
            file.write(b"\nnext\n")
        peak = self.peak_of(self.read_all)
        assert self.recorder.stdout == ["x" * LINE_LIMIT + CUT_MARK, "next"]
        assert peak < 4_000_000

    def test_300_000_lines(self) -> None:
        """Many lines are given in pieces of bounded size."""
        self.write(b"".join(b"%d\n" % number for number in range(300_000)))
        counted = 0

        class Counter(Recorder):
            def _take(self, _: object, stream: str, lines: list[str], cursors: object) -> None:
                nonlocal counted
                assert lines[0] == str(counted)
                counted += len(lines)

        self.recorder = Counter()
        peak = self.peak_of(self.read_all)
        assert counted == 300_000
        # A line in Python takes some 60 bytes more than in the file.
        assert peak < 12_000_000


@given(
    texts=st.lists(st.text("aä€😀\n\r", max_size=12), max_size=12),
    restarts=st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=100, deadline=None)
def test_each_line_is_taken_exactly_once_over_restarts(
    texts: list[str], restarts: list[bool]
) -> None:
    """However often the reader begins anew from the stored cursor, each line is taken once."""
    clock, recorder = Clock(), Recorder()
    with tempfile.NamedTemporaryFile() as file:

        def follow() -> Tail:
            cursor = Cursor.from_text(recorder.cursors.get("s/stdout", "0"))
            tail = Tail(
                Shares(clock, TURN_WORK),
                Spool(file.name, cursor, is_growing=True),
                "stdout",
                "s/stdout",
                recorder,
            )
            tail.read()
            return tail

        tail = follow()
        for text, is_restart in zip(texts, restarts, strict=False):
            file.write(text.encode())
            file.flush()
            tail.look()
            clock.pump([0, 0])
            if is_restart:
                tail.stop()
                tail = follow()
        tail.finish()
        clock.pump([0, 0, 0])
    *whole, last = "".join(texts).split("\n")
    assert recorder.stdout == [line.removesuffix("\r") for line in whole] + [last] * bool(last)


def test_a_spool_that_is_not_there_is_made() -> None:
    """An agent that was not even started has an empty output, which only we can read."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "stdout")
        spool = Spool(str(path), Cursor(), is_growing=False)
        assert spool.read(is_last=True) is None
        spool.close()
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match="Bad file descriptor"):
            spool.read(is_last=True)
