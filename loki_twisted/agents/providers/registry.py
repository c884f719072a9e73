"""
All the kinds of agents, and the order in which a way to start one is looked for.

The demo is always our own program. Of every other provider it is, first come:

1. the project's ``autonomy/run.sh``, for which the provider is an option;
2. today's Loki Mode, if its ``loki`` is installed; it says itself what it misses;
3. the provider's own CLI.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from loki_twisted.agents.interface import IDriver, IProviders, LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.command_lines import ARGUMENTS
from loki_twisted.agents.providers.environment import agent_environment, is_forbidden
from loki_twisted.agents.providers.loki_mode import (
    loki_arguments,
    loki_environment,
    maybe_run_script,
    run_script_arguments,
)
from loki_twisted.agents.providers.loki_output import LokiModeDriver
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.programs import LOKI, maybe_loki_mode, maybe_program
from loki_twisted.agents.providers.prompts import check_texts, maybe_prompt
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.sessions import Steering

DEMO: Final = "demo"
"""The provider that needs nothing installed."""

PROVIDERS: Final = (*ARGUMENTS, LOKI, DEMO)
"""All that a request may name."""

DEMO_PROGRAM: Final = str(Path(__file__).with_name("demo.py"))

_LOOK_SECONDS: Final = 5.0
"""For how long an answer of :meth:`Providers.available` is given again."""


def _not_forbidden(_: object, __: object, names: Iterable[str]) -> None:
    forbidden = sorted(name for name in names if is_forbidden(name))
    if forbidden:
        msg = f"{', '.join(forbidden)}: never given to agents, because the server's own"
        raise ValueError(msg)


@implementer(IProviders)
@attrs.define(eq=False)
class Providers:
    """
    The providers of this machine.

    :ivar environ: The server's environment; what agents are given is made from it.
    :ivar clock: Says how old an answer of :meth:`available` is.
    :ivar python: Absolute path of the interpreter that runs the demo.
    :ivar extra_env_names: Names of variables that agents get beside those of ``environment.py``.
    :raises ValueError: for an extra name that never goes to an agent.
    """

    environ: Mapping[str, str] = attrs.field(repr=False)
    clock: IReactorTime
    python: str = attrs.field(default=sys.executable, kw_only=True)
    extra_env_names: Sequence[str] = attrs.field(
        default=(), kw_only=True, converter=tuple, validator=_not_forbidden
    )
    _seen: tuple[float, Mapping[str, bool]] | None = attrs.field(default=None, init=False)

    def available(self) -> Mapping[str, bool]:
        """See :class:`IProviders`."""
        now = self.clock.seconds()
        if self._seen is None or not 0 <= now - self._seen[0] < _LOOK_SECONDS:
            self._seen = now, self._look()
        return self._seen[1]

    def plan(self, request: LaunchRequest) -> LaunchPlan:
        """See :class:`IProviders`."""
        if request.provider not in PROVIDERS:
            fault = f"{request.provider!r} is none of {', '.join(PROVIDERS)}"
            raise InvalidRequest.of([("provider", fault)])
        check_texts(request)
        if request.provider == DEMO:
            return self._demo_plan(request)
        script = maybe_run_script(request.loki_dir)
        if script is not None:
            argv = [script, *run_script_arguments(request)]
            return self._plan(request, argv, accepts_input=True)
        loki = maybe_loki_mode(self._path, self.python)
        if loki is not None:
            argv = [loki, *loki_arguments(request)]
            steered_by = Steering.SIGNALS if request.dry_run else Steering.FILES
            return self._plan(request, argv, loki_environment(request), steered_by=steered_by)
        own = maybe_program(request.provider, self._path) if request.provider != LOKI else None
        if own is None:
            raise ProviderNotAvailable(
                f"The provider {request.provider!r} is not installed: the server's PATH has no "
                "such program.",
                {"provider": request.provider},
            )
        return self._plan(request, [own, *ARGUMENTS[request.provider](request)])

    def driver(self, provider: str) -> IDriver:
        """See :class:`IProviders`."""
        return LokiModeDriver() if provider == LOKI else PlainDriver()

    @property
    def _path(self) -> str:
        return self.environ.get("PATH") or os.defpath

    def _look(self) -> Mapping[str, bool]:
        found = {name: maybe_program(name, self._path) is not None for name in ARGUMENTS}
        loki = maybe_loki_mode(self._path, self.python) is not None
        return {**found, LOKI: loki, DEMO: True}

    def _demo_plan(self, request: LaunchRequest) -> LaunchPlan:
        prompt = maybe_prompt(request)
        options = [
            *(["--dry-run"] if request.dry_run else []),
            *([] if request.prd_path is None else [f"--prd={request.prd_path}"]),
            *([] if prompt is None else [f"--prompt={prompt}"]),
        ]
        argv = [self.python, "-I", DEMO_PROGRAM, *options]
        return self._plan(request, argv, accepts_input=True)

    def _plan(
        self,
        request: LaunchRequest,
        argv: Sequence[str],
        variables: Mapping[str, str] | None = None,
        *,
        accepts_input: bool = False,
        steered_by: Steering = Steering.SIGNALS,
    ) -> LaunchPlan:
        env = agent_environment(self.environ, request.session_id, self.extra_env_names)
        # Colours would only be taken out again.
        env |= {"NO_COLOR": "1", **(variables or {})}
        return LaunchPlan(
            argv=argv,
            env=env,
            cwd=request.project_dir,
            accepts_input=accepts_input,
            steered_by=steered_by,
        )
