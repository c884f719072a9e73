"""Recording a session: what its agent prints, with times."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from twisted.internet.defer import Deferred, FirstError, gatherResults

from loki_twisted.client.errors import none_of_this_api
from loki_twisted.model.recordings import Ending, Heading, line_of, piece_of
from loki_twisted.model.timestamps import ms_from_iso

if TYPE_CHECKING:
    from loki_twisted.client.api import LokiClient

_STREAMS: Final[tuple[Literal["stdout", "stderr"], ...]] = ("stdout", "stderr")


async def record(
    client: LokiClient, session_id: str, write: Callable[[bytes], object], now_ms: Callable[[], int]
) -> None:
    """
    Record a session from its beginning to its end.

    What it printed before this has the time of now: nobody knows when it was printed.

    :param write: Takes a line of the recording, as :mod:`loki_twisted.model.recordings` has it.
    :param now_ms: The wall clock, milliseconds since the Unix epoch.
    :raises ClientError: if the server refuses it, ``SESSION_NOT_FOUND`` for example.
    :raises ServerUnreachable: if the server is gone; what is written so far is a recording that was
        broken off.
    """
    session = (await client.get_session(session_id)).session
    try:
        began_ms = ms_from_iso(session.started_at)
    except ValueError as error:
        raise none_of_this_api("The time at which the session was started", error) from None
    driven_by = session.driven_by or session.provider
    heading = Heading(driven_by=driven_by, started_at=session.started_at, model=session.model)
    write(line_of(heading))

    async def follow(stream: Literal["stdout", "stderr"]) -> None:
        async with client.follow_output(session_id, stream=stream) as tail:
            async for data in tail:
                write(line_of(piece_of(max(0, now_ms() - began_ms), stream, data)))

    following = [Deferred.fromCoroutine(follow(stream)) for stream in _STREAMS]
    try:
        await gatherResults(following, consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()
    ended = (await client.get_session(session_id)).session
    write(line_of(Ending(at_ms=max(0, now_ms() - began_ms), exit_code=ended.exit_code)))
