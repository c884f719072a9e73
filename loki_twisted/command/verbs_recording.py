"""The verb of ``lokictl`` that records."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack

from loki_twisted.client import LokiClient
from loki_twisted.client.recording import record as record_session
from loki_twisted.command.arguments import USAGE_EXIT
from loki_twisted.command.calling import call, complain


def record(given: argparse.Namespace) -> int:
    """Keep what an agent prints, with times, until its session has ended."""
    with ExitStack() as open_files:
        out = sys.stdout.buffer
        if given.file != "-":
            try:
                # What agents print may hold secrets: it is for nobody else to read.
                descriptor = os.open(given.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except OSError as error:
                return complain(f"{given.file}: {error.strerror}", USAGE_EXIT)
            out = open_files.enter_context(os.fdopen(descriptor, "wb"))

        def write(line: bytes) -> None:
            out.write(line)
            out.flush()

        async def talk(client: LokiClient) -> int:
            await record_session(client, given.session_id, write, _now_ms)
            return 0

        return call(given, talk)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
