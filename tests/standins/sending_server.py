"""
A server that does nothing but write to an agent, and is killed in the middle of that.

``python sending_server.py ROOT STEP``: adopts the agent of ``session_1`` and sends it all messages,
each to its own place in the input, and then the end of its input. It is killed before the STEP-th
change of a file or order to the keeper; of a message that it was to write then it has written the
first half.
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
    for number, size in enumerate([3, 20_000, 1])
]


class Executioner:
    """
    Counts what is done to files of an agent, and kills us.

    :param step: In which step, from 1.
    """

    def __init__(self, step: int) -> None:
        self.steps_left = step
        self.write = os.write

    def watch(self, name: str) -> None:
        """Count the calls of a function of ``os`` that takes a descriptor."""
        function: Callable[..., Any] = getattr(os, name)

        def counted(file: int, *data: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{file}")
            if os.path.basename(path) in ("input", "control", "session_1"):
                self.count(file, path, *data)
            return function(file, *data)

        setattr(os, name, counted)

    def count(self, file: int, path: str, data: bytes = b"") -> None:
        """Take note of a step; if it is the last one, this does not return."""
        self.steps_left -= 1
        if self.steps_left == 0:
            if path.endswith("input"):
                self.write(file, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Send."""
    root, step = sys.argv[1], int(sys.argv[2])
    executioner = Executioner(step)
    for name in ("write", "fdatasync", "fsync"):
        executioner.watch(name)
    agent = KeeperRunner(reactor, root).adopt("session_1")
    assert agent is not None
    at = 0
    try:
        for message in MESSAGES:
            at = agent.send(message, at)
    except Unavailable:
        return  # It has seen the end of its input, and has ended.
    agent.end_input()


if __name__ == "__main__":
    main()
