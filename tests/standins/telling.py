"""
An agent that prints what it is told to, when it is told to.

Each line of its standard input is an order:

``say WORDS``
    Print the words.
``flow COUNT SECONDS LENGTH``
    From now on print so many lines at a time, so many seconds apart, with so many bytes of
    padding in each. They are numbered from 1 and are logs of four levels and progress of
    a task by turns; each says when it was printed, in nanoseconds of the monotonic clock.
``rest``
    Print no more of them.
``end CODE``
    End with that code.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator

FORMS = (
    "{}",
    "[WARN] [telling] {}",
    '{{"type":"task:progress","data":{{"taskId":"t1","title":"{}","status":"running"}}}}',
    "[DEBUG] {}",
    "[ERROR] {}",
)


class Flow:
    """
    Prints lines at a rate, and catches up where it was held back.

    :ivar due: When the next lines are to be printed, by the monotonic clock; None for never.
    """

    def __init__(self) -> None:
        self.due: float | None = None
        self._number = 0

    def begin(self, count: str, seconds: str, length: str) -> None:
        """Print from now on."""
        self._count, self._seconds, self._padding = int(count), float(seconds), "x" * int(length)
        self.due = time.monotonic()

    def rest(self) -> None:
        """Print no more."""
        self.due = None

    def go_on(self) -> None:
        """Print what is due."""
        if self.due is not None and self.due <= time.monotonic():
            sys.stdout.write("".join(self._line() for _ in range(self._count)))
            sys.stdout.flush()
            self.due += self._seconds

    def _line(self) -> str:
        self._number += 1
        words = f"line {self._number} at {time.monotonic_ns()} {self._padding}"
        return FORMS[self._number % len(FORMS)].format(words.rstrip()) + "\n"


def orders(due: Callable[[], float | None]) -> Iterator[list[str]]:
    """Give each order, and an empty one when a time has come."""
    waiting = b""
    while True:
        when = due()
        patience = None if when is None else max(0.0, when - time.monotonic())
        readable, _, _ = select.select([0], [], [], patience)
        if readable:
            piece = os.read(0, 65536)
            if not piece:
                return
            waiting += piece
        while b"\n" in waiting:
            line, _, waiting = waiting.partition(b"\n")
            yield line.decode().split()
        yield []


def main() -> int:
    """Do what is ordered."""
    flow = Flow()
    for name, *words in (order or ["go on"] for order in orders(lambda: flow.due)):
        match name:
            case "say":
                print(*words, flush=True)
            case "flow":
                flow.begin(*words)
            case "rest":
                flow.rest()
            case "end":
                return int(words[0])
        flow.go_on()
    return 1  # nobody is left who could order anything


if __name__ == "__main__":
    sys.exit(main())
