"""Providers of CLIs that are started for one prompt, print plain text, and end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.programs import not_installed


@implementer(IProvider)
@attrs.frozen(slots=True)
class OneShot:
    """
    The provider of such a CLI.

    :ivar name: Of the provider, and of its program.
    :ivar arguments: Makes the arguments for a request.
    """

    name: str
    arguments: Callable[[LaunchRequest], Sequence[str]]
    through_loki_mode: bool = True
    abilities: Abilities = Abilities()

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(self.name)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        program = self.program(machine)
        if program is None:
            raise not_installed(self.name)
        return LaunchPlan(
            argv=[program, *self.arguments(request)],
            env=machine.environment(request.session_id, {}),
            cwd=request.project_dir,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        return PlainDriver(memory)
