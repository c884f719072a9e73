"""
The app that is measured: an agent's lines, as events, to everyone who listens.

It does what ours does as far as that goes without a log and without filters, in the way that costs
least: the agent's output is read in large pieces, the lines are parsed by the same regular
expression, each event is encoded once, and every subscriber has a queue of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_LEVELLED: Final = re.compile(
    r"\s*\[ *([A-Za-z][\w-]{0,31}) *\]\s*(?:\[([^\[\]]{1,64})\]\s*)?(.*)", re.DOTALL
)
_SESSION: Final = "session_1795478399000_1f2e3d4c"
_PIECE_BYTES: Final = 64 * 1024
_PING_SECONDS: Final = 15
_encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode

_queues: Final[set[asyncio.Queue[bytes]]] = set()
_agents: Final[set[asyncio.Task[None]]] = set()
_numbers: Final = itertools.count(1)


def frame_of(line: str, number: int) -> bytes:
    """Make the event of a line, as it is on the wire."""
    found = _LEVELLED.match(line)
    level, source, message = found.groups() if found else ("info", None, line)
    milliseconds = time.time_ns() // 1_000_000
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    level = level.lower()
    name, kind = f"evt_{number}_{milliseconds}", f"log:{level}"
    event = {
        "id": name,
        "type": kind,
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z",
        "sessionId": _SESSION,
        "data": {"level": level, "message": message, "source": source},
    }
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        name.encode(),
        kind.encode(),
        _encode(event),
    )


async def _follow(output: asyncio.StreamReader) -> None:
    """Hand out an agent's lines until it ends."""
    rest = b""
    while piece := await output.read(_PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            frame = frame_of(line.decode(), next(_numbers))
            for queue in _queues:
                queue.put_nowait(frame)


async def start(request: Request) -> Response:
    """Start an agent; the body is its program and arguments."""
    argv = await request.json()
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 - asked for
    agent = asyncio.create_task(_follow(process.stdout))
    _agents.add(agent)
    agent.add_done_callback(_agents.discard)
    return Response(b'{"started":true}', media_type="application/json")


async def _events() -> AsyncIterator[bytes]:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    _queues.add(queue)
    try:
        yield b": connected\n\n"
        while True:
            yield await queue.get()
    finally:
        _queues.discard(queue)


async def events(_: Request) -> Response:
    """Listen."""
    return EventSourceResponse(_events(), ping=_PING_SECONDS)


async def live(_: Request) -> Response:
    """Tell that the server answers."""
    return Response(b'{"alive":true}', media_type="application/json")


@contextlib.asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    yield
    for agent in _agents:
        agent.cancel()


app: Final = Starlette(
    routes=[
        Route("/start", start, methods=["POST"]),
        Route("/events", events),
        Route("/health/live", live),
    ],
    lifespan=_lifespan,
)
"""What uvicorn serves."""
