"""What an option of a server is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs


@attrs.frozen(slots=True, kw_only=True)
class Option:
    """
    One option.

    :ivar name: Its long name, without the dashes.
    :ivar field: The field of ``Settings`` that it sets.
    :ivar read: Turns text into the field's value, or raises ValueError with the rest of a
        sentence that begins with what was given.
    :ivar metavar: What its value is called in help; None for a flag, which means ``flag_means``.
    :ivar repeatable: Whether it may be given several times; the field is then a tuple.
    :ivar variables: Environment variables that stand for it, the strongest first.
    """

    name: str
    field: str
    help: str
    read: Callable[[str], Any]
    metavar: str | None = None
    short: str | None = None
    repeatable: bool = False
    variables: tuple[str, ...] = ()
    flag_means: bool = True

    @property
    def described(self) -> str:
        """Its help, with the variables that stand for it."""
        return f"{self.help} [{', '.join(self.variables)}]" if self.variables else self.help
