"""The route of what agents print, as they print it."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import (
    InvalidRequest,
    NotFound,
    SessionNotFound,
    StorageFailed,
    Unavailable,
)
from loki_twisted.sessions.interface import IOutput, ISessions, OutputStream
from loki_twisted.web.long_answer import LongAnswer
from loki_twisted.web.long_answers import Body, LongAnswers
from loki_twisted.web.operations import operation
from loki_twisted.web.output_bodies import NEXT_OFFSET, OCTETS, SIZE, LiveOutput, OutputPart
from loki_twisted.web.parameters import integer, one_of, switch
from loki_twisted.web.session_orders import known

MOST_OUTPUTS: Final = 128
"""So many are sent at once, those that are followed included."""

SHORT_BYTES: Final = 65_536
"""What has no more is sent at once and needs no place."""

OUTPUTS: Final = "outputs are being read"
"""What they are, for :class:`LongAnswers`."""

_MOST_BYTES: Final = 10**15
_NUMBER: Final = {"type": "integer", "minimum": 0}


class OutputRoutes:
    """
    The route under ``/api/sessions/{sessionId}/output``.

    :param answers: Those under way.
    """

    def __init__(self, sessions: ISessions, answers: LongAnswers) -> None:
        self._sessions = sessions
        self._answers = answers

    @operation(
        "GET",
        "/api/sessions/{sessionId}/output",
        tag="sessions",
        media_type=OCTETS.decode(),
        headers={
            SIZE: {"description": "How many bytes there are in all, for now.", "schema": _NUMBER},
            NEXT_OFFSET: {
                "description": "The `after` of what comes behind this answer. Not with `follow`: "
                "there it is yours and the number of bytes that came.",
                "schema": _NUMBER,
            },
        },
        parameters=(
            one_of("stream", "Which of its streams.", OutputStream, default=OutputStream.STDOUT),
            integer("after", "Begin behind so many bytes.", least=0, most=_MOST_BYTES, default=0),
            integer("limit", "How many bytes at most.", least=1, most=_MOST_BYTES),
            switch("follow", "Go on with what comes, until the session has ended."),
        ),
        errors=(SessionNotFound, NotFound, StorageFailed, Unavailable),
    )
    async def read_output(
        self,
        session_id: str,
        stream: OutputStream,
        after: int,
        limit: int | None,
        follow: bool,
    ) -> LongAnswer:
        """
        Read what the agent of a session prints, byte for byte.

        All of it is kept until the session is deleted, and nothing in it is masked. Where the files
        of its agent were removed or moved away there is none: 404. An offset beyond the end is an
        error: 422, with the `size` that there is. If the agent empties its output meanwhile, or the
        server ends while it is followed, the connection is cut.
        """
        output = self._sessions.output(known(session_id), stream)
        place = None
        try:
            size = _size(output, after)
            if follow or min(size - after, limit or size) > SHORT_BYTES:
                place = await self._answers.wait()
            body = _body(output, after, limit, follow=follow)
        except BaseException:
            output.close()
            if place is not None:
                place.leave()
            raise
        return LongAnswer(self._answers, body, place)


def _body(output: IOutput, after: int, limit: int | None, *, follow: bool) -> Body:
    size = _size(output, after)
    if follow:
        return LiveOutput(output, after, limit, size)
    end = size if limit is None else min(size, after + limit)
    return OutputPart(output, after, end, size)


def _size(output: IOutput, after: int) -> int:
    """
    Say how much there is.

    :raises InvalidRequest: if that is less than is wanted to be passed over.
    """
    size = output.size()
    if after > size:
        error = InvalidRequest.of([("after", f"is beyond the end: there are {size} bytes")])
        raise InvalidRequest(str(error), {**(error.details or {}), "size": size})
    return size
