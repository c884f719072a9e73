"""What is to be looked at in a tree: names in its directories."""

from __future__ import annotations

from typing import Final

_MANY: Final = 64
"""With more marked names in a directory than this, it is listed whole."""

Marks = dict[str, set[str] | None]
"""What to look at: names in a directory, or None for all of it."""


def mark(marks: Marks, directory: str, name: str | None) -> None:
    """Add a name in a directory to what is to be looked at; None stands for all names."""
    names = marks.setdefault(directory, set())
    if names is None:
        return
    if name is None or len(names) >= _MANY:
        marks[directory] = None
    else:
        names.add(name)
