"""All that a server has for one log: its rooms, and what it asks and lets others ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import attrs

from loki_twisted.policies import gate_policy_of
from loki_twisted.rooms import Rooms
from loki_twisted.settings import Settings
from loki_twisted.vitals import Standing, Vitals
from loki_twisted.watching import ProjectWatch
from loki_twisted.web.api import make_interior
from loki_twisted.web.interior import Interior


@attrs.frozen(eq=False)
class Premises:
    """
    What is made for one log, and anew where another one is begun. Nothing in it runs yet.

    :ivar rooms: The rooms.
    :ivar projects: Watches projects in them.
    :ivar vitals: What the server knows of itself and of them.
    :ivar interior: What stands behind the entrance.
    """

    rooms: Rooms
    projects: ProjectWatch
    vitals: Vitals
    interior: Interior

    @classmethod
    def of(
        cls, settings: Settings, reactor: Any, descriptions: Sequence[str], standing: Standing
    ) -> Self:
        """
        Make them.

        :param descriptions: What the server listens on.
        :param standing: Where it stands, whenever that is asked.
        """
        rooms = Rooms(settings, reactor)
        vitals = Vitals(reactor, rooms, standing)
        interior = make_interior(
            sessions=rooms.sessions,
            log=rooms.log,
            hub=rooms.hub,
            lists=rooms.lists,
            outputs=rooms.outputs,
            vitals=vitals,
            policy=gate_policy_of(settings, descriptions, rooms.keyring),
            leases=rooms.leases,
            audit=rooms.audit,
            reactor=reactor,
        )
        return cls(rooms, ProjectWatch(rooms), vitals, interior)
