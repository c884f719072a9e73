"""A log that nobody reads."""

from __future__ import annotations

import http.client
import io
import os
import pty
import re
import subprocess
import sys
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import attrs
import pytest
from twisted.logger import Logger

from loki_twisted.command.log_stream import LineStream
from loki_twisted.command.logs import LineObserver
from tests.system import TIMEOUT

LINES = 5_000


@attrs.frozen
class Pipe:
    """A stream whose other end is read when a test does so."""

    reader: int
    stream: TextIO

    def read(self) -> str:
        """All that has been written."""
        data = b""
        while part := self._part():
            data += part
        return data.decode()

    def _part(self) -> bytes:
        try:
            return os.read(self.reader, 1 << 16)
        except BlockingIOError:
            return b""


def pipe_between(reader: int, writer: int) -> Pipe:
    """Make one of two descriptors."""
    os.set_blocking(reader, False)
    return Pipe(reader, os.fdopen(writer, "w", encoding="utf-8"))


@pytest.fixture(params=["pipe", "terminal"])
def pipe(request: pytest.FixtureRequest) -> Iterator[Pipe]:
    """One of each kind that can be full."""
    reader, writer = os.pipe() if request.param == "pipe" else pty.openpty()
    if request.param == "terminal":
        tty.setraw(writer)
    made = pipe_between(reader, writer)
    yield made
    made.stream.close()
    os.close(reader)


@pytest.mark.promise("R27")
def test_nobody_waits_for_a_reader(pipe: Pipe) -> None:
    """What finds no room is lost, and that is told when there is room again."""
    log = Logger(namespace="loki_twisted.x", observer=LineObserver(pipe.stream))
    for number in range(LINES):
        log.info("line {number} of a log that nobody reads", number=number)
    first = pipe.read()
    for number in range(LINES, LINES + 3):
        log.info("line {number} of a log that nobody reads", number=number)
    later = pipe.read()
    numbers = [int(each) for each in re.findall(r"INFO     line (\d+) of", first + later)]
    [lost] = re.findall(r"WARN     (\d+) lines of this log were lost: nobody took them\n", later)
    assert 0 < len(numbers) < LINES
    assert numbers[-3:] == list(range(LINES, LINES + 3))
    assert numbers == sorted(set(numbers))
    assert int(lost) == LINES + 3 - len(numbers)


def test_a_line_that_is_cut_ends(pipe: Pipe) -> None:
    """One that only half of found room ends there, and the next one is whole."""
    stream = LineStream(pipe.stream, "{} lost\n".format)
    stream.write("x" * 1_000_000 + "\n")
    cut = pipe.read()
    stream.write("whole\n")
    assert set(cut) == {"x"}
    assert pipe.read() == "\n1 lost\nwhole\n"


def test_a_reader_that_has_gone() -> None:
    """Nothing comes of it."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        LineStream(stream, str).write("one\n")


def test_a_stream_without_a_descriptor() -> None:
    """It takes all lines."""
    stream = io.StringIO()
    LineStream(stream, str).write("one\n")
    assert stream.getvalue() == "one\n"


def test_any_text_can_be_written(pipe: Pipe) -> None:
    """Also half characters, as signs that stand for them."""
    LineStream(pipe.stream, str).write("ä \udc80\n")
    assert pipe.read() == "ä \\udc80\n"


@pytest.mark.promise("R27")
def test_a_server_whose_log_nobody_reads(tmp_path: Path) -> None:
    """It answers all requests, each of which is logged, and ends when it is told to."""
    argv = [sys.executable, "-m", "loki_twisted", "serve", "--port", "0", "--access-log"]
    with subprocess.Popen(
        argv, env={**os.environ, "LOKI_DIR": str(tmp_path)}, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = b""
        while (found := re.search(rb"http://127\.0\.0\.1:(\d+)", said)) is None:
            said += process.stderr.readline()
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=TIMEOUT)
        for number in range(350):
            connection.request("GET", f"/health/live?{'x' * 200}{number}")
            assert connection.getresponse().read()
        connection.close()
        process.terminate()
        assert process.wait(TIMEOUT) == 0
