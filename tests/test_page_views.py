"""What the page tells beside sessions: how the server is; times and colours as one likes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.browsers import Browser, recording
from tests.pages import clear
from tests.system import Server


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server without any session, before and after."""
    yield shared_server
    clear(shared_server)


@pytest.fixture
def spent(server: Server) -> str:
    """The id of a session that has ended, and has told what it cost."""
    told = {"tokensUsed": 1200, "cost": 0.5}
    lines = [json.dumps({"type": "metrics:update", "data": told}), "[INFO] [bank] paid"]
    recording(server.home / "spent.jsonl", lines)
    session_id = server.start(provider="replay", prdPath="spent.jsonl", options={"speed": 0})
    server.until_end(session_id)
    return session_id


def test_how_the_server_is(browser: Browser, server: Server, spent: str) -> None:
    """Well, or degraded and why; how much goes on, who listens, what room is left, what it cost."""
    browser.open(server.base + "/")
    browser.is_live()
    browser.go("#/server")
    browser.sees("All is well", ".health")
    tiles = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('.tile')]"
        ".map(each => [...each.children].map(part => part.innerText))"
        ".map(([name, ...more]) => [name, more.join(' ')]))"
    )
    expected = {
        "Up for": r"\d+[smhd]( \d+[smh])?",
        "Sessions at work": r"0 1 in all, 0 failed",
        "Events a second": r"[\d.,]+ [\d.,]+ seen here",
        "Subscribers": r"[1-9]\d* (all keep up|the slowest is .+ behind)",
        "Events kept": r"[\d.,]+[KM]?",
        "Disk": r"[\d.]+ [MGT]B free the log takes [\d.]+ [KMG]B",
        "Memory": r"[\d.]+ [MG]B of the server itself",
        "Load": r"[\d.]+ on \d+ processors",
    }
    assert tiles.keys() == expected.keys()
    for name, pattern in expected.items():
        assert re.fullmatch(pattern, tiles[name].strip()), (name, tiles[name])
    assert "$0.50 in all" in browser.text(".halves")
    assert "claude" in browser.text(".agents")
    assert "codex" in browser.text(".absent-names")
    browser.run(
        "const ask = window.fetch; window.fetch = async (path, given) => {"
        "  const answer = await ask(path, given);"
        "  if (!path.endsWith('api/status')) return answer;"
        "  const status = { ...await answer.json(), problems: arguments[0] };"
        "  return new Response(JSON.stringify(status)) }",
        ["The log cannot be written.", "No room."],
    )
    browser.go("#/inbox")
    browser.go("#/server")
    browser.sees("Degraded", ".health")
    browser.sees("The log cannot be written.\nNo room.", ".health ul")


def test_times_are_those_of_the_reader(browser: Browser, server: Server, spent: str) -> None:
    """In the zone where the reader is, and exact with its name on hover."""
    query = f"sessionId={spent}&types=log:info&limit=1"
    told = server.get(f"/api/events/history?{query}")["events"][0]["timestamp"]
    there = datetime.fromisoformat(told) + timedelta(hours=5, minutes=45)
    browser.zone("Asia/Kathmandu")
    try:
        browser.open(f"{server.base}/#/session/{spent}/log")
        browser.sees("paid", ".lines")
        assert browser.text(".log-line time") == f"{there:%H:%M:%S}"
        titles = browser.run(
            "return [...document.querySelectorAll('.log-line time, .figures time')]"
            ".map(each => each.title)"
        )
    finally:
        browser.zone("")
    assert len(titles) == 2
    for title in titles:
        assert "GMT+5:45" in title
        assert str(there.year) in title


def test_colours_are_chosen(browser: Browser, server: Server) -> None:
    """Those of the system, or the other ones; what was chosen is still so after a reload."""
    ground = "return getComputedStyle(document.body).backgroundColor"
    browser.open(server.base + "/")
    browser.click("button", "Theme: auto")
    light = browser.run(ground)
    browser.click("button", "Theme: light")
    browser.until(lambda: browser.run(ground) != light)
    dark = browser.run(ground)
    browser.driver.refresh()
    browser.until(lambda: browser.element("button", "Theme: dark"))
    assert browser.run(ground) == dark
    browser.click("button", "Theme: dark")
    browser.until(lambda: browser.run(ground) == light)
    browser.theme("dark")
    browser.until(lambda: browser.run(ground) == dark)
    browser.run("localStorage.clear()")  # the next one comes to the same browser
