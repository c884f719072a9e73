"""Long lists of events that nobody takes, from outside: what they cost, and how a server ends."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from loki_twisted.web.event_lists import MOST_LISTS
from tests.succession import Succession
from tests.system import TIMEOUT
from tests.test_system_sessions import until
from tests.test_system_slow_readers import forget_most, memory

CLIENTS = 3 * MOST_LISTS
EVENTS = 600
LENGTH = 16_000
MOST_GROWTH = 64 * 1024 * 1024


def ask_and_take_nothing(port: int) -> socket.socket:
    """Ask for all there is, on a connection for which the system takes little."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(TIMEOUT)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET /api/events/history?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client


def test_lists_that_nobody_takes(tmp_path: Path) -> None:
    """
    Of two hundred clients that ask for megabytes and take nothing, as many are served as may be,
    and then others in the places of those that are stuck, which costs little memory. The end of
    the server waits for none, and nothing is amiss.
    """
    with Succession(tmp_path) as place, ExitStack() as exit_:
        place.order(f"flow 50 0.02 {LENGTH}")
        until(lambda: place.server.get("/api/events/stats")["historySize"] >= EVENTS)
        place.end()
        before = memory(place.server.pid, "VmRSS")
        forget_most(place.server.pid)

        clients = [exit_.enter_context(ask_and_take_nothing(place.port())) for _ in range(CLIENTS)]
        statuses = Counter(client.recv(12, socket.MSG_PEEK) for client in clients)

        assert statuses.keys() <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        assert statuses[b"HTTP/1.1 200"] > MOST_LISTS
        assert memory(place.server.pid, "VmHWM") - before < MOST_GROWTH
        assert place.server.stop() == 0
        assert [line for line in place.server.said if "CRITICAL" in line or "ERROR" in line] == []
        assert not any("Traceback" in line for line in place.server.said)
