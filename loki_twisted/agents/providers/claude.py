"""
The provider of Claude Code (``claude``).

It runs in print mode, with JSON lines both ways: what people say goes in by its standard input
alone, and so do the answers to what it asks. It stays until its input ends.

What it may do is what its user's own rules allow, and what people allow when it asks. The mode is
named, because without that it may start in one in which it decides itself. In a dry run it plans,
and is given no permission to do anything else.
"""

from __future__ import annotations

from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.programs import CLAUDE, not_installed
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.model.spending import CostOrigin

_ALWAYS: Final = (
    "-p",
    "--output-format=stream-json",
    "--verbose",  # without which there is no such output
    "--input-format=stream-json",
    "--permission-prompt-tool=stdio",
    "--replay-user-messages",
)

_ABILITIES: Final = Abilities(
    asks=True, messaging=Messaging.NOW, continues=True, cost=CostOrigin.REPORTED
)


@implementer(IProvider)
@attrs.frozen(slots=True)
class ClaudeProvider:
    """Claude Code."""

    name: str = CLAUDE
    through_loki_mode: bool = True
    abilities: Abilities = _ABILITIES

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(CLAUDE)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`. A conversation is found in the directory that it was held in."""
        program = self.program(machine)
        if program is None:
            raise not_installed(self.name)
        prompt_of(request)  # Raises where there is none.
        options = [
            f"--permission-mode={'plan' if request.dry_run else 'default'}",
            *([] if request.model is None else [f"--model={request.model}"]),
            *([] if request.conversation is None else [f"--resume={request.conversation}"]),
        ]
        return LaunchPlan(
            argv=[program, *_ALWAYS, *options],
            env=machine.environment(request.session_id, {}),
            cwd=request.project_dir,
            accepts_input=True,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.claude_driver import ClaudeDriver

        return ClaudeDriver(request, memory)
