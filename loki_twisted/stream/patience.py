"""How long the stream waits for its clients, and they for it."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class Patience:
    """
    How long a hub waits.

    :ivar stall_seconds: For a client to take a byte when there is something for it.
    :ivar keep_alive_seconds: With saying nothing.
    """

    stall_seconds: float = 60.0
    keep_alive_seconds: float = 15.0

    @property
    def sweep_seconds(self) -> float:
        """How often subscribers are looked at: often enough to be right by a fifth."""
        return min(self.stall_seconds, self.keep_alive_seconds) / 5
