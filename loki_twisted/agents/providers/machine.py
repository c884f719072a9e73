"""The machine that agents are started on, as providers see it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import IMachine
from loki_twisted.agents.providers.environment import agent_environment, is_forbidden
from loki_twisted.agents.providers.programs import maybe_program


def _not_forbidden(_: object, __: object, names: Iterable[str]) -> None:
    forbidden = sorted(name for name in names if is_forbidden(name))
    if forbidden:
        msg = f"{', '.join(forbidden)}: never given to agents, because the server's own"
        raise ValueError(msg)


@implementer(IMachine)
@attrs.frozen(slots=True)
class Machine:
    """
    What agents are started with.

    :ivar environ: The server's environment; what agents are given is made from it.
    :ivar python: Absolute path of the interpreter that runs programs of ours.
    :ivar extra_env_names: Names of variables that agents get beside those of ``environment.py``.
    :ivar allows_commands: Whether the operator lets requests name the program that is to run.
    :raises ValueError: for an extra name that never goes to an agent.
    """

    environ: Mapping[str, str] = attrs.field(repr=False)
    python: str = attrs.field(default=sys.executable, kw_only=True)
    extra_env_names: Sequence[str] = attrs.field(
        default=(), kw_only=True, converter=tuple, validator=_not_forbidden
    )
    allows_commands: bool = attrs.field(default=False, kw_only=True)

    @property
    def search_path(self) -> str:
        """The server's ``PATH``."""
        return self.environ.get("PATH") or os.defpath

    def find(self, program: str) -> str | None:
        """See :class:`IMachine`."""
        return maybe_program(program, self.search_path)

    def environment(self, session_id: str, variables: Mapping[str, str]) -> Mapping[str, str]:
        """See :class:`IMachine`. Colours would only be taken out again."""
        env = agent_environment(self.environ, session_id, self.extra_env_names)
        return {**env, "NO_COLOR": "1", **variables}
