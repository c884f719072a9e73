"""How much may wait for the disk."""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen(slots=True, kw_only=True)
class Limits:
    """
    How much may wait for the disk.

    :ivar queued_bytes: Bytes of batches that are not on disk yet; beyond, appending fails.
    :ivar queued_batches: And how many batches.
    :ivar probe_seconds: From a failure, or a probe that failed, to the next probe; and from an
        opening for which there was no room to the next one, if that was found out in no time.
    :ivar patience_seconds: Where the disk has not answered for so long, it is said that the log
        cannot be written, and appending fails. What was handed over before goes on waiting. So
        it is with a disk that works and takes longer for a single sync.
    """

    queued_bytes: int = 64 * 1024 * 1024
    queued_batches: int = 20_000
    probe_seconds: float = 1.0
    patience_seconds: float = 10.0


DEFAULT_LIMITS: Final = Limits()
"""What a server uses."""
