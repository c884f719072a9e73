"""One bad request and its one right answer, and short ways to write them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import msgspec

TOKEN = "SECRETXYZ-0123456789-abcdefghijklmnopqrstuvwxyz"
"""The token of the server that is asked."""

RUNNING, ENDED, PORT = b"@RUNNING@", b"@ENDED@", b"@PORT@"
"""What stands in requests for the ids of two sessions that there are, and for the server's port."""

KEY = "the-key-of-the-session-that-runs"
"""Under which that one was started."""

Lines = Sequence[bytes]


@attrs.frozen(kw_only=True)
class Case:
    """
    One request.

    :ivar id: The row, and which of its requests it is: ``B4.2``.
    :ivar sent: All its bytes.
    :ivar status: Of the answer.
    :ivar code: Of the answer; None for one that is no error.
    :ivar closes: Whether the connection is over, so that nothing behind it is served.
    :ivar says: Headers of the answer; None for one that must not be there.
    :ivar tells: The parameter or field that is told to be wrong.
    :ivar begins: What a stream has to begin with that is answered.
    """

    id: str
    sent: bytes
    status: int
    code: str | None
    closes: bool = False
    says: Mapping[str, str | None] = attrs.field(factory=dict)
    tells: str | None = None
    begins: bytes | None = None


def row(name: str, status: int, code: str | None, *sent: bytes, **more: Any) -> list[Case]:
    """Make the cases of one row that are all answered alike."""
    return [
        Case(id=f"{name}.{number}", sent=each, status=status, code=code, **more)
        for number, each in enumerate(sent, 1)
    ]


def joined(*rows: list[Case]) -> list[Case]:
    """Put rows together; those of one name go on counting."""
    counts: dict[str, int] = {}
    cases = []
    for case in [each for some in rows for each in some]:
        name = case.id.partition(".")[0]
        counts[name] = counts.get(name, 0) + 1
        cases.append(attrs.evolve(case, id=f"{name}.{counts[name]}"))
    return cases


# Requests

HOST = b"Host: localhost:" + PORT
JSON = b"Content-Type: application/json"
FAR = b"X-Forwarded-For: 192.0.2.7"
"""Makes a request one that needs a token: somebody has passed it on."""


def asked(
    method: bytes, target: bytes, *lines: bytes, host: bytes | None = HOST, body: bytes = b""
) -> bytes:
    """Write a request: one proper Host unless another is given, and the length of its body."""
    head = [method + b" " + target + b" HTTP/1.1"]
    head += [host] if host is not None else []
    head += lines
    if body:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def get(target: bytes, *lines: bytes, **more: Any) -> bytes:
    """Write a request that has no body."""
    return asked(b"GET", target, *lines, **more)


def post(target: bytes, body: object = b"", *lines: bytes, **more: Any) -> bytes:
    """Write a request with a body: bytes as they are, anything else as JSON; declared as that."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return asked(b"POST", target, JSON, *lines, body=content, **more)


def framed(lines: bytes, body: bytes, *, version: bytes = b"1.1") -> bytes:
    """Write an order to start a session whose length is said by the lines given."""
    head = [b"POST /api/sessions HTTP/" + version, HOST, JSON, lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body
