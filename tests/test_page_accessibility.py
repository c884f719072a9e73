"""The page without a mouse, without eyes, and looked at by a machine that knows what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browsers import (
    DOWN,
    ENTER,
    ESCAPE,
    PHONE,
    TABULATOR,
    UP,
    WIDE,
    Browser,
    missing_for_axe,
    recording,
)
from tests.pages import QUESTION, clear
from tests.system import Server

FOCUSED = (
    "const it = document.activeElement; return it.innerText?.trim() || it.id || it.value || ''"
)


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server without any session, before and after."""
    yield shared_server
    clear(shared_server)


def tab_to(browser: Browser, name: str) -> None:
    """Press the tabulator until something has the focus."""
    for _ in range(60):
        browser.press(TABULATOR)
        if browser.run(FOCUSED).startswith(name):
            return
    raise AssertionError(f"{name!r} is not reached; the focus is at {browser.run(FOCUSED)!r}")


def test_the_main_job_by_keyboard(browser: Browser, server: Server) -> None:
    """From the top of the page to a session that has ended, without a mouse."""
    browser.open(server.base + "/")
    browser.sees("No session yet")
    tab_to(browser, "New session")
    browser.press(ENTER)
    browser.until(lambda: browser.count(".choice") > 0)
    tab_to(browser, "claude")
    while browser.run("return document.querySelector('[name=provider]:checked').value") != "demo":
        browser.press(DOWN)
    tab_to(browser, "Start")
    browser.press(ENTER)
    browser.sees(QUESTION, ".turns .question")
    tab_to(browser, "midnight")
    browser.press(ENTER)
    browser.sees("Done: a clock in midnight", ".turns")
    browser.until(lambda: browser.text(".session-head .state") == "Completed")
    assert browser.run("return document.activeElement.id") == "main"  # where the button was
    tab_to(browser, "Log")
    browser.press(ENTER)
    browser.sees("expected 00:00", ".lines")


def test_the_focus_stays_where_it_is(browser: Browser, server: Server) -> None:
    """A link that has it keeps it, when what happens moves its session elsewhere in the list."""
    session_id = server.start(provider="demo")
    browser.open(server.base + "/")
    browser.sees(QUESTION, ".rows")
    tab_to(browser, "Needs you")
    asked = server.get("/api/inputs")["inputs"][0]["id"]
    server.post(f"/api/sessions/{session_id}/inputs/{asked}", {"answer": "dawn"})
    browser.sees("Completed", ".rows")
    assert browser.run("return document.activeElement.href").endswith(session_id)


def test_whole_lines_of_a_log_by_keyboard(browser: Browser, server: Server) -> None:
    """Enter shows the last line in sight, however long it is, the arrows those beside it."""
    lines = [f"line {number} {'and so on ' * 100}end" for number in range(200)]
    recording(server.home / "long.jsonl", lines, at_once=200)
    session_id = server.start(provider="replay", prdPath="long.jsonl", options={"speed": 0})
    server.until_end(session_id)
    browser.open(f"{server.base}/#/session/{session_id}/log")
    browser.sees("line 199", ".lines")
    browser.sees("Completed", ".session-head")
    browser.run("document.querySelector('.lines').focus()")
    for key, shown in ((ENTER, 199), (UP, 198), (UP, 197), (DOWN, 198)):
        browser.press(key)
        browser.sees(f"line {shown} ", ".whole pre")
        assert browser.text(".whole pre").endswith("end")
    for _ in range(40):
        browser.press(UP)
    browser.sees("line 158 ", ".whole pre")
    in_sight = (
        "const box = document.querySelector('.lines').getBoundingClientRect();"
        "const line = document.querySelector('.picked')?.getBoundingClientRect();"
        "return Boolean(line) && line.top >= box.top - 1 && line.bottom <= box.bottom + 1"
    )
    browser.until(lambda: browser.run(in_sight))
    browser.press(ESCAPE)
    browser.until(lambda: browser.count(".whole") == 0)


@pytest.fixture
def asking(server: Server) -> str:
    """The id of a session whose question is open, beside one that has ended."""
    server.until_end(server.start(provider="demo", options={"dryRun": True}))
    session_id = server.start(provider="demo")
    server.wait_for(session_id, "input:requested")
    return session_id


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_serious(
    browser: Browser, server: Server, asking: str, size: tuple[int, int]
) -> None:
    """In any view, light and dark, wide and on a phone."""
    missing = missing_for_axe()
    if missing:
        pytest.skip(missing)
    browser.size(*size)
    browser.open(server.base + "/")
    browser.sees(QUESTION, ".question")
    here = f"#/session/{asking}"
    for place in ("#/", "#/inbox", "#/server", "#/new", here, f"{here}/tasks", f"{here}/timeline",
                  f"{here}/log", f"{here}/usage"):  # fmt: skip
        browser.go(place)
        browser.until(lambda: browser.count("#main h1, #main h2") > 0 and browser.link == "live")
        if place == "#/server":
            browser.sees("Events kept")
        assert browser.axe() == [], place
        browser.theme("dark")  # which changes nothing but colours
        assert browser.axe("color-contrast") == [], place
        browser.theme("light")
