"""Tests of :mod:`loki_twisted.web.page`: the files of the page, and what browsers are told."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from loki_twisted.web.page import DIRECTORY, FILES, PAGE_PATHS, POLICY, page_file
from tests.fakes_web import PUBLIC, STRANGER, WITH_TOKEN, Response, Server

VENDOR = DIRECTORY / "vendor"
RECORD: list[dict[str, Any]] = json.loads((VENDOR / "vendor.json").read_text("utf-8"))
OURS = sorted(path for path in DIRECTORY.rglob("*") if path.suffix in {".js", ".css", ".html"})
OURS = [path for path in OURS if path.parent != VENDOR]

MODULES = {path.name: path.read_text("utf-8") for path in OURS if path.suffix == ".js"}
IMPORTED = re.compile(r'^import \{([^}]*)\} from "\./([^"]+)"', re.MULTILINE)
EXPORTED = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.MULTILINE)

TRIED_ALONE = {("stream.js", "Frames")}
"""What is exported for a test of its own."""

MOST_LINES = 300
"""Of a module or a style sheet, but for what is long all the same: none is to be added."""
LONG = {"views.css"}

MOST_BYTES = 150_000
"""Of the whole page, compressed, as all of it goes over the line."""


def ask(path: str, **headers: str) -> Response:
    """Ask for a file of the page as a stranger without a token."""
    return Server(WITH_TOKEN).ask("GET", path, headers=headers, here=PUBLIC, peer=STRANGER)


@pytest.mark.parametrize("path", sorted(each.decode() for each in PAGE_PATHS))
def test_a_stranger_is_given_the_page(path: str) -> None:
    """Each file, whole, with its type and the strict policy: none of them holds anything."""
    response = ask(path, Host="192.0.2.1:57374")
    assert response.status == 200
    assert response.body == FILES[path.encode()].read_bytes()
    assert response.header("content-security-policy") == POLICY.decode()
    assert response.header("x-content-type-options") == "nosniff"
    assert response.header("cache-control") == "no-cache"
    kinds = {".html": "html", ".js": "javascript", ".css": "css", ".svg": "svg"}
    assert kinds[FILES[path.encode()].suffix] in (response.header("content-type") or "")


def test_the_policy_lets_nothing_in() -> None:
    """No source but the server itself, no markup of a text, no frame around the page."""
    policy = dict(each.partition(" ")[::2] for each in POLICY.decode().split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_the_api_keeps_its_own_policy() -> None:
    """What is no page is answered as before, and nothing of the page opens a way to it."""
    assert "sandbox" in (Server().ask("GET", "/api/status").header("content-security-policy") or "")
    for path in ("/api/status", "/page", "/page/", "/page/vendor/vendor.json", "/page/none.js"):
        assert ask(path, Host="192.0.2.1:57374").status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)],
)
def test_the_page_is_checked_as_all_is(headers: dict[str, str], status: int) -> None:
    """A foreign name of this machine and a foreign page are stopped before it."""
    assert Server().ask("GET", "/", headers=headers).status == status


@pytest.mark.parametrize(
    ("accepted", "squeezed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, br", False),
        ("br", False),
        ("", False),
    ],
)
def test_it_is_compressed_for_who_takes_that(accepted: str, squeezed: bool) -> None:
    """By ``Accept-Encoding``; what comes out is the file, and each form has a tag of its own."""
    response = Server().ask("GET", "/", headers={"Accept-Encoding": accepted})
    assert response.header("content-encoding") == ("gzip" if squeezed else None)
    assert "Accept-Encoding" in (response.header("vary") or "")
    body = gzip.decompress(response.body) if squeezed else response.body
    assert body == FILES[b"/"].read_bytes()
    assert ("-gzip" in (response.header("etag") or "")) is squeezed


def test_what_a_browser_has_is_not_sent_again() -> None:
    """By the tag that it was given; another one is answered with the file."""
    server = Server()
    tag = server.ask("GET", "/page/main.js").header("etag") or ""
    for known in (tag, f'"other", W/{tag}'):
        response = server.ask("GET", "/page/main.js", headers={"If-None-Match": known})
        assert (response.status, response.body) == (304, b"")
        assert response.header("etag") == tag
        assert response.header("content-type") is None
    other = server.ask("GET", "/page/main.js", headers={"If-None-Match": '"other"'})
    assert other.status == 200


def test_it_is_only_read() -> None:
    """HEAD tells the headers; other methods are refused with what there is."""
    server = Server()
    head = server.ask("HEAD", "/page/main.js")
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(FILES[b"/page/main.js"].stat().st_size)
    refused = server.ask("POST", "/")
    assert (refused.status, refused.code, refused.header("allow")) == (
        405,
        "METHOD_NOT_ALLOWED",
        "GET, HEAD",
    )


def test_it_is_there_while_the_server_does_not_serve() -> None:
    """A page that is loaded in that moment says itself how things stand, and tries again."""
    server = Server()
    server.vitals.closed = "The server shuts down."
    assert server.ask("GET", "/").status == 200


def test_the_whole_page_is_small() -> None:
    """All of it together, compressed, with the library for charts."""
    assert sum(len(page_file(path).compressed) for path in PAGE_PATHS) < MOST_BYTES


def test_every_module_is_loaded_at_once() -> None:
    """The document names all that its modules import, so that none waits for another."""
    document = FILES[b"/"].read_text("utf-8")
    named = set(re.findall(r'(?:href|src)="(page/[^"]+)"', document))
    served = {path.decode().lstrip("/") for path in PAGE_PATHS} - {""}
    assert named == served - {"page/vendor/uplot.js"}  # loaded when a chart is first shown


@pytest.mark.parametrize("entry", RECORD, ids=lambda entry: str(entry["file"]))
def test_what_is_of_others_is_on_record(entry: dict[str, Any]) -> None:
    """Without what was changed of it on purpose, a library is the published file of its hash."""
    text = (VENDOR / entry["file"]).read_text("utf-8")
    assert text.endswith(entry["appended"])
    text = text.removesuffix(entry["appended"])
    for before, after in reversed(entry["edits"]):
        assert after in text
        text = text.replace(after, before)
    assert hashlib.sha256(text.encode()).hexdigest() == entry["sha256"]
    name = entry["package"].replace("@", "").replace("/", "-")
    assert entry["license"] in {"MIT", "Apache-2.0"}
    assert (VENDOR / f"LICENSE-{name}").read_text("utf-8").strip()


def test_nothing_else_is_of_others() -> None:
    """Each file that lies among the libraries is on record."""
    code = {path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}}
    assert code == {entry["file"] for entry in RECORD}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_text_becomes_markup(path: Path) -> None:
    """Nothing of ours makes HTML or code of a text, or loads anything from elsewhere."""
    text = path.read_text("utf-8")
    for word in (
        "dangerouslySetInnerHTML",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
        "javascript:",
    ):
        assert word not in text
    assert re.findall(r"https?://(?!www\.w3\.org/)\S+", text) == []


def test_modules_import_one_another_one_way() -> None:
    """No module of the page comes back to itself by what it imports."""
    needs = {
        name: {home for _, home in IMPORTED.findall(text)} & MODULES.keys()
        for name, text in MODULES.items()
    }
    assert all(needs[name] for name in ("main.js", "board.js", "store.js"))
    while needs:
        free = [name for name in needs if not needs[name] & needs.keys()]
        assert free, needs
        for name in free:
            del needs[name]


def test_nothing_is_exported_in_vain() -> None:
    """What a module gives away another one takes, or a test does."""
    taken = {
        (home, name.strip())
        for text in MODULES.values()
        for names, home in IMPORTED.findall(text)
        for name in names.split(",")
    }
    given = {(home, name) for home, text in MODULES.items() for name in EXPORTED.findall(text)}
    assert given - taken == TRIED_ALONE


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_files_are_short(path: Path) -> None:
    """A file of the page is about one thing, and so it has an end that one comes to."""
    is_short = len(path.read_text("utf-8").splitlines()) <= MOST_LINES
    assert is_short or path.name in LONG
