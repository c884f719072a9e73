"""
A TCP proxy that cuts connections when it is told to, in a thread of its own.

It is for tests that block: they wait for processes and read sockets while it carries, and let no
reactor run meanwhile. So it is not one with :mod:`tests.proxies`, which is on the reactor of
its test, and draws for each connection by itself where to break it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

import attrs

Value = TypeVar("Value")

PIECE = 65_536
BEGINNING = 4096
TIMEOUT = 60

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@attrs.define(eq=False)
class _Link:
    """
    One connection through the proxy.

    :ivar left: How many more bytes of the server's go through before it is cut; None for all.
    :ivar resets: Whether it is cut as by a machine that went down, rather than in peace.
    :ivar begun: The first bytes of what the client was sent.
    """

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    left: int | None = None
    resets: bool = False
    begun: bytearray = attrs.field(factory=bytearray)

    async def carry_down(self, reader: asyncio.StreamReader) -> None:
        """Carry what the server sends, up to its end or to where it is to be cut."""
        while self.left != 0 and (data := await reader.read(PIECE)):
            if self.left is not None:
                data = data[: self.left]
                self.left -= len(data)
            self.client.write(data)
            self.begun += data[: BEGINNING - len(self.begun)]
            await self.client.drain()

    async def carry_up(self, reader: asyncio.StreamReader, sent: bytearray) -> None:
        """Carry what the client sends, and note it."""
        while data := await reader.read(PIECE):
            sent += data
            self.server.write(data)
            await self.server.drain()

    def cut(self, after: int, resets: bool) -> None:
        """Cut it when so many more bytes of the server's have gone through."""
        self.left, self.resets = after, resets
        if not after:
            self.close()

    def close(self) -> None:
        """Close both ends, the client's when it has been sent all it was to have."""
        self.server.transport.abort()
        if self.resets:
            handle: socket.socket = self.client.get_extra_info("socket")
            with contextlib.suppress(OSError):
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.client.transport.abort()
        else:
            self.client.close()


class CuttingProxy:
    """
    Listens on a free port of loopback, and carries connections to a target.

    :ivar target: A port of loopback, or the path of a unix socket; None to cut whoever comes.
    :ivar port: Where it listens.
    """

    def __init__(self, target: int | str | None = None) -> None:
        self.target = target
        self._sent: list[bytearray] = []
        self._answered: list[bytearray] = []
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._listener.sockets[0].getsockname()[1]

    def _call(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT)

    @property
    def heads(self) -> list[bytes]:
        """The heads of the requests that went through, in order; none of them had a body."""
        return [
            head for sent in list(self._sent) for head in bytes(sent).split(b"\r\n\r\n") if head
        ]

    @property
    def answers(self) -> list[bytes]:
        """The first bytes of what was sent over each connection, in order."""
        return [bytes(begun) for begun in list(self._answered)]

    def cut(self, after: int = 0, *, resets: bool = False) -> None:
        """
        Cut all connections.

        :param after: When each has carried so many more bytes to the client.
        :param resets: Whether as by a machine that went down, rather than in peace.
        """
        self._call(self._cut(after, resets))

    async def _cut(self, after: int, resets: bool) -> None:
        for link in list(self._links):
            link.cut(after, resets)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            upper = await self._connect()
        except OSError:
            writer.transport.abort()
        else:
            await self._carry(_Link(writer, upper[1]), reader, upper[0])
        finally:
            self._tasks.discard(task)

    async def _connect(self) -> Streams:
        if self.target is None:
            raise ConnectionRefusedError
        if isinstance(self.target, int):
            return await asyncio.open_connection("127.0.0.1", self.target)
        return await asyncio.open_unix_connection(self.target)

    async def _carry(
        self, link: _Link, lower: asyncio.StreamReader, upper: asyncio.StreamReader
    ) -> None:
        sent = bytearray()
        self._sent.append(sent)
        self._answered.append(link.begun)
        self._links.add(link)
        ways = [
            asyncio.ensure_future(link.carry_down(upper)),
            asyncio.ensure_future(link.carry_up(lower, sent)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            link.close()
            # Each ends by itself now, with whatever became of its connection.
            await asyncio.gather(*ways, return_exceptions=True)

    def close(self) -> None:
        """Cut all, and listen no more."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT)
        self._loop.close()

    async def _close(self) -> None:
        self._listener.close()
        await self._cut(0, resets=True)
        await asyncio.gather(*self._tasks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
