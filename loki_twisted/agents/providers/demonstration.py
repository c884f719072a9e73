"""The provider of the demo, which needs nothing installed. ``demo.py`` is the agent itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.prompts import maybe_prompt
from loki_twisted.model.spending import CostOrigin

DEMO: Final = "demo"

DEMO_PROGRAM: Final = str(Path(__file__).with_name("demo.py"))


@implementer(IProvider)
@attrs.frozen(slots=True)
class DemoProvider:
    """The demo, run by our own interpreter."""

    name: str = DEMO
    through_loki_mode: bool = False
    abilities: Abilities = Abilities(asks=True, messaging=Messaging.NOW, cost=CostOrigin.REPORTED)

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.python

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        prompt = maybe_prompt(request)
        options = [
            *(["--dry-run"] if request.dry_run else []),
            *([] if request.prd_path is None else [f"--prd={request.prd_path}"]),
            *([] if prompt is None else [f"--prompt={prompt}"]),
        ]
        return LaunchPlan(
            argv=[machine.python, "-I", DEMO_PROGRAM, *options],
            env=machine.environment(request.session_id, {}),
            cwd=request.project_dir,
            accepts_input=True,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        return PlainDriver(memory)
