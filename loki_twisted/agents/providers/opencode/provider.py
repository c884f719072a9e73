"""
The providers of opencode: its server with a bridge before it, and one prompt at a time.

With the server it asks people, takes messages while it works, and tells of sub-agents.
``opencode-run`` is there for versions and machines where that does not work: it asks nothing, and
what it would ask is denied.

A dry run is opencode's own agent ``plan``, which may not change files. No permission is switched
off: what opencode may do is what the user's settings of it allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.programs import OPENCODE, not_installed
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.spending import CostOrigin

BRIDGE_PROGRAM: Final = str(Path(__file__).parents[2].joinpath("bridges", "__main__.py"))

READY_SECONDS: Final = 60
"""How long opencode may take to listen."""

_VARIABLES: Final[Mapping[str, str]] = {
    # It does not become another program while it works.
    "OPENCODE_DISABLE_AUTOUPDATE": "true",
}


_SERVER_ABILITIES: Final = Abilities(
    asks=True, messaging=Messaging.NOW, continues=True, cost=CostOrigin.REPORTED
)
_RUN_ABILITIES: Final = Abilities(continues=True, cost=CostOrigin.REPORTED)


@implementer(IProvider)
@attrs.frozen(slots=True)
class OpencodeProvider:
    """opencode as a server of ours alone, behind the bridge."""

    name: str = OPENCODE
    through_loki_mode: bool = True
    abilities: Abilities = _SERVER_ABILITIES

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(OPENCODE)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`. What the user says goes by standard input."""
        check(request)
        program = self.program(machine)
        if program is None:
            raise not_installed(OPENCODE)
        bridge = [machine.python, "-I", "-S", BRIDGE_PROGRAM, OPENCODE, str(READY_SECONDS), "--"]
        return LaunchPlan(
            argv=[*bridge, program, *(["--print-logs"] if request.verbose else [])],
            env=machine.environment(request.session_id, _VARIABLES),
            cwd=request.project_dir,
            accepts_input=True,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.opencode.driver import OpencodeDriver

        return OpencodeDriver(request, memory)


@implementer(IProvider)
@attrs.frozen(slots=True)
class OpencodeRunProvider:
    """``opencode run``, for one prompt."""

    name: str = "opencode-run"
    through_loki_mode: bool = False
    abilities: Abilities = _RUN_ABILITIES

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(OPENCODE)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        check(request)
        program = self.program(machine)
        if program is None:
            raise not_installed(self.name)
        return LaunchPlan(
            argv=[program, *run_arguments(request)],
            env=machine.environment(request.session_id, _VARIABLES),
            cwd=request.project_dir,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.opencode.run import OpencodeRunDriver

        return OpencodeRunDriver(request, memory)


def run_arguments(request: LaunchRequest) -> Sequence[str]:
    """The arguments of ``opencode run``; what the user says stands behind ``--``."""
    return [
        "run",
        "--format=json",
        *([] if request.model is None else [f"--model={request.model}"]),
        *(["--agent=plan"] if request.dry_run else []),
        *([] if request.conversation is None else [f"--session={request.conversation}"]),
        *(["--print-logs"] if request.verbose else []),
        "--",
        prompt_of(request),
    ]


def check(request: LaunchRequest) -> None:
    """
    Make sure that opencode can do what is asked for.

    :raises InvalidRequest: if there is nothing to do, or no such model can be.
    """
    prompt_of(request)
    if request.model is not None and "/" not in request.model.strip("/"):
        fault = f"opencode names models as provider/model, and not {request.model!r}"
        raise InvalidRequest.of([("model", fault)])
