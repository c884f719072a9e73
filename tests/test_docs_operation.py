"""The page for those who run a server says what there is."""

from __future__ import annotations

import re
from pathlib import Path

from loki_twisted.command.arguments import USAGE_EXIT
from loki_twisted.command.running import UNEXPECTED_EXIT
from loki_twisted.command.serve import CANNOT_START_EXIT, FOREIGN_EXIT
from loki_twisted.operation.figures import Figures
from tests.test_operation_figures import readings

PAGE = Path(__file__).parent.parent / "docs" / "operation.rst"


def test_every_figure_stands_in_the_table() -> None:
    """The table has each figure, with its kind, and no other."""
    table = re.findall(r"^``(loki_\w+)`` +(\w+) ", PAGE.read_text("utf-8"), re.MULTILINE)
    made = [(family.name, family.type) for family in Figures(readings()).collect()]

    assert sorted(table) == sorted(made)


def test_every_exit_code_stands_in_the_table() -> None:
    """The table has each code that a server ends with by itself, and no other."""
    table = re.findall(r"^(\d+) {3,}\S", PAGE.read_text("utf-8"), re.MULTILINE)

    codes = [0, CANNOT_START_EXIT, USAGE_EXIT, FOREIGN_EXIT, UNEXPECTED_EXIT]
    assert [int(code) for code in table] == codes
