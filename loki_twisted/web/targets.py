"""
Request lines: which method and which target may reach the routes at all.

Routers, proxies and file systems differ in how they read ``//``, ``%2f`` or ``..``. A path that
could be read in two ways is refused before anything looks at it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from loki_twisted.web.answers import Answer
from loki_twisted.web.problems import problem

ROUTED_METHODS: Final = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"QUERY")
)
"""Those that HTTP knows and that do no harm: a route that has not got one says which it has."""
REFUSED_METHODS: Final = frozenset((b"TRACE", b"CONNECT"))
ALLOWED: Final = b"GET, HEAD, POST, DELETE, OPTIONS"
"""The methods that some route knows."""

# RFC 3986: pchar, without the characters that have a meaning for a file system.
_SEGMENT: Final = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})+"
_PATH: Final = re.compile(rb"/(?:%b(?:/%b)*/?)?" % (_SEGMENT, _SEGMENT))
_QUERY: Final = re.compile(rb"[!-\"$-\[\]-~]*")  # printable ASCII but # and backslash
_CONTROL: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
_DOTS: Final = frozenset((b".", b".."))
SEGMENT: Final = r"^(?!\.{1,2}$)[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
"""As JSON Schema: any text that can stand between two slashes, before it is escaped."""

_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE)


def fault_of_line(method: bytes, target: bytes) -> Answer | None:
    """
    Check the method and the target of a request.

    :param target: As it was sent, with its query.
    :returns: What to answer, or None if they are as they should be.
    """
    if method not in ROUTED_METHODS:
        return _fault_of_method(method)
    if target == b"*":
        return problem("NOT_IMPLEMENTED", "A request must name a path.", closes=True)
    path, _, query = target.partition(b"?")
    fault = _fault_of_path(path)
    if fault is None and _QUERY.fullmatch(query) is None:
        fault = "the query holds characters that must be escaped"
    if fault is None:
        return None
    return problem("BAD_REQUEST", f"The request target is not valid: {fault}.", closes=True)


def _fault_of_method(method: bytes) -> Answer:
    if method in REFUSED_METHODS:
        return problem(
            "METHOD_NOT_ALLOWED",
            "No route takes this method.",
            headers=((b"Allow", ALLOWED),),
            closes=True,
        )
    return problem("NOT_IMPLEMENTED", "There is no such method.", closes=True)


def _fault_of_path(path: bytes) -> str | None:
    if _PATH.fullmatch(path) is None:
        return "a path begins with one slash, has no empty segment and no unescaped characters"
    if b"%" in path:
        segments = [unquote_to_bytes(segment) for segment in path.split(b"/")]
    elif b"/." in path:
        segments = path.split(b"/")
    else:
        return None
    if any(segment in _DOTS for segment in segments):
        return "a segment is . or .."
    if any(b"/" in segment or b"\\" in segment for segment in segments):
        return "a segment holds an escaped slash"
    try:
        text = b"".join(segments).decode("utf-8")
    except UnicodeDecodeError:
        return "it is not UTF-8"
    return "it holds control characters" if _CONTROL.search(text) else None


def origin_form(target: bytes, hosts: Sequence[bytes]) -> bytes:
    """
    Take the host out of a target in absolute form (RFC 9112, 3.2.2).

    :param hosts: The ``Host`` headers. Only if there is one and the target names the
        same is the target changed, so whoever looks at either decides alike.
    :returns: A target in origin form; any other is returned as it is, and refused later.
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None or len(hosts) != 1 or match[1].lower() != hosts[0].lower():
        return target
    return match[2] if match[2].startswith(b"/") else b"/" + match[2]
