"""
The provider that plays a recording of any other one's agent.

Its ``prdPath`` is the recording. What is said to it reaches nobody: it goes on as it did.
"""

from __future__ import annotations

import os
import stat
from typing import Final

import attrs
import msgspec
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.bridges import bridged
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.plugins import installed_providers
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.recordings import VERSION, Heading, entry_of
from loki_twisted.model.spending import CostOrigin

REPLAY: Final = "replay"

_MOST_HEADING: Final = 4096


@implementer(IProvider)
@attrs.frozen(slots=True)
class ReplayProvider:
    """Plays recordings, and drives what they print as the recorded provider would."""

    name: str = REPLAY
    through_loki_mode: bool = False
    abilities: Abilities = Abilities(asks=True, messaging=Messaging.NEXT, cost=CostOrigin.REPORTED)

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return machine.python

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        if request.prd_path is None:
            raise InvalidRequest.of([("prdPath", "is the recording that is to be played")])
        if maybe_heading(request.prd_path) is None:
            raise InvalidRequest.of([("prdPath", f"{request.prd_path!r} is no recording")])
        return LaunchPlan(
            argv=bridged(machine, REPLAY, request.prd_path, f"{request.speed:g}", argv=()),
            env=machine.environment(request.session_id, {}),
            cwd=request.project_dir,
            accepts_input=True,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        heading = maybe_heading(request.prd_path or "")
        recorded = None if heading is None else installed_providers().get(heading.driven_by)
        if heading is None or recorded is None or heading.driven_by == REPLAY:
            return PlainDriver(memory)
        as_it_was = attrs.evolve(request, provider=heading.driven_by, prd_path=None, prompt="-")
        return recorded.driver(as_it_was, memory)


def maybe_heading(path: str) -> Heading | None:
    """
    Read the first line of a file; None if that is not the heading of a recording.

    What is no plain file, which may have come in its place meanwhile, is not waited for.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            entry = entry_of(file.readline(_MOST_HEADING))
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    return entry if isinstance(entry, Heading) and entry.version <= VERSION else None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
