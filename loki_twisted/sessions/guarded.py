"""A driver that may be anybody's, so that what it gets wrong holds up nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import Output, Outputs, Refused
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message

_log = Logger()

_LINE_LIMIT: Final = 64 * 1024
"""Bytes of a line, where the driver does not say how long one may be."""


@implementer(IDriver)
class GuardedDriver:
    """
    A driver of which no call raises.

    What fails is told as an error. A line that it cannot bear is a log line, a message is refused,
    and an agent that it cannot interrupt is one that cannot be interrupted.

    :param driver: The driver.
    :param session_id: Whose it is.
    :param memory: What it was made with.
    """

    def __init__(self, driver: IDriver, session_id: str, memory: str) -> None:
        self._driver = driver
        self._session_id = session_id
        self._memory = memory

    @property
    def line_limit(self) -> int:
        """See :class:`IDriver`."""
        return int(self._attribute("line_limit", _LINE_LIMIT))

    @property
    def is_ready(self) -> bool:
        """See :class:`IDriver`."""
        return bool(self._attribute("is_ready", False))

    @property
    def takes_now(self) -> bool:
        """See :class:`IDriver`."""
        return bool(self._attribute("takes_now", False))

    @property
    def says_done(self) -> bool:
        """See :class:`IDriver`."""
        return bool(self._attribute("says_done", False))

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._ask("begin")

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        try:
            return list(self._driver.line(stream, text))
        except Exception:  # noqa: BLE001 (see above)
            self._failed("line")
            level = "info" if stream == "stdout" else "error"
            return [Fact(f"log:{level}", {"level": level, "message": text})]

    def quiet(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._ask("quiet")

    def say(self, message: Message) -> Outputs:
        """See :class:`IDriver`."""
        refused = Refused(message.id, "Its driver failed on it.")
        return self._ask("say", message, otherwise=[refused])

    def answer(self, key: str, answer: Answer) -> Outputs:
        """See :class:`IDriver`."""
        return self._ask("answer", key, answer)

    def interrupt(self) -> Outputs:
        """See :class:`IDriver`."""
        try:
            return list(self._driver.interrupt())
        except Exception:  # noqa: BLE001 (see above)
            self._failed("interrupt")
            return ()

    def wake(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._ask("wake")

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._ask("ended")

    def memory(self) -> str:
        """See :class:`IDriver`. That of the last time, if it fails."""
        try:
            self._memory = self._driver.memory()
        except Exception:  # noqa: BLE001 (see above)
            self._failed("memory")
        return self._memory

    def _attribute(self, name: str, otherwise: Any) -> Any:
        try:
            return getattr(self._driver, name)
        except Exception:  # noqa: BLE001 (see above)
            self._failed(name)
            return otherwise

    def _ask(self, name: str, *args: object, otherwise: Sequence[Output] = ()) -> Outputs:
        try:
            return list(getattr(self._driver, name)(*args))
        except Exception:  # noqa: BLE001 (see above)
            self._failed(name)
            words = f"The driver of the agent failed ({name})."
            return [Fact("log:error", {"level": "error", "message": words}), *otherwise]

    def _failed(self, name: str) -> None:
        _log.failure("The driver of {id} failed: {name}", id=self._session_id, name=name)
