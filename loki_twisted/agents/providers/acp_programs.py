"""
The providers whose programs speak the Agent Client Protocol.

What the session is to do is written to the program, and never stands on its command line. None
gets an option that switches its permissions off: it asks, and people answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.command import program_of
from loki_twisted.agents.providers.programs import not_installed
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.spending import CostOrigin

ACP_ABILITIES: Final = Abilities(asks=True, messaging=Messaging.NEXT, continues=True)
"""Those of every such agent. Whether it ``continues`` is up to its version; it says so itself."""


GEMINI_ABILITIES: Final = attrs.evolve(ACP_ABILITIES, cost=CostOrigin.ESTIMATED)
"""It names its models."""

_ANY_ABILITIES: Final = attrs.evolve(ACP_ABILITIES, cost=CostOrigin.REPORTED)


def no_variables(_request: LaunchRequest) -> Mapping[str, str]:
    """No variables beside those of every agent."""
    return {}


def gemini_arguments(request: LaunchRequest) -> Sequence[str]:
    """
    ``gemini --acp``.

    For a dry run its mode is chosen in the session: it leaves out ``--approval-mode`` without a
    word where it does not trust the directory.
    """
    return ["--acp", *_model(request)]


def goose_arguments(request: LaunchRequest) -> Sequence[str]:
    """
    ``goose acp``, which takes its model from a variable.

    :raises InvalidRequest: for a dry run.
    """
    _check_is_no_dry_run(request)
    return ["acp"]


def goose_variables(request: LaunchRequest) -> Mapping[str, str]:
    """The variables for ``goose``."""
    return {} if request.model is None else {"GOOSE_MODEL": request.model}


def copilot_arguments(request: LaunchRequest) -> Sequence[str]:
    """
    ``copilot --acp``.

    :raises InvalidRequest: for a dry run.
    """
    _check_is_no_dry_run(request)
    return ["--acp", *_model(request)]


@implementer(IProvider)
@attrs.frozen(slots=True)
class AcpProgram:
    """
    The provider of one such program.

    :ivar name: Of the provider, and of its program.
    :ivar arguments: Makes the arguments for a request.
    :ivar variables: Makes the variables that it gets beside those of every agent.
    :ivar complains: Whether it says its errors in words, as if all was well.
    """

    name: str
    arguments: Callable[[LaunchRequest], Sequence[str]]
    variables: Callable[[LaunchRequest], Mapping[str, str]] = no_variables
    through_loki_mode: bool = False
    abilities: Abilities = ACP_ABILITIES
    complains: bool = False

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(self.name)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        arguments = self.arguments(request)
        program = self.program(machine)
        if program is None:
            raise not_installed(self.name)
        return _plan([program, *arguments], request, machine, self.variables(request))

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.acp import AcpDriver

        return AcpDriver(self.name, request, memory, complains=self.complains)


@implementer(IProvider)
@attrs.frozen(slots=True)
class AcpCommand:
    """
    Any program that speaks the protocol, by the request's ``command``.

    Who may name a program may do all that the server's user may do, so there are such requests
    only where the operator allows them. How the program takes a model, or goes without changing
    anything, is for the command itself to say.
    """

    name: str = "acp"
    through_loki_mode: bool = False
    abilities: Abilities = _ANY_ABILITIES

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`. Our own interpreter stands for all that could be named."""
        return machine.python if machine.allows_commands else None

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        _check_is_no_dry_run(request)
        if request.model is not None:
            raise InvalidRequest.of([("model", "say it in the command, as the program wants it")])
        program = program_of(request, machine)
        return _plan([program, *(request.command or ())[1:]], request, machine, {})

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.acp import AcpDriver

        return AcpDriver(self.name, request, memory)


def _plan(
    argv: Sequence[str],
    request: LaunchRequest,
    machine: IMachine,
    variables: Mapping[str, str],
) -> LaunchPlan:
    if not request.stays_open:
        prompt_of(request)  # There has to be one: nothing else will be said to it.
    return LaunchPlan(
        argv=argv,
        env=machine.environment(request.session_id, variables),
        cwd=request.project_dir,
        accepts_input=True,
    )


def _check_is_no_dry_run(request: LaunchRequest) -> None:
    if request.dry_run:
        fault = f"{request.provider} has no way to look without touching"
        raise InvalidRequest.of([("options.dryRun", fault)])


def _model(request: LaunchRequest) -> Sequence[str]:
    return [] if request.model is None else [f"--model={request.model}"]
