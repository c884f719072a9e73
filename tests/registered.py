"""Tables of what is promised: which tests carry the id of a row, and which the document names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENTS = HERE.parent / "docs"

_ID = re.compile(r"[\"']([\w-]+)[\"']")
_TEST = re.compile(r"``(test_\w+)``")


def marked(mark: str) -> dict[str, set[str]]:
    """By the id of a row, the names of the tests that carry it in a mark: ``mark("T14")``."""
    found: dict[str, set[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if f"mark.{mark}(" in source:
            for name, decorator in _decorators(ast.parse(source)):
                if decorator.startswith(f"pytest.mark.{mark}("):
                    for row in _ID.findall(decorator):
                        found.setdefault(row, set()).add(name)
    return found


def _decorators(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each decorator of each function of a module, as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for each in node.decorator_list:
                yield node.name, ast.unparse(each)


def documented(document: str, ids: str) -> dict[str, set[str]]:
    """
    The same, as a list table of a document says it.

    :param document: The name of the file below ``docs/``.
    :param ids: A pattern for the ids of rows, which stand alone in the first column.
    """
    text = (DOCUMENTS / document).read_text(encoding="utf-8")
    places = [*re.finditer(rf"^   \* - ({ids})$", text, re.MULTILINE)]
    ends = [*(each.start() for each in places[1:]), len(text)]
    rows: dict[str, set[str]] = {}
    for place, end in zip(places, ends, strict=True):
        row = text[place.end() : end].partition("\n\n")[0]
        rows[place[1]] = set(_TEST.findall(row))
    return rows
