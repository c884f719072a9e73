"""Functions of a program that are called when something happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from twisted.logger import Logger

_log: Final = Logger()
_T = TypeVar("_T")


async def call_back(function: Callable[[_T], object], told: _T, name: str) -> None:
    """
    Call a function, and wait for what it returns if that is an awaitable.

    What it raises is logged and goes no further.

    :param name: What it is told of, for the log.
    """
    try:
        result = function(told)
        if result is not None and isinstance(result, Awaitable):
            await result
    except Exception:  # noqa: BLE001  # logged; what comes next is not to suffer from it
        _log.failure("A callback failed on {name}", name=name)
