"""Taking up what has changed in a file of tokens, and noticing when one expires."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from loki_twisted.access.keyring import Keyring
from loki_twisted.access.token_file import TokenFileRefused, read_tokens
from loki_twisted.kernel.repeating import repeating

LOOK_SECONDS: Final = 1.0

_log: Final = Logger()

_Sight = tuple[int, int, int, int]


class TokenWatch:
    """
    Keeps a keyring as its file says.

    What is written bit by bit is taken up when it has stayed as it is from one look to the next. A
    file that becomes wrong, or goes, changes nothing but what is told of it: who is writing it may
    have made a slip, and would have locked everybody out. So tokens are taken back by lines that
    go, and not by the file.

    :param path: The file; None for no file.
    :param settle: Called once a second, and when the tokens have changed: somebody may have no
        right to be here any more.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        path: str | None,
        keyring: Keyring,
        settle: Callable[[], None],
    ) -> None:
        self._path = path
        self._keyring = keyring
        self._settle = settle
        self._taken = self._seen = self._sight()
        self._problem: str | None = None
        self._look = repeating(reactor, self._looked, "The file of tokens could not be looked at")

    def load(self) -> None:
        """
        Have the tokens of the file.

        :raises TokenFileRefused: if it cannot be used; nothing was changed then.
        """
        if self._path is not None:
            self._taken = self._seen = self._sight()
            self._keyring.replace(read_tokens(self._path))

    def start(self) -> None:
        """Begin to look."""
        self._look.start(LOOK_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more. May be repeated."""
        if self._look.running:
            self._look.stop()

    def reload(self) -> None:
        """Take up what the file says now."""
        try:
            self.load()
        except TokenFileRefused as error:
            self._problem = f"The tokens are those of before: {error}"
            _log.error("{problem}", problem=self._problem)
            self._settle()
        else:
            self._is_right()

    def _is_right(self) -> None:
        self._problem = None
        _log.info("The tokens are as their file says now")
        self._settle()

    def problem(self) -> str | None:
        """Why the tokens are not those of the file, in a sentence, or None."""
        return self._problem

    def _looked(self) -> None:
        with _log.failuresHandled("The tokens could not be looked at"):
            now = self._sight()
            is_new, is_still = now != self._taken, now == self._seen
            self._seen = now
            if is_new and is_still:
                self.reload()
            elif self._problem is not None and is_still:
                self._try_again()
            else:
                self._settle()

    def _try_again(self) -> None:
        """See whether what cannot be used can be by now: there may have been no descriptor left."""
        try:
            self.load()
        except TokenFileRefused:
            self._settle()  # it was told
        else:
            self._is_right()

    def _sight(self) -> _Sight | None:
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
