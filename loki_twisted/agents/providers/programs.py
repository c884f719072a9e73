"""Programs on PATH, and which ``loki`` among them is that of Loki Mode."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Final

from loki_twisted.agents.interface import LOKI_MODE
from loki_twisted.model.errors import ProviderNotAvailable

LOKI: Final = LOKI_MODE

# Programs whose providers have the same name.
CLAUDE: Final = "claude"
CODEX: Final = "codex"
OPENCODE: Final = "opencode"
CLINE: Final = "cline"
AIDER: Final = "aider"

_OURS: Final = (b"loki_twisted", b"loki-twisted")
_HEAD: Final = 4096
"""Bytes of a script that are looked at: enough for its imports."""


def maybe_program(name: str, search_path: str) -> str | None:
    """
    Find the first program of a name.

    :param search_path: As of ``PATH``. Entries that are not absolute are passed over: what they
        name depends on where the server was started.
    :returns: An absolute path, or None.
    """
    return next(_programs(name, search_path), None)


def maybe_loki_mode(search_path: str, python: str) -> str | None:
    """
    Find the ``loki`` of Loki Mode, which is the first that is not ours.

    :param search_path: As of ``PATH``.
    :param python: The interpreter that we run on; our own commands lie beside it.
    """
    scripts = os.path.dirname(os.path.abspath(python))
    return next(
        (each for each in _programs(LOKI, search_path) if not _is_ours(each, scripts)), None
    )


def not_installed(provider: str) -> ProviderNotAvailable:
    """The error for a provider whose program is not there."""
    return ProviderNotAvailable(
        f"The provider {provider!r} is not installed: the server's PATH has no such program.",
        {"provider": provider},
    )


def _programs(name: str, search_path: str) -> Iterator[str]:
    for directory in search_path.split(os.pathsep):
        if os.path.isabs(directory):
            found = shutil.which(name, path=directory)
            if found is not None:
                yield found


def _is_ours(program: str, scripts: str) -> bool:
    """
    Whether a ``loki`` is our own command.

    It says so in its first lines, or lies where our other command lies too: one
    installation does not put two programs of a name into one directory.
    """
    real = os.path.realpath(program)
    beside = os.path.dirname(real)
    if beside == os.path.realpath(scripts) and os.path.isfile(os.path.join(beside, "lokictl")):
        return True
    try:
        with open(real, "rb") as script:
            head = script.read(_HEAD)
    except OSError:
        return False  # It can be run but not be read: nothing of ours is installed like that.
    return any(name in head for name in _OURS)
