"""Who comes in to the page from elsewhere, what may be done there, and how a refusal is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loki_twisted.access.interface import Scope
from loki_twisted.access.tokens import Token, digest_of, line_of
from tests.browsers import Browser
from tests.pages import PATIENT, QUESTION
from tests.system import Server

OWNER, GUEST, HAND, DEAF = (
    f"the-{name}-of-many-letters" for name in ("right", "eye", "hand", "ear")
)
SCOPES = {
    OWNER: frozenset(Scope),
    GUEST: frozenset((Scope.READ,)),
    HAND: frozenset((Scope.READ, Scope.WRITE)),
    DEAF: frozenset((Scope.WRITE,)),
}


def write_tokens(path: Path, *tokens: str) -> None:
    """Write a file of tokens, all at once."""
    aside = path.with_suffix(".aside")
    entries = [
        Token(name=each.split("-")[1], digest=digest_of(each.encode()), scopes=SCOPES[each])
        for each in tokens
    ]
    aside.write_text("".join(f"{line_of(each)}\n" for each in entries))
    aside.chmod(0o600)
    aside.rename(path)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a file of tokens, one session that has ended and one that asks."""
    home = tmp_path_factory.mktemp("guarded")
    (home / "past").mkdir()
    write_tokens(home / "tokens", *SCOPES)
    with Server(home, "--token-file", str(home / "tokens"), **PATIENT) as running:
        past = running.start(provider="demo", projectDir="past", options={"dryRun": True})
        running.until_end(past)
        yield running


@pytest.fixture
def stranger(browser: Browser, guarded: Server) -> Iterator[Browser]:
    """The page, at which a token is asked for."""
    browser.headers(**{"X-Forwarded-For": "192.0.2.1"})
    browser.open(guarded.base + "/")
    browser.sees("This server wants a token")
    yield browser
    browser.run("sessionStorage.clear()")  # the next one comes to the same tab
    browser.headers()


def enter(browser: Browser, token: str) -> None:
    """Show a token."""
    browser.fill("#token", token)
    browser.click("button", "Open")


def names(browser: Browser) -> set[str]:
    """What the buttons that can be seen, and may be pressed, say."""
    script = (
        "return [...document.querySelectorAll('button:not(:disabled), a.button')]"
        ".filter(each => each.checkVisibility()).map(each => each.innerText || each.ariaLabel)"
    )
    return {text.split("\n")[0] for text in browser.run(script)}


def test_a_wrong_token_and_the_right_one(stranger: Browser) -> None:
    """Who comes from elsewhere is asked for it once; the tab keeps it, and no address has it."""
    enter(stranger, f"\u201c{OWNER}\u201d")  # pasted with the quotes of a text
    stranger.sees("No token has such letters", ".way")
    enter(stranger, "a-wrong-one")
    stranger.sees("not the right one")
    enter(stranger, OWNER)
    stranger.sees("Completed", ".rows")
    stranger.is_live()
    stranger.driver.refresh()
    stranger.sees("Completed", ".rows")
    assert OWNER not in stranger.driver.current_url
    assert stranger.run("return localStorage.length + document.cookie.length") == 0


def test_a_token_that_may_only_look(stranger: Browser, guarded: Server) -> None:
    """Everything is shown to it; what it may not do is not offered, and it is told why."""
    asking = guarded.start(provider="demo")
    guarded.wait_for(asking, "input:requested")
    enter(stranger, GUEST)
    stranger.sees(QUESTION, ".rows")
    stranger.sees("Answering takes a token with the scope write.", ".rows")
    assert names(stranger).isdisjoint({"midnight", "New session"})
    stranger.go("#/new")
    stranger.sees("Starting a session takes a token with the scope write.")
    assert "Start" not in names(stranger)
    stranger.go(f"#/session/{asking}")
    stranger.sees("Steering it takes a token with the scope write.", ".actions")
    stranger.click("button", "More actions")
    assert names(stranger).isdisjoint(
        {"midnight", "Stop", "Pause", "Send", "Leave off what it does"}
    )
    assert "Save the raw output" in names(stranger)
    guarded.post(f"/api/sessions/{asking}/stop")
    stranger.sees("Deleting takes a token with the scope admin.", ".menu-items")
    guarded.until_end(asking)
    assert guarded.request("DELETE", f"/api/sessions/{asking}").status == 200


def test_a_token_that_is_good_for_nothing_here(stranger: Browser) -> None:
    """One that may not read is refused with the scope that it lacks, and another may be given."""
    enter(stranger, DEAF)
    stranger.sees("takes a token with the scope 'read'", ".way")
    enter(stranger, HAND)
    stranger.sees("Completed", ".rows")
    stranger.is_live()


def test_a_token_that_is_taken_back(stranger: Browser, guarded: Server) -> None:
    """Under an open page: nothing more is told to it, and it asks for a token again."""
    enter(stranger, HAND)
    stranger.is_live()
    write_tokens(guarded.home / "tokens", OWNER)
    stranger.sees("not the right one", ".way")
    enter(stranger, OWNER)
    stranger.is_live()


def test_an_order_that_is_refused(stranger: Browser, guarded: Server) -> None:
    """What the server says of it is said where it was given, and the page goes on."""
    enter(stranger, OWNER)
    stranger.sees("Completed", ".rows")
    asking = guarded.start(provider="demo")
    guarded.wait_for(asking, "input:requested")
    stranger.go(f"#/session/{asking}")
    # It is gone before that can be told.
    stranger.run(
        "const ask = window.fetch; window.fetch = (path, given) =>"
        "  ask(given.method === 'POST' ? path + '-none' : path, given)"
    )
    stranger.confirm("Stop", "Really stop")
    stranger.until(lambda: stranger.text(".toast.error"))
    assert stranger.link == "live"
    guarded.post(f"/api/sessions/{asking}/stop")


def test_too_many_wrong_tokens(stranger: Browser, guarded: Server) -> None:
    """The page says for how long nothing is tried, and sends nothing meanwhile."""
    wrong = {"Authorization": "Bearer wrong", "X-Forwarded-For": "192.0.2.1"}
    # Those of other tests count too: it is a new minute that begins here, and a full one.
    while int(guarded.request("GET", "/api/status", **wrong).headers.get("Retry-After", 0)) < 30:
        time.sleep(0.1)
    for number in range(40):
        stranger.until(lambda: stranger.element("button", "Open"))
        if "Too many" in stranger.text(".way"):
            break
        enter(stranger, f"wrong-{number}")
        stranger.until(
            lambda: (
                "not the right one" in stranger.text(".way") or "Too many" in stranger.text(".way")
            )
        )
    stranger.sees("Try again in", ".way")
    assert not stranger.until(lambda: stranger.element("button", "Open")).is_enabled()
