"""A long answer to one request."""

from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from loki_twisted.model.errors import Unavailable
from loki_twisted.web.answers import is_gone
from loki_twisted.web.long_answers import Body, LongAnswers
from loki_twisted.web.places import Place


class LongAnswer(Resource):
    """
    The response that carries a long answer, for one request.

    :param answers: Those under way.
    :param body: What it is; closed when it is over.
    :param place: Is left when it is over; None for one that is short.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, answers: LongAnswers, body: Body, place: Place | None) -> None:
        super().__init__()
        self._answers = answers
        self._body = body
        self._place = place

    def render_HEAD(self, request: Request) -> bytes | int:  # noqa: N802  # Twisted's name
        """Answer the headers alone."""
        self._leave()
        if is_gone(request):
            return NOT_DONE_YET
        for name, value in self._body.headers:
            request.setHeader(name, value)
        return b""

    def render_GET(self, request: Request) -> int:  # noqa: N802  # Twisted's name
        """
        Begin to send.

        :raises Unavailable: see :meth:`LongAnswers.begin`.
        """
        if is_gone(request):
            self._leave()
            return NOT_DONE_YET
        try:
            self._answers.begin(request, self._body, self._place)
        except Unavailable:
            self._leave()
            raise
        return NOT_DONE_YET

    def _leave(self) -> None:
        self._body.close()
        if self._place is not None:
            self._place.leave()
