"""Request lines, headers and framing: what is HTTP at all. B1 to B8, B32 to B36, B38 to B40."""

from __future__ import annotations

import random

from tests.bad_input.cases import HOST, JSON, asked, framed, get, joined, post, row

LIVE = get(b"/health/live")
_OPEN = LIVE[:-2]
"""A request that is right, but for its end."""

_NOISE = random.Random(32).randbytes(4096)  # the same in each run
_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2


def _lengths(*lines: bytes) -> list[bytes]:
    return [framed(each, b"{}") for each in lines]


def _chunks(*pieces: bytes) -> list[bytes]:
    return [framed(b"Transfer-Encoding: chunked", each) for each in pieces]


CASES = joined(
    row(
        "B1",
        400,
        "BAD_REQUEST",
        *(
            b"GET /health/live" + version + b"\r\n" + HOST + b"\r\n\r\n"
            for version in (
                b" HTTP/9.9",
                b" HTTP/2.0",
                b" HTTP/1.10",
                b" http/1.1",
                b" HTTP/1.1 x",
                b"",
            )
        ),
        b"GET  /health/live HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\r\n\r\n\r\n",
        closes=True,
    ),
    row(
        "B2",
        400,
        "BAD_REQUEST",
        *(
            b"GET /health/live HTTP/1.1\r\n" + line + b"\r\n\r\n"
            for line in (
                b"Host : localhost",
                b"Ho(st: localhost",
                b": localhost",
                b"no colon",
                b"H\x00st: localhost",
                b"H\xc3\xb6st: localhost",
            )
        ),
        closes=True,
    ),
    row(
        "B3",
        400,
        "BAD_REQUEST",
        _OPEN + b"Foo: a\x00b\r\n\r\n",
        _OPEN + b"Foo: x\nContent-Length: 44\r\n\r\n",
        _OPEN + b"Foo: x\rContent-Length: 44\r\n\r\n",
        closes=True,
    ),
    row(
        "B4",
        400,
        "BAD_REQUEST",
        _OPEN + b"Foo: a\r\n b\r\n\r\n",
        _OPEN + b"Foo: a\r\n\tb\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n " + HOST + b"\r\n\r\n",
        closes=True,
    ),
    row(
        "B5",
        501,
        "NOT_IMPLEMENTED",
        *(asked(method, b"/api/sessions") for method in (b"get", b"GEt", b"FOO", b"PROPFIND")),
        asked(b"OPTIONS", b"*"),
        closes=True,
    ),
    row(
        "B5",
        405,
        "METHOD_NOT_ALLOWED",
        asked(b"TRACE", b"/api/sessions"),
        asked(b"CONNECT", b"localhost:80"),
        closes=True,
        says={"Allow": "GET, HEAD, POST, DELETE, OPTIONS"},
    ),
    row(
        "B6",
        414,
        "URI_TOO_LONG",
        b"GET /" + b"x" * 20_000,
        get(b"/" + b"x" * 20_000),
        get(b"/api/tasks?limit=" + b"1" * 20_000),
        b"x" * 16_385 + b"\r\n",
        closes=True,
    ),
    row(
        "B6",
        431,
        "HEADERS_TOO_LARGE",
        _OPEN + b"X: " + b"x" * 20_000,
        _OPEN + b"X: " + b"x" * 17_000 + b"\r\n\r\n",
        _OPEN + (b"X: " + b"x" * 1000 + b"\r\n") * 17 + b"\r\n",
        _OPEN + b"X: 1\r\n" * 101 + b"\r\n",
        closes=True,
    ),
    # What comes too slowly is 408, by the clock of test_web_channel.py.
    row("B7", 400, "BAD_REQUEST", LIVE.replace(b"\r\n", b"\n") + b"\r\n", closes=True),
    row(
        "B32",
        400,
        "BAD_REQUEST",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        _HELLO + b"\r\n",
        _NOISE + b"\r\n",
        b"\x00" * 100 + b"\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        closes=True,
    ),
    row(
        "B33",
        400,
        "BAD_REQUEST",
        *_lengths(
            b"Content-Length: 2\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nContent-Length: 2",
            b"Transfer-Encoding: identity\r\nContent-Length: 2",
        ),
        closes=True,
    ),
    row(
        "B34",
        400,
        "BAD_REQUEST",
        *_lengths(
            b"Content-Length: 2\r\nContent-Length: 2",
            b"Content-Length: 2\r\nContent-Length: 3",
            b"Content-Length: 2, 2",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ),
        closes=True,
    ),
    row(
        "B35",
        400,
        "BAD_REQUEST",
        *_lengths(
            b"Content-Length: +2",
            b"Content-Length: -2",
            b"Content-Length: 0x2",
            b"Content-Length: 2 2",
            b"Content-Length: 2.0",
            b"Content-Length: 1e1",
            b"Content-Length: two",
            b"Content-Length:",
            b"Content-Length: \xb2",
            b"Content-Length: " + b"0" * 19 + b"2",
            b"Content-Length: " + b"9" * 4301,
        ),
        closes=True,
    ),
    row(
        "B36",
        400,
        "BAD_REQUEST",
        *_lengths(
            b"Transfer-Encoding: identity",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: chunked, chunked",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding:\x0bchunked",
            b"Transfer-Encoding:",
        ),
        framed(b"Transfer-Encoding: chunked", b"0\r\n\r\n", version=b"1.0"),
        closes=True,
    ),
    row(
        "B38",
        400,
        "BAD_REQUEST",
        *_chunks(
            b"zz\r\n",
            b"+2\r\n{}\r\n0\r\n\r\n",
            b"-1\r\n",
            b"0x2\r\n{}\r\n0\r\n\r\n",
            b"2\r\n{}x",
            b"2;" + b"x" * 2000,
        ),
        closes=True,
    ),
    row(
        "B39",
        413,
        "PAYLOAD_TOO_LARGE",
        *_lengths(
            b"Content-Length: 1048577",
            b"Content-Length: 5000000",
            b"Content-Length: 1000000000000000000",
        ),
        # Before anything else is looked at.
        asked(b"POST", b"/", b"Content-Length: 1048577", host=b"Host: evil"),
        closes=True,
    ),
    row(
        "B40",
        413,
        "PAYLOAD_TOO_LARGE",
        *_chunks(
            (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 16 + b"1\r\n \r\n0\r\n\r\n",
            b"100001\r\n" + b" " * 1_048_577 + b"\r\n0\r\n\r\n",
            b"1\r\n \r\n" * 4097 + b"0\r\n\r\n",
        ),
        closes=True,
    ),
    # A mebibyte is not too long, whatever is thought of what is in it.
    row("B40", 400, "BAD_REQUEST", post(b"/api/sessions", b" " * 1_048_576)),
    # An upgrade is not taken: the request is answered like any other.
    row(
        "B60",
        200,
        None,
        get(b"/health/live", b"Connection: Upgrade", b"Upgrade: websocket"),
        get(b"/health/live", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
    ),
    row(
        "B60",
        422,
        "VALIDATION_ERROR",
        get(b"/api/events?types=x", b"Connection: Upgrade", b"Upgrade: websocket"),
        asked(b"POST", b"/api/sessions", JSON, b"Upgrade: websocket", body=b'{"x":1}'),
    ),
)
