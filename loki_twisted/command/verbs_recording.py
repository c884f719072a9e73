"""The verb of ``lokictl`` that records."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack, suppress
from typing import BinaryIO

import msgspec

from loki_twisted.client import LokiClient
from loki_twisted.client.recording import record as record_session
from loki_twisted.command.calling import Talk, call, complain, show
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import plain
from loki_twisted.command.names import find_session
from loki_twisted.command.progress import progress


class Written(msgspec.Struct):
    """How much was written."""

    lines: int = 0
    bytes: int = 0

    def told(self) -> str:
        """Say it to people."""
        return f"{self.lines} lines, {self.bytes} bytes"


def record(given: argparse.Namespace) -> int:
    """Keep what an agent prints, with times, until its session has ended."""
    written = Written()
    with ExitStack() as open_files:
        out = sys.stdout.buffer
        if given.file != "-":
            try:
                # What agents print may hold secrets: it is for nobody else to read.
                descriptor = os.open(given.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except OSError as error:
                return complain(f"{given.file}: {error.strerror}", Exit.USAGE)
            open_files.callback(_drop_empty, given.file, written)
            out = open_files.enter_context(os.fdopen(descriptor, "wb"))
        return call(given, _recording(given, out, written))


def _drop_empty(file: str, written: Written) -> None:
    """Remove a file into which nothing was written: there is no recording."""
    if not written.bytes:
        with suppress(OSError):
            os.unlink(file)


def _recording(given: argparse.Namespace, out: BinaryIO, written: Written) -> Talk:
    def write(line: bytes) -> None:
        out.write(line)
        out.flush()
        written.lines += 1
        written.bytes += len(line)

    async def talk(client: LokiClient) -> int:
        session_id = await find_session(client, given.session)
        recording = record_session(client, session_id, write, _now_ms)
        if given.file == "-" and sys.stdout.isatty():
            await recording  # what is printed shows that it goes on
        else:
            await progress(f"Recording {session_id}", recording, told=written.told)
        if given.file != "-":
            show(given, written, f"{written.told()}: {plain(given.file)}")
        return Exit.DONE

    return talk


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
