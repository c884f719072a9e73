"""
The provider of ``aider``: one process for each message, behind a bridge that starts them.

- A conversation is the file of its history. It stays where the user keeps the state of programs, as
  the histories of other CLIs do; so it can be continued whatever becomes of the session.
- ``--yes-always`` because it would take the end of its input for a yes, also to shell commands; it
  is a no to those.
- It cannot look for files itself, so a PRD is handed to it.
- Reports go into a file of the bridge, and nowhere else.
- Its lines are wide: it breaks those of its own, as if somebody sat before it.
- It says yes to itself, so it must not have what that would do: open pages in a browser of this
  machine, and install one to read what an address in a message names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.bridges import bridged
from loki_twisted.agents.providers.programs import AIDER, not_installed
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.spending import CostOrigin

AIDER_ENVIRONMENT: Final[Mapping[str, str]] = {
    "COLUMNS": "1000",
    "BROWSER": "true",
    "AIDER_DISABLE_PLAYWRIGHT": "true",
}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def aider_arguments(request: LaunchRequest) -> Sequence[str]:
    """The arguments for ``aider``, beside those of the bridge. A message is none of them."""
    return [
        *([] if request.prd_path is None else [f"--read={request.prd_path}"]),
        *([] if request.model is None else [f"--model={request.model}"]),
        "--yes-always",
        "--no-suggest-shell-commands",
        "--no-pretty",
        "--no-stream",
        "--no-fancy-input",
        "--no-check-update",
        "--no-show-release-notes",
        "--no-gitignore",
        "--no-analytics",
        *(["--verbose"] if request.verbose else []),
        *(["--dry-run"] if request.dry_run else []),
    ]


def conversation_place(request: LaunchRequest, env: Mapping[str, str]) -> str:
    """
    Say where the conversation of a session is.

    :param env: Of the agent.
    :returns: An absolute path of a directory.
    :raises InvalidRequest: if the conversation that is to be continued is not there.
    """
    home = env.get("HOME") or os.path.expanduser("~")
    state = env.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.join(home, ".local", "state")
    name = request.conversation or request.session_id
    place = os.path.join(state, "loki_twisted", AIDER, name)
    is_there = _NAME.fullmatch(name) is not None and os.path.isdir(place)
    if request.conversation is not None and not is_there:
        fault = f"there is no conversation {name!r} of aider on this machine"
        raise InvalidRequest.of([("conversation", fault)])
    return place


@implementer(IProvider)
@attrs.frozen(slots=True)
class AiderProvider:
    """See the module."""

    name: str = AIDER
    through_loki_mode: bool = True
    abilities: Abilities = Abilities(
        messaging=Messaging.NEXT, continues=True, cost=CostOrigin.REPORTED
    )

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.find(AIDER)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        prompt_of(request)
        program = self.program(machine)
        if program is None:
            raise not_installed(AIDER)
        env = machine.environment(request.session_id, AIDER_ENVIRONMENT)
        place = conversation_place(request, env)
        return LaunchPlan(
            argv=bridged(machine, AIDER, place, argv=[program, *aider_arguments(request)]),
            env=env,
            cwd=request.project_dir,
            accepts_input=True,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        # Late: many a server never has a session of this kind.
        from loki_twisted.agents.providers.aider_driver import AiderDriver

        return AiderDriver(request, memory)
