"""
Command lines of the providers' own CLIs, headless and for one prompt.

- Each ends by itself when the work is done, and is given an empty standard input:
- What a user says stands behind ``--``, or behind ``=`` in its option, so that it never is one.
- None gets a flag that switches its permissions off. What an agent may do is what the user's
  own settings of that CLI allow; what they would ask is denied, since nobody can answer. One
  flag is needed to work at all: aider would take the end of its input for a yes, also to shell
  commands (``--yes-always`` is a no to those).
- A dry run uses the CLI's own way to look without touching.
- ``verbose`` is passed on to the CLIs that have such a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.providers.prompts import prompt_of




def cline_arguments(request: LaunchRequest) -> Sequence[str]:
    """``cline``, which prints plain text where its output is no terminal."""
    return [
        *_model(request),
        *(["--verbose"] if request.verbose else []),
        *(["--plan"] if request.dry_run else []),
        "--",
        prompt_of(request),
    ]


def aider_arguments(request: LaunchRequest) -> Sequence[str]:
    """``aider``, for one message. It cannot look for files itself, so the PRD is handed to it."""
    return [
        f"--message={prompt_of(request)}",
        *([] if request.prd_path is None else [f"--read={request.prd_path}"]),
        *_model(request),
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


ARGUMENTS: Final[Mapping[str, Callable[[LaunchRequest], Sequence[str]]]] = {
    "cline": cline_arguments,
    "aider": aider_arguments,
}
"""By provider, which is also the program's name: its arguments for a request."""


def _model(request: LaunchRequest) -> Sequence[str]:
    return [] if request.model is None else [f"--model={request.model}"]
