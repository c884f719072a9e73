"""What a run with the long figures tells whoever started it."""

from __future__ import annotations

import sys

import pytest


def tell(capsys: pytest.CaptureFixture[str], sentence: str) -> None:
    """Write a line past pytest's capture."""
    with capsys.disabled():
        sys.stdout.write(f"\n{sentence}\n")
