"""What the page looks like. With ``--full`` the pictures of the documentation are made anew."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browsers import PHONE, WIDE, Browser
from tests.system import Server

PLAYED = Path(__file__).parent / "data" / "page" / "mended.jsonl"
"""What a claude prints while it mends a function, up to the permission that it asks for."""

STATIC = Path(__file__).parent.parent / "docs" / "_static"
QUESTION = "Which colours shall the clock have?"
LEAST_BYTES = 10_000  # of a picture on which there is something
MOST_BYTES = 200_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, is_full: bool) -> Iterator[Server]:
    """A server on which something goes on; with ``--full`` as slowly as people see it."""
    home = tmp_path_factory.mktemp("projects", numbered=not is_full)
    for name in ("billing", "shop-api", "durations", "website"):
        (home / name).mkdir()
    install(home / "bin" / "claude")
    variables = {
        "LOKI_DEMO_SPEED": "2" if is_full else "20",
        "LOKI_DEMO_TIMEOUT": "90" if is_full else "600",
        "PATH": os.pathsep.join([str(home / "bin"), "/usr/bin", "/bin"]),
    }
    with Server(home, **variables) as running:
        yield running


def install(program: Path) -> None:
    """Make a ``claude`` that prints what was printed once, and waits for its answer for ever."""
    program.parent.mkdir()
    text = f"""#!{sys.executable}
import sys, time
if "--version" in sys.argv:
    sys.exit(print("2.0.0 (Claude Code)"))
sys.stdin.readline()
for line in open({str(PLAYED)!r}, encoding="utf-8"):
    print(line, end="", flush=True)
    time.sleep(0.03)
sys.stdin.read()
"""
    program.write_text(text, "utf-8")
    program.chmod(0o755)


@pytest.fixture
def sessions(server: Server) -> dict[str, str]:
    """The ids of some sessions: one has ended, one is at a question, one at a permission."""
    ended = server.start(provider="demo", projectDir="billing")
    asked = server.wait_for(ended, "input:requested").data["inputId"]
    server.post(f"/api/sessions/{ended}/inputs/{asked}", {"answer": "midnight"})
    server.until_end(ended)
    dry = server.start(provider="demo", projectDir="shop-api", options={"dryRun": True})
    server.until_end(dry)
    wanted = {"prompt": "Durations lose their minutes.", "model": "claude-sonnet-4-5"}
    options = {"stayOpen": True}
    played = server.start(provider="claude", projectDir="durations", options=options, **wanted)
    server.wait_for(played, "input:requested")
    waiting = server.start(provider="demo", projectDir="website")
    server.wait_for(waiting, "input:requested")
    return {"ended": ended, "played": played, "waiting": waiting}


def keep(browser: Browser, directory: Path, name: str) -> None:
    """Take a picture when nothing moves any more."""
    browser.later("await document.fonts.ready; await new Promise(requestAnimationFrame)")
    browser.picture(directory / f"page-{name}.png")
    assert LEAST_BYTES < (directory / f"page-{name}.png").stat().st_size < MOST_BYTES


def test_pictures(
    browser: Browser, server: Server, sessions: dict[str, str], is_full: bool, tmp_path: Path
) -> None:
    """Each view shows what it is for: light and dark, wide and on a phone."""
    place = STATIC if is_full else tmp_path
    played, ended = (f"{server.base}/#/session/{sessions[name]}" for name in ("played", "ended"))
    browser.size(*WIDE)
    browser.open(server.base + "/")
    browser.sees(QUESTION, ".rows")
    browser.sees("git push", ".rows")
    keep(browser, place, "board")
    browser.open(ended + "/timeline")
    browser.sees("Paint it in midnight", ".timeline")
    keep(browser, place, "timeline")
    browser.open(ended + "/tasks")
    browser.sees("Paint it in midnight", ".columns")
    keep(browser, place, "tasks")
    browser.theme("dark")
    browser.open(played)
    browser.sees("All 78 tests pass", ".turns")
    browser.run(
        "document.querySelector('.talk .scroll').dispatchEvent(new WheelEvent('wheel'));"
        "const all = [...document.querySelectorAll('.call')];"
        "const edit = all.find(each => /Edit/.test(each.innerText)); edit.open = true;"
        "edit.scrollIntoView({ block: 'center' })"
    )
    browser.until(lambda: browser.count(".diff .added") > 3)
    browser.run("document.querySelector('.diff').scrollIntoView({ block: 'center' })")
    keep(browser, place, "session")
    browser.open(server.base + "/")
    browser.is_live()
    browser.go("#/server")
    browser.sees("Events kept")
    keep(browser, place, "server")
    browser.open(ended + "/log")
    browser.sees("expected 00:00, got 24:00", ".lines")
    keep(browser, place, "log")
    browser.size(*PHONE)
    browser.open(played)
    browser.sees("May it use Bash?", ".turns")
    keep(browser, place, "phone-session")
    browser.theme("light")
    browser.open(server.base + "/")
    browser.sees(QUESTION, ".rows")
    keep(browser, place, "phone-board")
