"""
What a plugin provides that is a kind of agent.

Apart from the rest of the contract (``driving.py``), and importing next to nothing: whenever
Twisted looks for plugins of any kind, for ``twistd --help`` too, it loads this interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.plugin import IPlugin
from zope.interface import Attribute

if TYPE_CHECKING:
    from loki_twisted.agents.driving import Abilities, IDriver, IMachine
    from loki_twisted.agents.interface import LaunchPlan, LaunchRequest


class IProvider(IPlugin):
    """
    One kind of agent: how it is started, and what drives it.

    Providers are found as plugins (:func:`twisted.plugin.getPlugins`) in ``twisted.plugins``.
    """

    name: str = Attribute("What requests call it: letters, digits, ``-`` and ``_``, 32 at most.")

    through_loki_mode: bool = Attribute(
        "Whether Loki Mode runs it, where that is installed and nothing else is asked for."
    )

    abilities: Abilities = Attribute("What it can do, as :class:`Abilities`.")

    def program(machine: IMachine) -> str | None:
        """The absolute path of the program that has to be there; None if it is not."""

    def plan(request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """
        Say how to start it.

        Texts of the request were checked: they can stand on a command line.

        :raises InvalidRequest: if it needs what the request lacks, or cannot do what it wants.
        :raises ProviderNotAvailable: if its program is not installed.
        """

    def driver(request: LaunchRequest, memory: str) -> IDriver:
        """
        Make a driver for a run.

        A driver that is large is imported here: every start of a server imports the provider.

        :param memory: Of the driver before, if the server was started anew; else empty.
        """
