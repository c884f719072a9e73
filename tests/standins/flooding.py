"""
An agent that floods: ``python flooding.py KIND AMOUNT SECONDS``.

Prints as much as it can, or AMOUNT lines a second for SECONDS where KIND is ``lines``; else AMOUNT
bytes of the kind at once. Then a last line, ``the end``, which begins a line of its own.
"""

from __future__ import annotations

import os
import sys
import time

PIECE = 1_000_000
ROUND_SECONDS = 0.05

KINDS = {
    "endless": b"x",
    "binary": bytes(range(256)),
    "broken": b"\xff\xc3\xe2\x82\xf0\x9f\x98 text\n",
    "empty": b"\n",
}


def write(data: bytes) -> None:
    """Write all of it, as a plain program does."""
    while data:
        data = data[os.write(1, data) :]


def flood(kind: bytes, amount: int) -> None:
    """Print so many bytes, as fast as the disk takes them."""
    piece = kind * (PIECE // len(kind))
    while amount > 0:
        write(piece[:amount])
        amount -= len(piece)


def lines(rate: int, seconds: float) -> None:
    """Print numbered lines at a rate."""
    began, number = time.monotonic(), 0
    while number < rate * seconds:
        due = min(int(rate * seconds), int(rate * (time.monotonic() - began + ROUND_SECONDS)))
        write(b"".join(b"line %d\n" % each for each in range(number, due)))
        number = due
        time.sleep(ROUND_SECONDS)


def main() -> None:
    """Flood."""
    kind, amount, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    if kind == "lines":
        lines(amount, seconds)
    else:
        flood(KINDS[kind], amount)
    write(b"\nthe end\n")


if __name__ == "__main__":
    main()
