"""
What drives an agent: its provider, its driver, and what both may know.

A *provider* knows one kind of command-line agent: how it is started, and which *driver* speaks its
language. Who runs what they plan is ``interface.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import attrs
from zope.interface import Attribute, Interface

from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.outputs import Outputs
from loki_twisted.agents.plugin import IProvider as IProvider  # noqa: PLC0414  # part of this contract
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message
from loki_twisted.model.spending import CostOrigin


class Messaging(Enum):
    """When an agent takes what people tell it."""

    NEVER = "never"
    NEXT = "next"
    """When it has done what it is doing."""
    NOW = "now"
    """Also while it is at work."""


@attrs.frozen(slots=True, kw_only=True)
class Abilities:
    """
    What one kind of agent can do, for people who choose.

    :ivar asks: Whether it puts questions, or asks for permissions, and waits for the answer.
    :ivar messaging: When it takes messages.
    :ivar continues: Whether a conversation can be continued by a new run.
    :ivar cost: Where its cost comes from.
    """

    asks: bool = False
    messaging: Messaging = Messaging.NEVER
    continues: bool = False
    cost: CostOrigin = CostOrigin.UNKNOWN


class IDriver(Interface):
    """
    What one agent says and is told, in its own language. Logic alone: bytes and wishes in,
    outputs out; no I/O, no clock.

    One is made for each run of an agent, and again after a restart of the server: then it goes on
    in the middle, from what :meth:`memory` gave before. What it returns and the memory behind it
    are stored together, so that nothing of it happens twice.

    Nothing that an agent prints makes it fail: what it does not know it counts, and passes on as a
    log line or not at all. ``agents/providers/driver.py`` has a base for it.
    """

    line_limit: int = Attribute(
        "Bytes of a line beyond which it is cut, 16 MiB at most. Of a cut one the first 64 KiB are"
        " given, with a mark."
    )

    value_limit: int = Attribute(
        "Values of JSON in a line of more than 64 KiB beyond which it is cut likewise; 65,536 at"
        " most, and 32,768 where it is not said. To read so many holds up everybody for a moment:"
        " only a driver that looks at few of them can do with more."
    )

    is_ready: bool = Attribute("Whether a message would be taken now as the next thing to do.")

    takes_now: bool = Attribute("Whether a message would be taken now into what it is doing.")

    says_done: bool = Attribute(
        "Whether an agent of this kind always says how a turn ended, so that one which ends without"
        " that has failed, whatever its exit code."
    )

    def begin() -> Outputs:
        """
        The agent runs: tell it what it is to do, if its command line did not.

        Called once in the life of the agent, before any line.
        """

    def line(stream: str, text: str) -> Outputs:
        """
        Take a line.

        :param stream: ``stdout`` or ``stderr``.
        :param text: The line without its end, decoded from UTF-8 (broken bytes as U+FFFD).
        :returns: Facts are never ``session:*``, ``message:*``, ``heartbeat``, ``input:answered`` or
            ``input:withdrawn``.
        """

    def quiet() -> Outputs:
        """Nothing has come for a second: say what was held back to be joined with more."""

    def say(message: Message) -> Outputs:
        """
        Take a message for the agent; called only while it is ready for it.

        :returns: :class:`Taken` for it now, or later when the agent confirms it.
        """

    def answer(key: str, answer: Answer) -> Outputs:
        """
        Take the answer to something that is open.

        :param key: That of :class:`Asked`. One that the driver does not know is passed over.
        """

    def interrupt() -> Outputs:
        """The agent is to leave off what it is doing, and to stay. Nothing, if it cannot."""

    def wake() -> Outputs:
        """The time of :attr:`Hindered.until_ms` has come."""

    def ended() -> Outputs:
        """The agent has ended, and its last line was given: say what was held back."""

    def memory() -> str:
        """
        Give what the next driver of this agent has to know, as text, at most 256 KiB; empty if
        that is nothing. The same text as long as nothing has changed.
        """


class IMachine(Interface):
    """What a provider may know of the machine and of the server's settings."""

    python: str = Attribute("Absolute path of our interpreter.")

    search_path: str = Attribute("The server's ``PATH``.")

    allows_commands: bool = Attribute("Whether requests may name the program that is to run.")

    def find(program: str) -> str | None:
        """Find a program on the server's ``PATH``: its absolute path, or None."""

    def environment(session_id: str, variables: Mapping[str, str]) -> Mapping[str, str]:
        """
        Make the environment of an agent, by the list of what agents are given.

        :param variables: Those that are put in, whatever the list says.
        """


class IProviders(Interface):
    """All the kinds of agents that this server can start."""

    def available() -> Mapping[str, bool]:
        """
        Which providers can be started now, by name.

        Looks at the file system at most once in a few seconds and starts no process.
        """

    def plan(request: LaunchRequest) -> LaunchPlan:
        """
        Say how to start an agent.

        :raises InvalidRequest: if there is no such provider, or it needs what the request lacks.
        :raises ProviderNotAvailable: if its program is not installed.
        """

    def abilities(provider: str) -> Abilities:
        """What a provider can do; nothing, if there is none of that name."""

    def driver(request: LaunchRequest, memory: str) -> IDriver:
        """
        Make a driver for a run.

        :param request: With :data:`LOKI_MODE` as provider for all that Loki Mode runs. That of the
            plain line protocol is made for an unknown one.
        :param memory: Of the driver before, if the server was started anew; else empty.
        """
