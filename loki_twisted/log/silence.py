"""Whether a disk answers: one that hangs says nothing, not even that something is wrong."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from loki_twisted.log.interface import ILogReactor
from loki_twisted.model.errors import StorageFailed

NO_ANSWER: Final = "The disk of the log has not answered for more than {seconds:g} s."
LONG_OPENING: Final = (
    "The log is not open after more than {seconds:g} s: its disk does not answer, or all of it is"
    " read, as after damage or of an earlier version."
)

_LONGEST_STEP_SECONDS: Final = 2.0

_log: Final = Logger()


class Silence:
    """
    Measures for how long nothing was heard of a thread that has something to do.

    It has no timer: whoever wants to know asks, and somebody is to ask each second. Of the time
    between two questions two seconds count at most: in more this process was stopped or suspended,
    its reactor held, or the clock put forward, and of all that the disk knows nothing.

    :param seconds: How long that may take.
    """

    def __init__(self, reactor: ILogReactor, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._asked_at = reactor.seconds()
        self._passed = 0.0
        self._since: float | None = None
        self._words = NO_ANSWER
        self._is_told = False

    @property
    def is_waiting(self) -> bool:
        """Whether the thread has something to do."""
        return self._since is not None

    def lasts(self, seconds: float) -> bool:
        """Whether nothing was heard for more than so long."""
        now = self._now()
        return self._since is not None and now - self._since > seconds

    def asked(self, words: str = NO_ANSWER) -> None:
        """
        Take note that the thread was given something to do.

        :param words: What is said if that takes too long, if it had nothing to do before.
        """
        if self._since is None:
            self._since = self._now()
            self._words = words

    def heard(self, *, has_more: bool) -> None:
        """
        Take note of a word of the thread.

        :param has_more: Whether it has something to do still.
        """
        self._since = self._now() if has_more else None
        self._words = NO_ANSWER
        if self._is_told:
            _log.info("the disk of the log answers again")
            self._is_told = False

    def failure(self) -> StorageFailed | None:
        """Say that it has taken too long, or None. The first time that is logged, too."""
        if not self.lasts(self._seconds):
            return None
        failure = StorageFailed(self._words.format(seconds=self._seconds))
        if not self._is_told:
            _log.error("{error}", error=failure)
            self._is_told = True
        return failure

    def _now(self) -> float:
        """A clock that goes on only as long as somebody asks."""
        now = self._reactor.seconds()
        self._passed += min(max(0.0, now - self._asked_at), _LONGEST_STEP_SECONDS)
        self._asked_at = now
        return self._passed
