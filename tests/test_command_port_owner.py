"""Who holds a port."""

from __future__ import annotations

import os
import socket

from loki_twisted.command.port_owner import listening_inodes, maybe_port_owner
from loki_twisted.endpoints import has_ipv6_loopback

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:E01E 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1
   1: 0100007F:E01E 0100007F:1234 01 00000000:00000000 00:00000000 00000000  1000        0 222 1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1
"""


def test_the_table() -> None:
    """Only sockets that listen on the port count."""
    assert listening_inodes(TABLE, 0xE01E) == {"111"}
    assert listening_inodes(TABLE, 22) == {"333"}
    assert listening_inodes(TABLE, 80) == frozenset()


def test_a_real_port() -> None:
    """The process that listens on a port is found, and is not once it has closed it."""
    hosts = ["127.0.0.1", "::1"] if has_ipv6_loopback() else ["127.0.0.1"]
    for host in hosts:
        with socket.create_server((host, 0), family=_family(host)) as listener:
            port = listener.getsockname()[1]
            assert maybe_port_owner(port) == os.getpid()
        assert maybe_port_owner(port) != os.getpid()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
