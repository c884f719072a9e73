"""Where the real programs of agents are, for the tests that run them."""

from __future__ import annotations

import os
import shutil
from typing import Final

PATH: Final = os.pathsep.join(filter(None, map(os.environ.get, ("LOKI_TEST_AGENTS", "PATH"))))
"""Where they are looked for."""


def find(name: str) -> str | None:
    """The absolute path of a program, or None."""
    return shutil.which(name, path=PATH)
