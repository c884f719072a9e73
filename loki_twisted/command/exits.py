"""What the exit codes of ``lokictl`` mean."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """How ``lokictl`` ended, for scripts; :data:`MEANINGS` says what each means."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    NO_SERVER = 5
    FAILED = 6
    STOPPED = 7
    UNWELL = 8
    UNEXPECTED = 70
    NOT_WRITTEN = 74
    INTERRUPTED = 128 + signal.SIGINT
    UNHEARD = 128 + signal.SIGPIPE


MEANINGS: Final[Mapping[Exit, str]] = {
    Exit.DONE: "It was done. A session that was followed to its end has completed.",
    Exit.REFUSED: "The server said no: the state of things does not allow it.",
    Exit.USAGE: "The command line, or a variable of the environment, is wrong.",
    Exit.NOT_FOUND: "There is no such session, question or task, or the name fits several.",
    Exit.NOT_ALLOWED: "The server wants a token, or another one.",
    Exit.NO_SERVER: "Nothing answers, or what answers is not to be trusted.",
    Exit.FAILED: "The session that was followed to its end has failed.",
    Exit.STOPPED: "The session that was followed to its end was stopped.",
    Exit.UNWELL: "The server is unhealthy.",
    Exit.UNEXPECTED: "A fault of lokictl itself, which is told on stderr.",
    Exit.NOT_WRITTEN: "What there was to print, or to keep in a file, could not be written.",
    Exit.INTERRUPTED: "Ctrl-C. Other signals likewise: 128 and the number of the signal.",
    Exit.UNHEARD: "Nobody read any more what was printed, as with | head. Nothing is said of it.",
}
"""In a sentence each, for the documentation."""
