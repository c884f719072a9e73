"""Tests of :mod:`loki_twisted.listening`: who is let in where there is no room."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from loki_twisted.listening import Door
from loki_twisted.web.limits import Limits
from loki_twisted.web.site import Site

CLIENT = IPv4Address("TCP", "127.0.0.1", 4711)


@pytest.mark.promise("R22")
@pytest.mark.threat("T21")
def test_nobody_is_let_in_where_there_is_no_room() -> None:
    """Beyond those who are told that there are too many nothing is made of a connection."""
    site = Site(Resource(), reactor=Clock(), limits=Limits(connections=2, told=1))
    door = Door(site)
    made = []
    while (protocol := door.buildProtocol(CLIENT)) is not None:
        protocol.makeConnection(StringTransport())
        made.append(protocol)
    assert len(made) == 3
    assert b"503" in made[2].transport.value()

    site.closed(made[0])
    assert door.buildProtocol(CLIENT) is not None
