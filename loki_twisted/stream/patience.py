"""How long the stream and the long lists wait for their clients, and they for them."""

from __future__ import annotations

from typing import Final

import attrs

GRACE_SECONDS: Final = 3.0
"""How long clients have to take what there is when the server ends."""

SETTLE_SECONDS: Final = 0.02
"""How often it is seen then whether they have."""


@attrs.frozen(slots=True)
class Patience:
    """
    How long a server waits.

    :ivar stall_seconds: For a client to take a byte when there is something for it.
    :ivar keep_alive_seconds: With saying nothing.
    """

    stall_seconds: float = 60.0
    keep_alive_seconds: float = 15.0

    @property
    def sweep_seconds(self) -> float:
        """How often subscribers are looked at: often enough to be right by a fifth."""
        return min(self.stall_seconds, self.keep_alive_seconds) / 5


PATIENCE: Final = Patience()
"""What a server has, unless it is told otherwise."""
