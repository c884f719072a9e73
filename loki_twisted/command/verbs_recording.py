"""The verb of ``lokictl`` that records."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack

import msgspec

from loki_twisted.client import LokiClient
from loki_twisted.client.recording import record as record_session
from loki_twisted.command.calling import call, complain, show
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import plain
from loki_twisted.command.names import find_session
from loki_twisted.command.progress import progress


class _Written(msgspec.Struct):
    """How much was written."""

    lines: int = 0
    bytes: int = 0


def record(given: argparse.Namespace) -> int:
    """Keep what an agent prints, with times, until its session has ended."""
    with ExitStack() as open_files:
        out = sys.stdout.buffer
        if given.file != "-":
            try:
                # What agents print may hold secrets: it is for nobody else to read.
                descriptor = os.open(given.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except OSError as error:
                return complain(f"{given.file}: {error.strerror}", Exit.USAGE)
            out = open_files.enter_context(os.fdopen(descriptor, "wb"))

        written = _Written()

        def write(line: bytes) -> None:
            out.write(line)
            out.flush()
            written.lines += 1
            written.bytes += len(line)

        async def talk(client: LokiClient) -> int:
            session_id = await find_session(client, given.session)
            recording = record_session(client, session_id, write, _now_ms)
            await progress(f"Recording {session_id}", recording)
            if given.file != "-":
                summary = f"{written.lines} lines, {written.bytes} bytes: {plain(given.file)}"
                show(given, written, summary)
            return Exit.DONE

        return call(given, talk)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
