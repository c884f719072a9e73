"""Hosts, paths and ids: where a request goes. B9 to B23."""

from __future__ import annotations

from itertools import product

from tests.bad_input.cases import ENDED, HOST, PORT, RUNNING, asked, get, joined, post, row

_BEYOND = (
    b"/api/sessions",
    b"/health/live",
    b"/health/ready",
    b"/openapi.json",
    b"/nothing",
)
_PATHS_OF_ONE = (b"/inputs", b"/messages", b"/output", b"/tasks/1", b"/inputs/1")
_ORDERS = (b"/stop", b"/pause", b"/resume", b"/interrupt")


def _named(*names: bytes) -> list[bytes]:
    return [get(b"/health/live", host=b"Host: " + name) for name in names]


CASES = joined(
    row(
        "B9",
        421,
        "HOST_NOT_ALLOWED",
        *(
            asked(method, target, host=b"Host: evil.example")
            for method, target in product((b"GET", b"POST", b"OPTIONS", b"HEAD"), _BEYOND)
            if method != b"HEAD"  # whose answer has no body to look at
        ),
        asked(b"DELETE", b"/api/sessions/" + RUNNING, host=b"Host: evil.example"),
    ),
    row(
        "B10",
        400,
        "BAD_REQUEST",
        get(b"/health/live", host=None),
        get(b"/health/live", host=None).replace(b"HTTP/1.1", b"HTTP/1.0"),
        closes=True,
    ),
    row(
        "B11",
        400,
        "BAD_REQUEST",
        get(b"/health/live", b"Host: evil.example"),
        get(b"/health/live", HOST, host=b"Host: evil.example"),
        get(b"/health/live", HOST),
        *_named(b"localhost, evil", b"localhost evil"),
        closes=True,
    ),
    row(
        "B12",
        400,
        "BAD_REQUEST",
        get(b"http://localhost/api/sessions", host=b"Host: evil.example"),
        get(b"http://evil.example/api/sessions"),
        get(b"http://localhost:1/api/sessions"),
        get(b"http://user@localhost:" + PORT + b"/api/sessions"),
        get(b"ftp://localhost:" + PORT + b"/api/sessions"),
        closes=True,
    ),
    row(
        "B12",
        421,
        "HOST_NOT_ALLOWED",
        get(b"http://evil.example/health/live", host=b"Host: evil.example"),
    ),
    row(
        "B13",
        421,
        "HOST_NOT_ALLOWED",
        *_named(
            b"localhost.evil.com",
            b"127.0.0.1.nip.io",
            b"evil-localhost",
            b"localhos",
            b"LOCALHOST.",
            b"localhost;evil",
            b"localhost:1@evil",
            b"localhost%00",
        ),
    ),
    row(
        "B13",
        400,
        "BAD_REQUEST",
        *_named(b"local\xc3\xb6host", b"http://localhost"),
        closes=True,
    ),
    row(
        "B14",
        421,
        "HOST_NOT_ALLOWED",
        *_named(
            b"0.0.0.0",
            b"0.0.0.0:" + PORT,
            b"[::]",
            b"2130706433",
            b"0x7f.1",
            b"127.1",
            b"127.0.0.2",
            b"[::ffff:127.0.0.1]",
        ),
    ),
    row("B15", 200, None, *_named(b"LocalHost:" + PORT, b"127.0.0.1", b"[::1]:" + PORT)),
    row(
        "B16",
        400,
        "BAD_REQUEST",
        *_named(b"localhost:99999", b"localhost:abc", b"", b"[::1", b"::1", b"localhost:-1"),
        closes=True,
    ),
    row(
        "B17",
        400,
        "BAD_REQUEST",
        *(
            get(b"/api/sessions/" + path)
            for path in (
                b"..",
                b".",
                b"%2e%2e",
                b"%2E.",
                b"../../etc/passwd",
                b"%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                b"..%5c..%5cetc",
                RUNNING + b"/tasks/..",
                RUNNING + b"/tasks/%2e%2e",
                RUNNING + b"/inputs/..%2f..",
                b"./" + RUNNING,
            )
        ),
        asked(b"DELETE", b"/api/sessions/" + ENDED + b"/../" + ENDED),
        closes=True,
    ),
    row(
        "B18",
        400,
        "BAD_REQUEST",
        *(
            get(target)
            for target in (
                b"//",
                b"//api/sessions",
                b"/api//sessions",
                b"/api/sessions//",
                b"/api\\sessions",
                b"/api/%5csessions",
                b"/api%2fsessions",
                b"/api%2Fsessions",
                b"/\\evil.example",
                b"//evil.example/%2e%2e",
            )
        ),
        closes=True,
    ),
    row(
        "B19",
        400,
        "BAD_REQUEST",
        *(
            get(target)
            for target in (
                b"api/sessions",
                b"?x",
                b"/api/sessions#x",
                b"/api/sessions?x#y",
                b"/api/<script>",
                b'/api/"',
                b"/api/[x]",
                b"/api/{id}",
                b"/api/a|b",
                b"/api/^",
                b"/api/`id`",
                b"/api/sessions?x\\y",
                b"/api/sessions?\x80",
                b"localhost:80",
                b"http://[",
            )
        ),
        closes=True,
    ),
    row(
        "B20",
        400,
        "BAD_REQUEST",
        *(
            get(b"/api/sessions/" + segment)
            for segment in (
                b"%00",
                RUNNING + b"%00",
                RUNNING + b"%0a",
                b"a%0d%0aSet-Cookie:%20x=1",
                b"%1b[31m",
                b"%7f",
                b"%c2%85",
                b"%e2%80%a8",
                RUNNING + b"/tasks/%00",
            )
        ),
        closes=True,
    ),
    row(
        "B21",
        400,
        "BAD_REQUEST",
        *(
            get(b"/api/sessions/" + segment)
            for segment in (
                b"%ff",
                b"%c3",
                b"%c0%af",
                b"%ed%a0%80",
                b"%f5%80%80%80",
                b"%zz",
                b"%",
                b"%2",
                b"\xc3\xa9",
                b"\x80",
            )
        ),
        closes=True,
    ),
    row(
        "B22",
        404,
        "SESSION_NOT_FOUND",
        *(
            get(b"/api/sessions/" + name + rest)
            for name in (
                b"none",
                b"session_1_00000000",
                b"x" * 64,
                b"x" * 65,
                b"x" * 10_000,
                b"-x",
                b"_x",
                b"a.b",
                b"a%20b",
                b"%C3%A9",
                b"%EF%BC%A1",
                b"'+__import__('os')+'",
                b"$(touch%20F)",
                RUNNING + b"x",
            )
            for rest in (b"", b"/tasks")
        ),
        *(get(b"/api/sessions/none" + rest) for rest in _PATHS_OF_ONE),
    ),
    row(
        "B22",
        404,
        "NOT_FOUND",
        *(
            get(b"/api/sessions/" + RUNNING + kind + name)
            for kind in (b"/tasks/", b"/inputs/")
            for name in (b"none", b"x" * 10_000, b"%C3%A9", b"'%20OR%201=1--", b"%25", b"-")
        ),
    ),
    row(
        "B23",
        404,
        "NOT_FOUND",
        *(
            get(target)
            for target in (
                b"/api",
                b"/api/",
                b"/api/sessions/",
                b"/API/sessions",
                b"/healthXYZ",
                b"/health/",
                b"/health/live/",
                b"/openapi.json/",
                b"/api/sessions/" + RUNNING + b"/",
                b"/api/sessions/" + RUNNING + b"/nothing",
                b"/x" * 99,
                b"/.git/config",
                b"/index.php",
            )
        ),
        post(b"/nothing", {}),
    ),
    row(
        "B23",
        405,
        "METHOD_NOT_ALLOWED",
        *(asked(method, b"/api/sessions") for method in (b"PUT", b"PATCH", b"DELETE", b"QUERY")),
        asked(b"OPTIONS", b"/api/sessions"),
        says={"Allow": "GET, HEAD, POST"},
    ),
    row(
        "B23",
        405,
        "METHOD_NOT_ALLOWED",
        *(get(b"/api/sessions/" + RUNNING + order) for order in _ORDERS),
        *(asked(b"DELETE", b"/api/sessions/" + RUNNING + order) for order in _ORDERS),
        says={"Allow": "POST"},
    ),
    row(
        "B23",
        405,
        "METHOD_NOT_ALLOWED",
        post(b"/api/events", {}),
        post(b"/health/live", {}),
        asked(b"DELETE", b"/api/tasks"),
        says={"Allow": "GET, HEAD"},
    ),
)
