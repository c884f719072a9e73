"""
The provider of any program, by the plain line protocol, where the operator allows that.

Who may name a program may do all that the server's user may do, so this is off unless the server
was started with ``--allow-commands``. No shell sees the command. What the session is to do
is the first thing that the program reads.
"""

from __future__ import annotations

import os
from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import TAKING_COMMANDS, LaunchPlan, LaunchRequest
from loki_twisted.agents.outputs import Outputs, Write
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.spending import CostOrigin

COMMAND: Final = "command"


def check_command(request: LaunchRequest, machine: IMachine) -> None:
    """
    Make sure that a command stands only where it may.

    :raises InvalidRequest: for one that this server, or the provider, does not take.
    """
    if request.command is None:
        return
    if request.provider not in TAKING_COMMANDS:
        fault = f"{request.provider} has a program of its own and takes no command"
        raise InvalidRequest.of([("command", fault)])
    if not machine.allows_commands:
        fault = "this server runs no commands; its operator may allow them by --allow-commands"
        raise InvalidRequest.of([("command", fault)])


def program_of(request: LaunchRequest, machine: IMachine) -> str:
    """
    Find the program that a request's command names.

    :returns: Its absolute path.
    :raises InvalidRequest: if there is no command, or its program is named by a relative path.
    :raises ProviderNotAvailable: if there is no such program.
    """
    if not request.command:
        fault = f"{request.provider} needs a program and its arguments"
        raise InvalidRequest.of([("command", fault)])
    name = request.command[0]
    if os.path.isabs(name):
        found = name if os.path.isfile(name) and os.access(name, os.X_OK) else None
    elif not name or os.path.dirname(name):
        fault = "must be the name of a program on PATH, or an absolute path"
        raise InvalidRequest.of([("command.0", fault)])
    else:
        found = machine.find(name)
    if found is None:
        msg = f"There is no program {name!r} that can be run."
        raise ProviderNotAvailable(msg, {"provider": request.provider, "program": name})
    return found


class CommandDriver(PlainDriver):
    """
    The plain driver, which tells the program first what it is to do.

    :param prompt: What that is, or None.
    :param memory: As of the plain driver.
    """

    def __init__(self, prompt: str | None, memory: str = "") -> None:
        super().__init__(memory)
        self._prompt = prompt

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        return () if self._prompt is None else [Write(self._prompt + "\n")]


@implementer(IProvider)
@attrs.frozen(slots=True)
class CommandProvider:
    """Any program. A document, a model or a dry run is for the command itself to say."""

    name: str = COMMAND
    through_loki_mode: bool = False
    abilities: Abilities = Abilities(asks=True, messaging=Messaging.NOW, cost=CostOrigin.REPORTED)

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`. Our own interpreter stands for all that could be named."""
        return machine.python if machine.allows_commands else None

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        faults = [
            (field, "say it in the command; what it means is up to the program")
            for field, value in (
                ("prdPath", request.prd_path),
                ("model", request.model),
                ("options.dryRun", request.dry_run or None),
            )
            if value is not None
        ]
        if faults:
            raise InvalidRequest.of(faults)
        program = program_of(request, machine)
        return LaunchPlan(
            argv=[program, *(request.command or ())[1:]],
            env=machine.environment(request.session_id, {}),
            cwd=request.project_dir,
            accepts_input=True,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        return CommandDriver(request.prompt, memory)
