"""Tests of :mod:`loki_twisted.web.targets`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.web.targets import fault_of_line, origin_form


def code_of(method: bytes, target: bytes) -> str | None:
    """The code that a request line is refused with, or None."""
    answer = fault_of_line(method, target)
    if answer is None:
        return None
    assert answer.closes
    return str(json.loads(answer.body)["code"])


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS"])
@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/api/sessions",
        b"/api/sessions/",
        b"/api/sessions/session_1_ab?x=%zz&y[]={a|b}",
        b"/a/%20b/%c3%a9/~!$&'()*+,;=:@",
        b"/a/b.c/...",
        b"/?",
        b"/x?a?b/../c//d",
    ],
)
def test_a_proper_line_passes(method: bytes, target: bytes) -> None:
    """A method that some server might route and a path in its only form are let on."""
    assert code_of(method, target) is None


@pytest.mark.parametrize("method", [b"get", b"GEt", b"FOO", b"PROPFIND", b"G", b"GETT"])
def test_an_unknown_method_is_not_implemented(method: bytes) -> None:
    """A method in lower case is another method, and there is none such."""
    assert code_of(method, b"/api/sessions") == "NOT_IMPLEMENTED"


@pytest.mark.parametrize("method", [b"TRACE", b"CONNECT"])
@pytest.mark.parametrize("target", [b"/", b"localhost:80", b"*"])
def test_dangerous_methods_are_not_allowed(method: bytes, target: bytes) -> None:
    """TRACE and CONNECT are refused whatever they name, and told which methods there are."""
    assert code_of(method, target) == "METHOD_NOT_ALLOWED"
    answer = fault_of_line(method, target)
    assert answer is not None
    assert dict(answer.headers)[b"Allow"] == b"GET, HEAD, POST, DELETE, OPTIONS"


def test_a_star_is_not_implemented() -> None:
    """``OPTIONS *`` asks about the server as a whole, of which there is nothing to say."""
    assert code_of(b"OPTIONS", b"*") == "NOT_IMPLEMENTED"


@pytest.mark.threat("T17", "T26")
@pytest.mark.parametrize(
    "target",
    [
        b"//",
        b"//api/sessions",
        b"/api//sessions",
        b"/api/sessions//",
        b"/api\\sessions",
        b"/api/%5csessions",
        b"/api/..%5c",
        b"/api%2fsessions",
        b"/api%2Fsessions",
        b"/..",
        b"/.",
        b"/../etc/passwd",
        b"/api/./sessions",
        b"/api/sessions/..",
        b"/api/sessions/../../etc",
        b"/%2e%2e/etc",
        b"/%2E./etc",
        b"/api/%2e/sessions",
        b"/api/%00",
        b"/api/a%0d%0ab",
        b"/api/%7f",
        b"/api/%c2%85",
        b"/api/%e2%80%a8",
        b"/api/%ff",
        b"/api/%c3",
        b"/api/%c0%af",
        b"/api/%ed%a0%80",
        b"/api/%zz",
        b"/api/%",
        b"/api/%2",
        b"/api/<script>",
        b'/api/"',
        b"/api/[x]",
        b"/api/^",
        b"/api/`",
        b"/api/{id}",
        b"/api/a|b",
        b"/api/\xc3\xa9",
        b"/api/\x80",
        b"/api#x",
        b"/api?x#y",
        b"/api?x\\y",
        b"/api?\x80",
        b"api/sessions",
        b"",
        b"*",
        b"?x",
        b"http://localhost/api/sessions",
        b"localhost:80",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(target: bytes) -> None:
    """Empty, dotted, escaped-slash, control-character and foreign-encoding paths go no further."""
    assert code_of(b"GET", target) == ("NOT_IMPLEMENTED" if target == b"*" else "BAD_REQUEST")


@given(st.binary(max_size=60))
def test_a_path_that_passes_has_one_meaning(more: bytes) -> None:
    """Whatever passes has no dots, slashes, control characters or broken text after decoding."""
    from urllib.parse import unquote_to_bytes

    target = b"/" + more
    if code_of(b"GET", target) is not None:
        return
    segments = target.partition(b"?")[0][1:].split(b"/")
    for place, raw in enumerate(segments):
        segment = unquote_to_bytes(raw)
        assert segment not in {b".", b".."}
        assert b"/" not in segment
        assert b"\\" not in segment
        assert segment or place == len(segments) - 1
        assert not any(ord(each) < 32 or ord(each) == 127 for each in segment.decode("utf-8"))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://localhost:1/api?x", b"/api?x"),
        (b"HTTPS://LocalHost:1/api", b"/api"),
        (b"http://localhost:1", b"/"),
        (b"http://localhost:1?x", b"/?x"),
        (b"/api", b"/api"),
    ],
)
def test_an_absolute_target_of_ours_becomes_a_path(target: bytes, expected: bytes) -> None:
    """A client that talks to us as to a proxy is understood, if it names whom it talks to."""
    assert origin_form(target, [b"localhost:1"]) == expected


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        (b"http://localhost/api", [b"evil.example"]),
        (b"http://evil.example/api", [b"localhost"]),
        (b"http://localhost/api", []),
        (b"http://localhost/api", [b"localhost", b"localhost"]),
        (b"http://a@localhost/api", [b"localhost"]),
        (b"ftp://localhost/api", [b"localhost"]),
    ],
)
def test_an_absolute_target_of_others_stays(target: bytes, hosts: list[bytes]) -> None:
    """One that names another host than the header stays as it is, and is refused as a path."""
    assert origin_form(target, hosts) == target
    assert code_of(b"GET", target) == "BAD_REQUEST"
