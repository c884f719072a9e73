"""
The provider of ``cline``: one prompt on its command line, behind a bridge that passes approvals on.

- ``--auto-approve false``, for else it asks nothing and does everything; and the way of asking that
  needs no terminal. Versions up to 3.0.65 at least cannot ask so, and deny every tool: so
  ``LOKI_CLINE_AUTO_APPROVE=true`` lets it do everything, for those who want that.
- It works by itself. Else it would hand its work to a daemon of its own that outlives it, and
  belongs to nobody whom a stop could reach.
- It does not replace itself by another version while it works for others.
- A conversation cannot be continued: older versions refuse that together with ``--json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.bridges import bridged
from loki_twisted.agents.providers.programs import CLINE, not_installed
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.spending import CostOrigin

CLINE_ENVIRONMENT: Final[Mapping[str, str]] = {
    "CLINE_TOOL_APPROVAL_MODE": "desktop",
    "CLINE_SESSION_BACKEND_MODE": "local",
    "CLINE_NO_AUTO_UPDATE": "1",
}


AUTO_APPROVE: Final = "LOKI_CLINE_AUTO_APPROVE"
"""The variable of the server's environment that lets ``cline`` do everything unasked: ``true``."""


def cline_arguments(request: LaunchRequest, *, asks: bool = True) -> Sequence[str]:
    """
    The arguments for ``cline``. What a user says stands behind ``--``.

    :param asks: Whether it asks before it uses a tool.
    :raises InvalidRequest: if there is nothing to do.
    """
    return [
        "--json",
        "--auto-approve",
        "false" if asks else "true",
        *([] if request.model is None else [f"--model={request.model}"]),
        *(["--verbose"] if request.verbose else []),
        *(["--plan"] if request.dry_run else []),
        "--",
        prompt_of(request),
    ]


@implementer(IProvider)
@attrs.frozen(slots=True)
class ClineProvider:
    """See the module."""

    name: str = CLINE
    through_loki_mode: bool = True
    abilities: Abilities = Abilities(asks=True, messaging=Messaging.NEVER, cost=CostOrigin.REPORTED)

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(CLINE)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        if request.conversation is not None:
            fault = "cline cannot continue a conversation where its output is JSON"
            raise InvalidRequest.of([("conversation", fault)])
        env = machine.environment(request.session_id, CLINE_ENVIRONMENT)
        arguments = cline_arguments(request, asks=env.get(AUTO_APPROVE) != "true")
        program = self.program(machine)
        if program is None:
            raise not_installed(CLINE)
        return LaunchPlan(
            argv=bridged(machine, CLINE, argv=[program, *arguments]),
            env=env,
            cwd=request.project_dir,
            accepts_input=True,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.cline_driver import ClineDriver

        return ClineDriver(request, memory)
