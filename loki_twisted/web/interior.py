"""What stands behind an entrance, all of it made for the same log."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.web.resource import IResource

from loki_twisted.web.gate import Gate
from loki_twisted.web.leases import Leases
from loki_twisted.web.neighbours import Neighbours
from loki_twisted.web.witness import Witness


def _serves() -> None:
    return None


@attrs.frozen(eq=False)
class Interior:
    """
    Who is let in, and where to.

    :ivar gate: Decides about requests.
    :ivar inner: A leaf that routes by ``postpath``.
    :ivar neighbours: Knows whose the other ends of connections are.
    :ivar leases: Are given the answers that go on.
    :ivar witness: Puts on record what changes something.
    :ivar not_serving: Says why nothing but probes is answered now, or None.
    """

    gate: Gate
    inner: IResource
    neighbours: Neighbours
    leases: Leases
    witness: Witness
    not_serving: Callable[[], str | None] = _serves
