"""Tokens and pages: who asks. B24 to B31, B44 to B50."""

from __future__ import annotations

from itertools import product

from tests.bad_input.cases import FAR, PORT, RUNNING, TOKEN, asked, get, joined, post, row

_TOKEN = TOKEN.encode()
_BEARER = b"Authorization: Bearer " + _TOKEN
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_SHUT = {"Access-Control-Allow-Origin": None, "Access-Control-Allow-Credentials": None}

_EVIL = (
    b"https://evil.example",
    b"null",
    b"http://localhost.evil.example",
    b"http://127.0.0.1.evil.example",
    b"http://evil.example/localhost",
    b"http://localhost:1@evil.example",
    b"http://localhost:abc",
    b"http://localhost:99999",
    b"http://localhost/",
    b"http://localhost%00.evil.example",
    b"http://10.0.0.1",
    b"http://0.0.0.0:8000",
    b"http://LOCALHOST.",
    b"file://localhost",
    b"chrome-extension://localhost",
    b"localhost",
    b"",
    b"http://localhost http://evil.example",
    b"http://localhost, http://evil.example",
)
_FORMS = (
    b"text/plain",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=x",
)


def _order(*lines: bytes) -> bytes:
    return asked(b"POST", b"/api/sessions", *lines, body=b"{}")


CASES = joined(
    # Before the route, the method, the type of the body and what is in it are looked at.
    row(
        "B24",
        401,
        "UNAUTHORIZED",
        *(
            asked(method, target, FAR)
            for method, target in product(
                (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS"),
                (b"/api/sessions", b"/api/sessions/" + RUNNING, b"/nothing", b"/health"),
            )
        ),
        get(b"/api/tasks?limit=x", FAR),
        get(b"/health/live/", FAR),
        get(b"/health/liveX", FAR),
        says=_CHALLENGE,
    ),
    row(
        "B24",
        401,
        "UNAUTHORIZED",
        post(b"/api/sessions", b"[", FAR),
        _order(FAR, b"Content-Type: text/plain"),
        closes=True,
        says=_CHALLENGE,
    ),
    row("B24", 200, None, get(b"/health/live", FAR), get(b"/health/ready", FAR)),
    row(
        "B25",
        401,
        "UNAUTHORIZED",
        *(
            get(b"/api/sessions", b"Authorization: " + value)
            for value in (
                b"Bearer wrong",
                b"Bearer",
                b"Bearer  a b",
                b"Bearer " + _TOKEN + b", Bearer " + _TOKEN,
                b"Basic " + _TOKEN,
                b"Bearer:" + _TOKEN,
                _TOKEN,
            )
        ),
        says=_CHALLENGE,
    ),
    row(
        "B25",
        400,
        "BAD_REQUEST",
        get(b"/api/sessions", _BEARER, _BEARER),
        get(b"/api/sessions", _BEARER, b"Authorization: Bearer wrong"),
        get(b"/api/sessions", b"X-API-Key: " + _TOKEN, b"X-API-Key: " + _TOKEN),
        closes=True,
    ),
    row(
        "B25",
        200,
        None,
        get(b"/api/sessions", FAR, _BEARER),
        get(b"/api/sessions", FAR, b"Authorization: bearer " + _TOKEN),
    ),
    row("B26", 200, None, get(b"/api/sessions", FAR, b"X-API-Key: " + _TOKEN)),
    row(
        "B26",
        401,
        "UNAUTHORIZED",
        get(b"/api/sessions", b"X-API-Key: " + _TOKEN, b"Authorization: Basic x"),
        get(b"/api/sessions", b"X-API-Key:", FAR),
        says=_CHALLENGE,
    ),
    row(
        "B27",
        401,
        "UNAUTHORIZED",
        *(
            get(b"/api/sessions", FAR, b"Authorization: Bearer " + token)
            for token in (
                _TOKEN[:-1],
                _TOKEN[1:],
                _TOKEN + b"x",
                _TOKEN.lower(),
                _TOKEN + b"\xc3\xa9",
                b"x" * 15_000,
            )
        ),
        get(b"/api/sessions", FAR, b'Authorization: Bearer "' + _TOKEN + b'"'),
        says=_CHALLENGE,
    ),
    row(
        "B27",
        400,
        "BAD_REQUEST",
        get(b"/api/sessions", FAR, _BEARER + b"\x00"),
        closes=True,
    ),
    row(
        "B27",
        431,
        "HEADERS_TOO_LARGE",
        get(b"/api/sessions", FAR, b"Authorization: Bearer " + b"x" * 1_000_000),
        closes=True,
    ),
    row(
        "B29",
        401,
        "UNAUTHORIZED",
        *(
            get(b"/api/events?" + name + b"=" + _TOKEN)
            for name in (b"token", b"access_token", b"api_key", b"%74oken")
        ),
        get(b"/api/sessions?limit=1&token=" + _TOKEN, _BEARER),
        says=_CHALLENGE,
    ),
    row(
        "B30",
        401,
        "UNAUTHORIZED",
        *(
            get(b"/api/sessions", line)
            for line in (
                b"X-Forwarded-For: 127.0.0.1",
                b"Forwarded: for=127.0.0.1",
                b"Via: 1.1 localhost",
                b"X-Real-IP: 127.0.0.1",
                b"X-Forwarded-Host: localhost",
                b"X-Forwarded-Proto: https",
                b"CF-Connecting-IP: 127.0.0.1",
            )
        ),
        says=_CHALLENGE,
    ),
    row(
        "B44",
        403,
        "FORBIDDEN",
        *(
            asked(
                b"POST",
                b"/api/sessions",
                b"Origin: https://evil.example",
                b"Content-Type: " + declared,
                body=b"this is not json",
            )
            for declared in _FORMS
        ),
        post(b"/api/sessions", {}, b"Origin: https://evil.example"),
        post(b"/api/sessions/" + RUNNING + b"/stop", {}, b"Origin: null"),
        closes=True,
        says=_SHUT,
    ),
    row(
        "B45",
        403,
        "FORBIDDEN",
        *(get(b"/api/sessions", b"Origin: " + origin) for origin in _EVIL),
        get(b"/api/sessions", b"Origin: http://localhost", b"Origin: https://evil.example"),
        get(b"/api/sessions", b"Origin: https://evil.example", FAR, _BEARER),
        get(b"/health/live", b"Origin: https://evil.example"),
        get(b"/nothing", b"Origin: https://evil.example"),
        says=_SHUT,
    ),
    # A page that may read answers may read these too, and never with credentials.
    row(
        "B46",
        404,
        "NOT_FOUND",
        get(b"/nothing", b"Origin: http://localhost:5173"),
        says={
            "Access-Control-Allow-Origin": "http://localhost:5173",
            "Access-Control-Allow-Credentials": None,
            "Vary": "Origin",
        },
    ),
    row(
        "B46",
        401,
        "UNAUTHORIZED",
        get(b"/api/sessions", b"Origin: http://[::1]:3000", FAR),
        says={
            "Access-Control-Allow-Origin": "http://[::1]:3000",
            "Access-Control-Allow-Credentials": None,
            "Vary": "Origin",
        },
    ),
    row(
        "B47",
        403,
        "FORBIDDEN",
        *(
            asked(method, target, b"Sec-Fetch-Site: " + site)
            for site in (b"cross-site", b"same-site", b"nonsense", b"")
            for method, target in (
                (b"GET", b"/api/sessions"),
                (b"GET", b"/api/events/history"),
                (b"GET", b"/health/live"),
                (b"GET", b"/nothing"),
                (b"DELETE", b"/api/sessions/" + RUNNING),
            )
        ),
        get(b"/api/sessions", b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: cross-site"),
        says=_SHUT,
    ),
    row(
        "B48",
        403,
        "FORBIDDEN",
        *(
            asked(
                b"OPTIONS",
                target,
                b"Origin: " + origin,
                b"Access-Control-Request-Method: POST",
                b"Access-Control-Request-Headers: content-type",
            )
            for target in (b"/api/sessions", b"/nothing")
            for origin in (b"https://evil.example", b"null", b"http://localhost.evil.example")
        ),
        says={**_SHUT, "Access-Control-Allow-Methods": None},
    ),
    row(
        "B49",
        403,
        "FORBIDDEN",
        # What a pattern would take that was written in a hurry.
        *(
            get(b"/api/sessions", b"Origin: " + origin)
            for origin in (
                b"http://127x0x0x1",
                b"http://127.0.0.1:80.evil.example",
                b"http://localhost:" + PORT + b".evil.example",
                b"http://xlocalhost",
                b"xhttp://localhost",
                b"http://[::1].evil.example",
                b"http://[::1",
                b"http://localhost:",
                b"http://localhost:0080",
            )
        ),
        says=_SHUT,
    ),
    row(
        "B50",
        403,
        "FORBIDDEN",
        asked(
            b"OPTIONS",
            b"/api/sessions",
            b"Origin: https://evil.example",
            b"Access-Control-Request-Method: GET",
            b"Access-Control-Request-Private-Network: true",
        ),
        says={**_SHUT, "Access-Control-Allow-Private-Network": None},
    ),
)
