"""
The two ways of starting Loki Mode: a project's ``autonomy/run.sh``, and today's ``loki``.

``run.sh`` is called as the server before ours did, because projects rely on it. It reads
its standard input, knows PRD files only, and chooses the model itself.

Today's ``loki`` has other options, and a state directory of its own layout. It runs in the
project directory without ``LOKI_DIR``, which to it is another place than to us: set, it would
split the state in two. Its standard input is empty: it would take what comes for keys. It makes
a session of its own, and stays the process that was started, because the keeper's agents lead no
process group.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IMachine, IProvider, Messaging
from loki_twisted.agents.interface import LOKI_MODE, LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.loki_output import LokiModeDriver
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.programs import LOKI, maybe_loki_mode, not_installed
from loki_twisted.agents.providers.prompts import maybe_prompt, prompt_of
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.sessions import Steering
from loki_twisted.model.spending import CostOrigin

LOKI_START_ENVIRONMENT: Final[Mapping[str, str]] = {
    # The server is the dashboard, and stands for many projects.
    "LOKI_DASHBOARD": "false",
    "LOKI_NOTIFICATIONS": "false",
    "LOKI_SKIP_PROJECT_REGISTRY": "1",
    # Nothing leaves the machine, and nothing changes on it, that nobody asked for.
    "LOKI_NO_UPDATE_CHECK": "1",
    "LOKI_TELEMETRY_DISABLED": "true",
    "DO_NOT_TRACK": "1",
    "LOKI_CAVEMAN_AUTO_BOOTSTRAP": "0",
    # A SIGTERM ends the run. Without it the run survives and pauses itself.
    "LOKI_SUPERVISED_BUILD": "1",
    # It reads what people tell it, instead of only rejecting it.
    "LOKI_PROMPT_INJECTION": "true",
}

_MODEL_VARIABLES: Final[Mapping[str, str]] = {
    "aider": "LOKI_AIDER_MODEL",
    "cline": "LOKI_CLINE_MODEL",
}


def maybe_run_script(loki_dir: str) -> str | None:
    """The project's own ``autonomy/run.sh``, or None if there is none that can be run."""
    script = os.path.join(loki_dir, "autonomy", "run.sh")
    return script if os.path.isfile(script) and os.access(script, os.X_OK) else None


def run_script_arguments(request: LaunchRequest) -> Sequence[str]:
    """
    The arguments for ``run.sh``.

    :raises InvalidRequest: for a prompt or a model, which it cannot take.
    """
    faults = [
        (field, "the project's autonomy/run.sh takes a prdPath and a provider only")
        for field, value in (("prompt", request.prompt), ("model", request.model))
        if value is not None
    ]
    if faults:
        raise InvalidRequest.of(faults)
    return [
        "start",
        *_provider(request),
        *(["--dry-run"] if request.dry_run else []),
        *(["--verbose"] if request.verbose else []),
        *([] if request.prd_path is None else [request.prd_path]),
    ]


def loki_arguments(request: LaunchRequest) -> Sequence[str]:
    """
    The arguments for today's ``loki``.

    A prompt is a brief, a PRD alone is a PRD, and with neither Loki Mode looks for a PRD
    itself or works on the code that is there. Which of them is meant is said by an option: it would
    else guess from the text, and a prompt could name any file. The only dry run it has is the
    plan of a PRD.

    :raises InvalidRequest: for a dry run without PRD.
    """
    if request.dry_run:
        if request.prd_path is None or maybe_prompt(request) is not None:
            fault = "Loki Mode can only plan a PRD without doing it: give a prdPath and no prompt"
            raise InvalidRequest.of([("options.dryRun", fault)])
        return ["plan", request.prd_path]
    arguments = ["start", *_provider(request), "--yes", "--no-plan", "--no-dashboard"]
    if request.verbose:
        arguments += ["--log-level", "debug"]
    if maybe_prompt(request) is not None:
        arguments += ["--brief", prompt_of(request)]
    elif request.prd_path is not None:
        arguments += ["--prd", request.prd_path]
    return arguments


def loki_environment(request: LaunchRequest) -> Mapping[str, str]:
    """
    The variables for today's ``loki``, beside those of every agent.

    :raises InvalidRequest: for a model of a provider whose model Loki Mode chooses itself.
    """
    if request.model is None:
        return LOKI_START_ENVIRONMENT
    variable = _MODEL_VARIABLES.get(request.provider)
    if variable is None:
        fault = f"Loki Mode chooses the model of {request.provider} itself"
        raise InvalidRequest.of([("model", fault)])
    return {**LOKI_START_ENVIRONMENT, variable: request.model}


def _provider(request: LaunchRequest) -> Sequence[str]:
    """Loki Mode itself as provider is Loki Mode with the provider of its own settings."""
    return [] if request.provider == LOKI else ["--provider", request.provider]


@implementer(IProvider)
@attrs.frozen(slots=True)
class LokiModeProvider:
    """
    Loki Mode, for requests that name it and for those of the providers that it can run.

    ``run.sh`` reads its standard input; today's ``loki`` takes orders by files.
    """

    name: str = LOKI_MODE
    through_loki_mode: bool = True
    abilities: Abilities = Abilities(messaging=Messaging.NEXT, cost=CostOrigin.REPORTED)

    def program(self, machine: IMachine) -> str | None:
        """See :class:`IProvider`."""
        return maybe_loki_mode(machine.search_path, machine.python)

    def plan(self, request: LaunchRequest, machine: IMachine) -> LaunchPlan:
        """See :class:`IProvider`."""
        script = maybe_run_script(request.loki_dir)
        if script is not None:
            return LaunchPlan(
                argv=[script, *run_script_arguments(request)],
                env=machine.environment(request.session_id, {}),
                cwd=request.project_dir,
                accepts_input=True,
            )
        loki = self.program(machine)
        if loki is None:
            raise not_installed(request.provider)
        return LaunchPlan(
            argv=[loki, *loki_arguments(request)],
            env=machine.environment(request.session_id, loki_environment(request)),
            cwd=request.project_dir,
            steered_by=Steering.SIGNALS if request.dry_run else Steering.FILES,
        )

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProvider`."""
        if maybe_run_script(request.loki_dir) is not None:
            return PlainDriver(memory)
        return LokiModeDriver(memory)
