"""The history of a server, walked page by page from its first event to its last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from tests.system import Server


class Told(NamedTuple):
    """
    An event of the log.

    :ivar frame: As the stream carries it.
    """

    id: str
    type: str
    session_id: str
    frame: bytes

    @property
    def number(self) -> int:
        """Its number in the log."""
        return int(self.id.split("_")[1])

    @property
    def data(self) -> Any:
        """What it carries."""
        return msgspec.json.decode(self.frame.partition(b"\ndata: ")[2])["data"]


class _Page(msgspec.Struct):
    events: list[msgspec.Raw]


def history(server: Server, query: str = "") -> Iterator[Told]:
    """All events that a query wants, in order; they are read as they are taken."""
    after = "earliest"
    while page := list(_page(server, f"{query}&limit=1000&after={after}")):
        yield from page
        after = page[-1].id


def _page(server: Server, query: str) -> Iterator[Told]:
    answer = server.request("GET", f"/api/events/history?{query}")
    assert answer.status == 200, answer
    for raw in msgspec.json.decode(answer.body, type=_Page).events:
        event: dict[str, Any] = msgspec.json.decode(raw)
        head = f"id: {event['id']}\nevent: {event['type']}\ndata: ".encode()
        yield Told(event["id"], event["type"], event["sessionId"], head + bytes(raw))
