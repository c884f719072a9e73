"""
A driver that may be anybody's, so that what it gets wrong holds up nothing.

What drivers of others say is looked at before anything is made of it. Ours are not, because that
takes longer than what they do; the tests look at what they say (``tests/driver_laws.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import Output, Outputs, Refused, Withdrawn
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message
from loki_twisted.sessions.soundness import error, fault_of_memory, sound

T = TypeVar("T")

_log = Logger()

WRONG: Final = (Exception, GeneratorExit, SystemExit)
"""Whatever a mistake of a driver may raise: none of it ends the server."""

_OURS: Final = "loki_twisted."

_LINE_LIMIT: Final = 64 * 1024
"""Bytes of a line, where the driver does not say how long one may be."""

_VALUE_LIMIT: Final = 32 * 1024
"""Values of one, where the driver does not say how many it may have."""


@implementer(IDriver)
class GuardedDriver:
    """
    A driver of which no call raises, and that says nothing that cannot be kept.

    What fails is told as an error. A line that it cannot bear is a log line, a message is refused,
    the question to an answer is withdrawn, and an agent that it cannot interrupt is one that cannot
    be interrupted.

    :param driver: The driver.
    :param session_id: Whose it is.
    :param memory: What it was made with.
    """

    def __init__(self, driver: IDriver, session_id: str, memory: str) -> None:
        self._driver = driver
        self._session_id = session_id
        self._memory = memory
        self._is_ours = type(driver).__module__.startswith(_OURS)

    @property
    def line_limit(self) -> int:
        """See :class:`IDriver`."""
        return self._attribute("line_limit", _as_limit, _LINE_LIMIT)

    @property
    def value_limit(self) -> int:
        """See :class:`IDriver`. Not every driver says one."""
        return self._attribute("value_limit", _as_limit_if_any, _VALUE_LIMIT, None)

    @property
    def is_ready(self) -> bool:
        """See :class:`IDriver`."""
        return self._attribute("is_ready", bool, False)

    @property
    def takes_now(self) -> bool:
        """See :class:`IDriver`."""
        return self._attribute("takes_now", bool, False)

    @property
    def says_done(self) -> bool:
        """See :class:`IDriver`."""
        return self._attribute("says_done", bool, False)

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._ask("begin")

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        try:
            return self._sound(self._driver.line(stream, text))
        except WRONG:
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
        taken_back = Withdrawn(key, "Its driver failed on the answer.")
        return self._ask("answer", key, answer, otherwise=[taken_back])

    def interrupt(self) -> Outputs:
        """See :class:`IDriver`."""
        try:
            return self._sound(self._driver.interrupt())
        except WRONG:
            self._failed("interrupt")
            return ()

    def wake(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._ask("wake")

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._ask("ended")

    def memory(self) -> str:
        """See :class:`IDriver`. That of the last time, if it fails or is none."""
        try:
            memory = self._driver.memory()
        except WRONG:
            self._failed("memory")
            return self._memory
        if memory != self._memory and (fault := fault_of_memory(memory)) is not None:
            _log.error("The driver of {id} failed: {fault}", id=self._session_id, fault=fault)
            return self._memory
        self._memory = memory
        return memory

    def _attribute(self, name: str, read: Callable[[Any], T], otherwise: T, *missing: object) -> T:
        try:
            return read(getattr(self._driver, name, *missing))
        except WRONG:
            self._failed(name)
            return otherwise

    def _ask(self, name: str, *args: object, otherwise: Sequence[Output] = ()) -> Outputs:
        try:
            return self._sound(getattr(self._driver, name)(*args))
        except WRONG:
            self._failed(name)
            return [error(f"The driver of the agent failed ({name})."), *otherwise]

    def _sound(self, outputs: Iterable[Output]) -> Outputs:
        """Tell of those that cannot be kept instead."""
        return list(outputs) if self._is_ours else list(map(sound, outputs))

    def _failed(self, name: str) -> None:
        _log.failure("The driver of {id} failed: {name}", id=self._session_id, name=name)


def _as_limit_if_any(value: Any) -> int:
    return _VALUE_LIMIT if value is None else _as_limit(value)


def _as_limit(value: Any) -> int:
    if int(value) < 1:
        msg = f"no limit: {value!r}"
        raise ValueError(msg)
    return int(value)
