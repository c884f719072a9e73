"""A long list of events as the answer to one request."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from loki_twisted.model.errors import Unavailable
from loki_twisted.web.answers import JSON, is_gone
from loki_twisted.web.event_lists import EventLists
from loki_twisted.web.event_pages import EventPages
from loki_twisted.web.places import Place


class EventList(Resource):
    """
    The response that carries many events, for one request: an ``EventHistory``.

    :param lists: Those under way.
    :param pages: Where its events come from.
    :param begun: Those that were read already.
    :param place: Is left when it is over.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(
        self, lists: EventLists, pages: EventPages, begun: Sequence[bytes], place: Place
    ) -> None:
        super().__init__()
        self._lists = lists
        self._pages = pages
        self._begun = begun
        self._place = place

    def render_HEAD(self, request: Request) -> bytes:  # noqa: N802  # Twisted's name
        """Answer the headers alone."""
        self._place.leave()
        request.setHeader(b"Content-Type", JSON)
        return b""

    def render_GET(self, request: Request) -> int:  # noqa: N802  # Twisted's name
        """
        Begin to send.

        :raises Unavailable: see :meth:`EventLists.send`.
        """
        begun, self._begun = self._begun, ()
        if is_gone(request):
            self._place.leave()
            return NOT_DONE_YET
        try:
            self._lists.send(request, self._pages, begun, self._place)
        except Unavailable:
            self._place.leave()
            raise
        return NOT_DONE_YET
