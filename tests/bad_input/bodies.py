"""Bodies: their type, their JSON, and what they may hold. B37, B41 to B43, B51 to B56."""

from __future__ import annotations

from typing import Any

from tests.bad_input.cases import JSON, RUNNING, asked, framed, get, joined, post, row

_INPUT = b"/api/sessions/" + RUNNING + b"/input"


def _typed(declared: bytes, body: bytes = b"{}", target: bytes = b"/api/sessions") -> bytes:
    return asked(b"POST", target, b"Content-Type: " + declared, body=body)


def _starts(*bodies: bytes) -> list[bytes]:
    return [post(b"/api/sessions", body) for body in bodies]


def _nested(levels: int, kind: bytes = b'{"a":') -> bytes:
    return b'{"prompt":' + kind * levels + b"1" + (b"}" if kind != b"[" else b"]") * levels + b"}"


def _wanted(**fields: Any) -> bytes:
    return post(b"/api/sessions", fields)


CASES = joined(
    row(
        "B37",
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        *(
            _typed(declared)
            for declared in (
                b"text/plain",
                b"text/json",
                b"application/jsonp",
                b"application/json-patch+json",
                b"application/problem+json",
                b"application/x-www-form-urlencoded",
                b"multipart/form-data; boundary=x",
                b"application/json; charset=latin-1",
                b"application/json; charset=utf-16",
                b"application/json, text/plain",
                b"text/plain; application/json",
                b"",
                b"*/*",
            )
        ),
        asked(b"POST", b"/api/sessions", body=b"{}"),
        asked(b"POST", b"/api/sessions", JSON, JSON, body=b"{}"),
        asked(b"POST", b"/api/sessions", JSON, b"Content-Type: text/plain", body=b"{}"),
        # The type comes before what is in the body, and before whether there is such a session.
        _typed(b"text/plain", b"this is not json"),
        _typed(b"text/plain", b"{}", b"/api/sessions/none/input"),
        _typed(b"text/plain", b"x", b"/api/sessions/" + RUNNING + b"/stop"),
    ),
    row(
        "B41",
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        *(
            post(b"/api/sessions", b"{}", b"Content-Encoding: " + encoding)
            for encoding in (b"gzip", b"br", b"deflate", b"x", b"gzip, identity")
        ),
        post(b"/api/sessions", b"{}", b"Content-Encoding: identity", b"Content-Encoding: gzip"),
    ),
    # Where no body is needed, none that is wrong is passed over.
    row(
        "B42",
        422,
        "VALIDATION_ERROR",
        asked(b"GET", b"/api/sessions", JSON, body=b'{"x":1}'),
        asked(b"GET", b"/health/live", JSON, body=b'{"x":1}'),
        asked(b"DELETE", b"/api/sessions/none", JSON, body=b'{"force":true}'),
        post(b"/api/sessions/" + RUNNING + b"/stop", {"force": True}),
        post(b"/api/sessions/" + RUNNING + b"/pause", {"reason": "x"}),
    ),
    row(
        "B42",
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        asked(b"GET", b"/api/sessions", body=b"{}"),
        asked(b"DELETE", b"/api/sessions/" + RUNNING, body=b"x"),
    ),
    row(
        "B42",
        400,
        "BAD_REQUEST",
        asked(b"GET", b"/api/tasks", JSON, body=b"["),
        post(b"/api/sessions/" + RUNNING + b"/resume", b"[]"),
    ),
    row(
        "B43",
        400,
        "BAD_REQUEST",
        get(b"/api/tasks?" + b"&".join(b"p%d=1" % number for number in range(51))),
        get(b"/api/tasks?" + b"&".join([b"limit=1"] * 2000)),
        get(b"/api/tasks?" + b"a=1&" * 3000),
    ),
    # A form is not taken apart, wherever it is sent.
    row(
        "B43",
        404,
        "NOT_FOUND",
        _typed(b"application/x-www-form-urlencoded", b"a=1&" * 250_000, b"/nothing"),
    ),
    row(
        "B43",
        421,
        "HOST_NOT_ALLOWED",
        # And nobody is told to go on who may not come in.
        asked(
            b"POST",
            b"/api/sessions",
            JSON,
            b"Content-Length: 2",
            b"Expect: 100-continue",
            host=b"Host: evil.example",
        ),
        closes=True,
    ),
    row(
        "B51",
        400,
        "BAD_REQUEST",
        *_starts(
            b"this is not json",
            b" ",
            b"{",
            b"}",
            b"{}{}",
            b"{} x",
            b"{'prompt': 1}",
            b'{"prompt": "a",}',
            b'{"priority": 01}',
            b'{"priority": .5}',
            b'{"priority": +1}',
            b'{"priority": 0x1}',
            b'{"queue": tru}',
            b'{"queue": True}',
            b'{"prompt": "\n"}',
            b'{"prompt": "\x00"}',
            b'{"prompt": "\\x"}',
            b'{"prompt": "\\u12"}',
            b'{"prompt": "',
            b"{/* */}",
            b"{}\x00",
            b"prompt=x",
            b"<prompt/>",
        ),
        framed(b"Content-Length: 3", b'{"\r'),
    ),
    row(
        "B52",
        400,
        "BAD_REQUEST",
        *_starts(b"[]", b"null", b'"x"', b"1", b"true", b"[{}]", b"-0", b'["prompt"]'),
    ),
    row(
        "B53",
        400,
        "BAD_REQUEST",
        *_starts(
            b'{"prompt": "a", "prompt": "b"}',
            b'{"prompt": "a", "\\u0070rompt": "b"}',
            b'{"options": {"dryRun": true, "dryRun": false}}',
            b'{"x": 1, "x": 1}',
            b'{"": 1, "": 1}',
        ),
    ),
    row(
        "B54",
        400,
        "BAD_REQUEST",
        *_starts(
            b'{"priority": NaN}',
            b'{"priority": Infinity}',
            b'{"priority": -Infinity}',
            b'{"priority": ' + b"9" * 4301 + b"}",
            b'{"priority": -' + b"9" * 5000 + b"}",
            b'{"priority": 0.' + b"9" * 5000 + b"}",
            b'{"priority": 1e' + b"9" * 5000 + b"}",
        ),
    ),
    row(
        "B54",
        422,
        "VALIDATION_ERROR",
        *_starts(
            b'{"priority": 9223372036854775808}',
            b'{"priority": -9223372036854775809}',
            b'{"priority": ' + b"9" * 4300 + b"}",
            b'{"priority": 1e400}',
            b'{"priority": -1e400}',
            b'{"priority": 1e300}',
            b'{"priority": 0.5}',
            b'{"options": {"speed": 1e400}}',
            b'{"options": {"speed": -1e-300}}',
            b'{"options": {"budgetUsd": 1e999}}',
            b'{"options": {"timeout": 1e30}}',
            b'{"command": [' + b",".join([b"9" * 4300] * 240) + b"]}",
        ),
    ),
    row(
        "B55",
        400,
        "BAD_REQUEST",
        *_starts(
            _nested(64),
            _nested(64, b"["),
            _nested(10_000),
            _nested(100_000, b"["),
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"prompt": [' + b"1," * 1000 + b"1]}",
            b'{"prompt": [' + b"{}," * 1000 + b"1]}",
            b'{"a": ' + b'"' * 1_000_000,
            b'{"command": [' + b'"",' * 2000 + b'""]}',
        ),
    ),
    row("B55", 422, "VALIDATION_ERROR", *_starts(_nested(60), _nested(60, b"["))),
    row(
        "B56",
        400,
        "BAD_REQUEST",
        *_starts(
            b"\xff",
            b"\xef\xbb\xbf{}",
            b'{"prompt": "\xff"}',
            b'{"prompt": "\xed\xa0\x80"}',
            b'{"prompt": "\xc0\x80"}',
            b'{"prompt": "\xf5\x80\x80\x80"}',
            '{"prompt": "x"}'.encode("utf-16"),
            '{"prompt": "x"}'.encode("utf-16-le"),
            '{"prompt": "x"}'.encode("utf-32"),
            b'{"prompt": "\\ud800"}',
            b'{"prompt": "\\uDC00\\uD800"}',
            b'{"\\udfff": 1}',
        ),
    ),
    row(
        "B56",
        422,
        "VALIDATION_ERROR",
        _wanted(prompt="a\0b"),
        _wanted(prdPath="\0"),
        _wanted(model="a\0"),
        _wanted(provider="demo\0"),
        _wanted(projectDir="/\0"),
        _wanted(command=["a\0"]),
        post(_INPUT, {"input": "\0"}),
        post(_INPUT, {"input": "x", "context": "\0"}),
    ),
)
