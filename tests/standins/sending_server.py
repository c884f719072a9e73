"""
A server that does nothing but write to an agent, and is killed in the middle of that.

``python sending_server.py ROOT POINT``: adopts the agent of ``session_1`` and sends it all
messages,
each to its own place in the input, and then the end of its input. It is killed at the point, which
is one of :data:`POINTS`, or ``never``.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor

from loki_twisted.agents.runner import KeeperRunner
from loki_twisted.model.errors import Unavailable

MESSAGES = [
    b"".join(b"%d of message %d\n" % (line, number) for line in range(size))
    for number, size in enumerate([3, 20_000])
]

POINTS = [
    *(f"{number} {act}" for number in range(len(MESSAGES)) for act in ("input", "sync", "order")),
    "end sync",
    "end order",
]
"""
Before what it can be killed: that half of a message is written beside the other half, that it
is made safe, that the keeper is told of it; and so with the end.
"""


class Executioner:
    """
    Knows what is done to the files of an agent, and kills us.

    :ivar stage: What we are at: the number of a message, or the end.
    """

    def __init__(self, point: str) -> None:
        self.stage = "begin"
        self._point = point
        self._write = os.write
        self._watch("write", lambda path: "order" if path.endswith("control") else "input")
        self._watch("fdatasync", lambda _: "sync")
        self._watch("fsync", lambda _: "sync")

    def _watch(self, name: str, act_of: Callable[[str], str]) -> None:
        function: Callable[..., Any] = getattr(os, name)

        def watched(file: int, *data: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{file}")
            if "/session_1" in path and f"{self.stage} {act_of(path)}" == self._point:
                if name == "write" and path.endswith("input"):
                    self._write(file, *(each[: len(each) // 2] for each in data))
                os.kill(os.getpid(), signal.SIGKILL)
            return function(file, *data)

        setattr(os, name, watched)


def main() -> None:
    """Send."""
    root, point = sys.argv[1:]
    executioner = Executioner(point)
    agent = KeeperRunner(reactor, root).adopt("session_1")
    assert agent is not None
    at = 0
    try:
        for number, message in enumerate(MESSAGES):
            executioner.stage = str(number)
            at = agent.send(message, at)
    except Unavailable:
        return  # It has seen the end of its input, and has ended.
    executioner.stage = "end"
    agent.end_input()


if __name__ == "__main__":
    main()
