"""How many requests there were, of what, how they were answered, and how long that took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loki_twisted.model.tallies import Tally

NO_ROUTE: Final = ""
"""What stands for the route of a request that came to none: refused before, or unknown."""

_OTHER: Final = "other"
_KNOWN: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
_NAMES: Final[Mapping[bytes, str]] = {name.encode("ascii"): name for name in _KNOWN}


class RequestMeter:
    """
    Counts requests. What clients can choose (paths, methods) makes no entry of its own.

    :ivar tallies: By route, method and status. A stream is counted when it begins.
    """

    __slots__ = ("tallies",)

    def __init__(self) -> None:
        self.tallies: dict[tuple[str, str, int], Tally] = {}

    def note(self, route: str, method: bytes, status: int, seconds: float) -> None:
        """
        Count a request.

        :param route: The path as it is declared, ``/api/sessions/{sessionId}``.
        """
        key = (route, _NAMES.get(method, _OTHER), status)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = Tally()
        tally.add(seconds)
