"""Tests of :mod:`loki_twisted.command.outlet`: the log where nobody reads it."""

from __future__ import annotations

import fcntl
import http.client
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from twisted.logger import Logger

from loki_twisted.command.logs import FORMATS, LineObserver
from loki_twisted.command.outlet import Outlet
from tests.system import TIMEOUT

Pipe = tuple[int, TextIO]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A small pipe: the descriptor of its reader, and the stream of its writer."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with open(writer, "w", encoding="utf-8") as stream:
        yield reader, stream
        os.close(reader)


def read(reader: int) -> str:
    """All that is in a pipe."""
    said = b""
    while select.select([reader], [], [], 0)[0]:
        said += os.read(reader, 65536)
    return said.decode()


def test_what_nobody_reads_is_left_out(pipe: Pipe) -> None:
    """It is not waited for; when somebody reads again that is told, and how much it was."""
    reader, stream = pipe
    logger = Logger(namespace="loki_twisted", observer=LineObserver(stream, write=FORMATS["json"]))
    for number in range(200):
        logger.info("{number}", number=number)
    before = [json.loads(line)["number"] for line in read(reader).splitlines()]
    assert before == [*range(len(before))]
    assert 0 < len(before) < 200

    logger.info("again")
    told, again = (json.loads(line) for line in read(reader).splitlines())
    assert (told["level"], told["count"]) == ("warn", 200 - len(before))
    assert again["message"] == "again"
    logger.info("and again")
    assert json.loads(read(reader))["message"] == "and again"


def test_a_long_line_that_broke_off_spoils_no_other(pipe: Pipe) -> None:
    """The next line begins on a line of its own; half a character is never written."""
    reader, stream = pipe
    outlet = Outlet(stream)
    assert not outlet.write("é" * 100_000 + "\n")
    broken = read(reader)
    assert set(broken) == {"é"}
    assert outlet.write("next\n")
    assert read(reader) == "\nnext\n"


def test_all_of_a_long_line_goes_where_somebody_reads() -> None:
    """However it is cut into pieces: also to what is no file at all."""
    stream = io.StringIO()
    text = "".join(f"{number}-" for number in range(10_000)) + "\n"
    assert Outlet(stream).write(text)
    assert stream.getvalue() == text


def test_whose_reader_is_gone_is_an_error(pipe: Pipe) -> None:
    """As ever: it is for whoever logs to see."""
    reader, stream = pipe
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reader)
    os.close(null)
    with pytest.raises(BrokenPipeError):
        Outlet(stream).write("x\n")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_terminal_that_was_stopped_stops_no_server(tmp_path: Path) -> None:
    """Ctrl-S, and every request that is logged is answered all the same."""
    master, slave = pty.openpty()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    options = ("--port", "0", "--access-log")
    with subprocess.Popen(
        [sys.executable, "-m", "loki_twisted", "serve", *options],
        cwd=tmp_path,
        env={**inherited, "LOKI_DIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stderr=slave,
    ) as server:
        said = b""
        while not (found := re.search(rb"http://127\.0\.0\.1:(\d+)", said)):
            said += os.read(master, 4096)
        termios.tcflow(slave, termios.TCOOFF)
        for _ in range(3):
            assert alive(int(found[1]))
        termios.tcflow(slave, termios.TCOON)
        assert alive(int(found[1]))
        while b"3 entries of the log were left out" not in said:
            said += os.read(master, 4096)
        server.terminate()
        assert server.wait(TIMEOUT) == 0
    os.close(master)
    os.close(slave)


def alive(port: int) -> bool:
    """Whether a server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    connection.request("GET", "/health/live")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status == 200
