"""
The page for people, at ``/``: its files, as they lie in ``loki_twisted/page/``.

They hold nothing of a server, so they need no token; what the page shows it asks the API for. No
other path is answered here. Each file is read and compressed when it is first asked for.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from loki_twisted.web.answers import Answer, Headers, prepare, send
from loki_twisted.web.problems import problem

DIRECTORY: Final = Path(__file__).parent.parent / "page"
"""Where the files of the page lie."""

_TYPES: Final[Mapping[str, bytes]] = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
"""By the end of its name, what a file is. Others lie there for people, and are not served."""

POLICY: Final = b"; ".join(
    (
        b"default-src 'none'",
        b"script-src 'self'",
        b"style-src 'self'",
        b"connect-src 'self'",
        b"img-src 'self' data:",
        b"font-src 'none'",
        b"base-uri 'none'",
        b"form-action 'none'",
        b"frame-ancestors 'none'",
        b"require-trusted-types-for 'script'",
        b"trusted-types 'none'",
    )
)
"""What a browser lets the page do: nothing from elsewhere, and no text becomes markup or code."""

_HEADERS: Final[Headers] = (
    (b"Cache-Control", b"no-cache"),
    (b"Content-Security-Policy", POLICY),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Permissions-Policy", b"camera=(), geolocation=(), microphone=()"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Vary", b"Origin, Accept-Encoding"),
)


def _files_by_path() -> dict[bytes, Path]:
    found = {
        b"/page/" + path.relative_to(DIRECTORY).as_posix().encode(): path
        for path in sorted(DIRECTORY.rglob("*"))
        if path.suffix in _TYPES
    }
    found[b"/"] = found.pop(b"/page/index.html")
    return found


FILES: Final[Mapping[bytes, Path]] = _files_by_path()
"""By its path, every file that the page consists of."""

PAGE_PATHS: Final = frozenset(FILES)
"""What is the page's: whole paths, as they are routed by."""


@attrs.frozen(slots=True)
class PageFile:
    """
    A file of the page, ready to be sent.

    :ivar tag: Names what is in it, without the quotes of an ``ETag``.
    """

    media_type: bytes
    tag: bytes
    plain: bytes = attrs.field(repr=False)
    compressed: bytes = attrs.field(repr=False)


@cache
def page_file(path: bytes) -> PageFile:
    """Read and compress the file at one of :data:`PAGE_PATHS`."""
    content = FILES[path].read_bytes()
    return PageFile(
        _TYPES[FILES[path].suffix],
        sha256(content).hexdigest()[:24].encode(),
        content,
        gzip.compress(content, mtime=0),
    )


class Page(Resource):
    """
    Answers what is the page's, and hands on all else.

    It stands behind the gate.

    :param inner: A leaf that routes by ``postpath``.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, inner: IResource) -> None:
        super().__init__()
        self._inner = inner

    def render(self, request: Request) -> int:
        """Answer a request that was let in."""
        path = b"/" + b"/".join(request.postpath or ())
        if path not in FILES:
            self._inner.render(request)
        elif not request.postpath:  # mounted somewhere, and asked for without the slash
            place = quote((request.prepath or [b""])[-1]).encode() + b"/"
            send(request, Answer(HTTPStatus.PERMANENT_REDIRECT, headers=((b"Location", place),)))
        elif request.method not in (b"GET", b"HEAD"):
            allowed = ((b"Allow", b"GET, HEAD"),)
            send(request, problem("METHOD_NOT_ALLOWED", "The page is only read.", headers=allowed))
        else:
            _send_file(request, page_file(path))
        return NOT_DONE_YET


def _send_file(request: Request, file: PageFile) -> None:
    squeezed = _takes_gzip(request.getHeader(b"Accept-Encoding") or b"")
    tag = b'"%b%b"' % (file.tag, b"-gzip" if squeezed else b"")
    known = request.getHeader(b"If-None-Match") or b""
    headers = (*_HEADERS, (b"ETag", tag))
    if tag in {each.strip().removeprefix(b"W/") for each in known.split(b",")}:
        prepare(request, Answer(HTTPStatus.NOT_MODIFIED, headers=headers))
        for name in (b"Content-Type", b"Content-Length"):  # they would be those of the file
            request.responseHeaders.removeHeader(name)
        request.finish()
        return
    headers = (*headers, (b"Content-Type", file.media_type))
    if squeezed:
        headers = (*headers, (b"Content-Encoding", b"gzip"))
    send(request, Answer(HTTPStatus.OK, file.compressed if squeezed else file.plain, headers))


def _takes_gzip(accepted: bytes) -> bool:
    for each in accepted.lower().split(b","):
        name, _, weight = each.replace(b" ", b"").partition(b";q=")
        if name == b"gzip":
            return weight.strip(b"0.") != b"" or not weight
    return False
