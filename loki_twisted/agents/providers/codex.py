"""
The providers of OpenAI Codex: ``codex``, which asks and listens, and ``codex-exec``, which cannot.

Which of them a codex can be cannot be known without running it, so whoever starts a session says it
by the name of the provider. ``codex app-server`` is there in all newer ones; ``codex exec`` is also
there where that is missing. Both work in the sandbox that lets them write in the project, without
the network, and neither is given a flag that switches its permissions off. The prompt goes in by
standard input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.programs import CODEX, not_installed
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.spending import CostOrigin

CODEX_EXEC: Final = "codex-exec"

_TALKS: Final = Abilities(
    asks=True, messaging=Messaging.NOW, continues=True, cost=CostOrigin.ESTIMATED
)
_RUNS: Final = Abilities(continues=True, cost=CostOrigin.ESTIMATED)


@implementer(IProvider)
@attrs.frozen(slots=True)
class CodexProvider:
    """``codex app-server``, which stays as long as its input is open."""

    name: str = CODEX
    through_loki_mode: bool = True
    abilities: Abilities = _TALKS

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(CODEX)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        return _plan(request, machine, ["app-server"])

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.codex_app_server import AppServerDriver

        return AppServerDriver(request, memory)


@implementer(IProvider)
@attrs.frozen(slots=True)
class CodexExecProvider:
    """``codex exec --json``, for one prompt. What it would have to ask, it is denied."""

    name: str = CODEX_EXEC
    through_loki_mode: bool = False
    abilities: Abilities = _RUNS

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(CODEX)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        return _plan(request, machine, exec_arguments(request))

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.codex_exec import ExecDriver

        return ExecDriver(request, memory)


def exec_arguments(request: LaunchRequest) -> Sequence[str]:
    """
    The arguments for ``codex exec``.

    That the project is under git is not asked for: whoever starts a session has said where.

    :raises InvalidRequest: for one that is to stay open, which this cannot.
    """
    if request.stays_open:
        fault = f"{CODEX_EXEC} ends with its work; the provider {CODEX} can stay"
        raise InvalidRequest.of([("options.stayOpen", fault)])
    sandbox = "read-only" if request.dry_run else "workspace-write"
    return [
        "exec",
        "--json",
        "--skip-git-repo-check",
        f"--sandbox={sandbox}",
        *([] if request.model is None else [f"--model={request.model}"]),
        *([] if request.conversation is None else ["resume", "--", request.conversation]),
        "-",
    ]


def _plan(request: LaunchRequest, machine: IMachine, arguments: Sequence[str]) -> LaunchPlan:
    program = machine.find(CODEX)
    if program is None:
        raise not_installed(request.provider)
    prompt_of(request)  # raises what it lacks
    return LaunchPlan(
        argv=[program, *arguments],
        env=machine.environment(request.session_id, {}),
        cwd=request.project_dir,
        accepts_input=True,
    )
