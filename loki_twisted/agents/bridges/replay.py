"""
Plays a recording: prints what an agent printed, as fast or as slowly as is wanted.

``replay FILE SPEED``: the speed divides all waits; 0 is without any. The exit code is that of the
recording; that of one that was broken off is 1. What comes on the standard input is not read.
``model/recordings.py`` has the format.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_DESCRIPTORS = {"stdout": 1, "stderr": 2}

_MOST_LINE = 8 * 1024 * 1024
"""Bytes of a line beyond which it is none of a recording: what was recorded has shorter ones."""

_FAULTS = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What a line raises that is none of a recording, or whose times no clock has."""


def main(arguments: Sequence[str]) -> int:
    """
    Play a recording to its end.

    :param arguments: The path of the file, and the speed.
    :returns: The exit code.
    """
    path, speed = arguments[0], float(arguments[1])
    began = time.monotonic()
    with open(path, "rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE), b""), 1):
            try:
                code = play(json.loads(line), began, speed)
            except _FAULTS:
                sys.stderr.write(f"Line {number} is none of a recording.\n")
                return 1
            if code is not None:
                return code
    sys.stderr.write("The recording was broken off here.\n")
    return 1


def play(entry: Mapping[str, Any], began: float, speed: float) -> int | None:
    """
    Play one entry, when its time has come.

    :param began: When the first was played, by the monotonic clock.
    :returns: The exit code, if it is the end.
    """
    if entry["kind"] == "loki":
        return None
    if speed:
        wait_until(began + entry["atMs"] / 1000 / speed)
    if entry["kind"] == "end":
        return 0 if entry["exitCode"] is None else int(entry["exitCode"])
    print_piece(entry)
    return None


def wait_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    time.sleep(max(0.0, moment - time.monotonic()))


def print_piece(entry: Mapping[str, Any]) -> None:
    """Print the bytes of a piece where they were printed."""
    text = entry.get("text")
    data = base64.b64decode(entry["base64"]) if text is None else text.encode()
    while data:
        data = data[os.write(_DESCRIPTORS[entry["stream"]], data) :]
