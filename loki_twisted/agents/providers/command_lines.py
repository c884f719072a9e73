"""
Command lines of the providers' own CLIs, headless and for one prompt.

- Each ends by itself when the work is done, and is given an empty standard input:
  codex and opencode would wait for the end of an open one.
- What a user says stands behind ``--``, or behind ``=`` in its option, so that it never is one.
- None gets a flag that switches its permissions off. What an agent may do is what the user's
  own settings of that CLI allow; what they would ask is denied, since nobody can answer. One
  flag is needed to work at all: codex would otherwise only read (``workspace-write`` is its
  sandbox: this directory, no network).
- A dry run uses the CLI's own way to look without touching.
- ``verbose`` is passed on to the CLIs that have such a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.providers.prompts import prompt_of


def claude_arguments(request: LaunchRequest) -> Sequence[str]:
    """``claude``, in print mode."""
    return [
        "-p",
        *_model(request),
        *(["--verbose"] if request.verbose else []),
        *(["--permission-mode=plan"] if request.dry_run else []),
        "--",
        prompt_of(request),
    ]


def codex_arguments(request: LaunchRequest) -> Sequence[str]:
    """``codex exec``."""
    sandbox = "read-only" if request.dry_run else "workspace-write"
    return ["exec", f"--sandbox={sandbox}", *_model(request), "--", prompt_of(request)]


def opencode_arguments(request: LaunchRequest) -> Sequence[str]:
    """``opencode run``; its agent ``plan`` may not change files."""
    return [
        "run",
        *_model(request),
        *(["--agent=plan"] if request.dry_run else []),
        "--",
        prompt_of(request),
    ]


ARGUMENTS: Final[Mapping[str, Callable[[LaunchRequest], Sequence[str]]]] = {
    "claude": claude_arguments,
    "codex": codex_arguments,
    "opencode": opencode_arguments,
}
"""By provider, which is also the program's name: its arguments for a request."""


def _model(request: LaunchRequest) -> Sequence[str]:
    return [] if request.model is None else [f"--model={request.model}"]
