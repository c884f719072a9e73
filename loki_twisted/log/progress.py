"""How far the cutting of a log has come, and when it is worth while to look at all once more."""

from __future__ import annotations

from typing import Final

import attrs

from loki_twisted.log.interface import Bounds
from loki_twisted.log.retention import Held

_WORTH_SHARE: Final = 0.5


@attrs.frozen(slots=True, kw_only=True)
class Progress:
    """
    How far a cutter has come.

    :ivar next_of_complete: The number from which on to look for what is too much. What lies
        between ``complete_from`` and this was looked at and stays.
    :ivar said_from: The number of the first event that was said since all that stays was looked
        at for the last time.
    :ivar next_of_kept: The number from which on to look, before ``complete_from``, for what need
        not be kept any longer; None when all was looked at.
    """

    bounds: Bounds
    held: Held
    next_of_complete: int
    said_from: int
    next_of_kept: int | None

    @property
    def said_since(self) -> int:
        """How many events were said since then."""
        return self.bounds.newest + 1 - self.said_from

    @property
    def stayed(self) -> int:
        """How many events of those that were there then were looked at, and stay."""
        looked_to = min(self.next_of_complete, self.said_from)
        return self.held.kept + max(0, looked_to - self.held.complete_from)

    @property
    def has_looked(self) -> bool:
        """Whether all that was there then was looked at."""
        return self.next_of_complete >= self.said_from

    def is_worth_a_look(self, least_stayed: int) -> bool:
        """
        Tell whether enough was said since to look once more at all that stays.

        :param least_stayed: Take it that at least so many events stay.
        """
        stays_any = self.held.kept > 0 or self.next_of_complete > self.held.complete_from
        return stays_any and self.said_since > max(self.stayed, least_stayed) * _WORTH_SHARE

    def begin_again(self) -> Progress:
        """Give the progress of one who looks once more at all that stays."""
        return attrs.evolve(
            self,
            next_of_complete=self.held.complete_from,
            said_from=self.bounds.newest + 1,
            next_of_kept=0,
        )


def progress_of(bounds: Bounds, held: Held) -> Progress:
    """Give the progress of one who has looked at nothing."""
    return Progress(
        bounds=bounds,
        held=held,
        next_of_complete=held.complete_from,
        said_from=bounds.newest + 1,
        next_of_kept=0,
    )
