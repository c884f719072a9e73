"""Whether a disk answers: one that hangs says nothing, not even that something is wrong."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from loki_twisted.log.interface import ILogReactor
from loki_twisted.model.errors import StorageFailed

_WORDS: Final = "The disk of the log has not answered for more than {seconds:g} s."

_ABSENT_SECONDS: Final = 3.0

_log: Final = Logger()


class Silence:
    """
    Measures for how long nothing was heard of a thread that has something to do.

    It has no timer: whoever wants to know asks. Time in which this process itself was held up is no
    silence of somebody else's.

    :param seconds: How long that may take.
    """

    def __init__(self, reactor: ILogReactor, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._since: float | None = None
        self._seen: float | None = None
        self._is_told = False

    def present(self) -> None:
        """Take note that we are at work ourselves. To be called each second, from some time on."""
        now = self._reactor.seconds()
        if self._since is not None and self._was_absent(now):
            self._since = now
        self._seen = now

    def leave(self) -> None:
        """Take note that :meth:`present` is called no more."""
        self._seen = None

    @property
    def is_waiting(self) -> bool:
        """Whether the thread has something to do."""
        return self._since is not None

    def lasts(self, seconds: float) -> bool:
        """Whether nothing was heard for more than so long."""
        now = self._reactor.seconds()
        return self._since is not None and now - self._since > seconds and not self._was_absent(now)

    def _was_absent(self, now: float) -> bool:
        return self._seen is not None and now - self._seen > _ABSENT_SECONDS

    def asked(self) -> None:
        """Take note that the thread was given something to do."""
        if self._since is None:
            self._since = self._reactor.seconds()

    def heard(self, *, has_more: bool) -> None:
        """
        Take note of a word of the thread.

        :param has_more: Whether it has something to do still.
        """
        self._since = self._reactor.seconds() if has_more else None
        if self._is_told:
            _log.info("the disk of the log answers again")
            self._is_told = False

    def failure(self) -> StorageFailed | None:
        """Say that it has taken too long, or None. The first time that is logged, too."""
        if not self.lasts(self._seconds):
            return None
        failure = StorageFailed(_WORDS.format(seconds=self._seconds))
        if not self._is_told:
            _log.error("{error}", error=failure)
            self._is_told = True
        return failure
