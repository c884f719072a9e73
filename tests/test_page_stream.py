"""How the page hangs on the server: what it says when that ends, and what it has afterwards."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browsers import Browser, recording
from tests.pages import PATIENT, QUESTION, begin, clear, offline, slow_line, state
from tests.system import Server

BEHIND = 20_000
"""Events: after more of them the page reads how things stand."""


def test_a_crash_under_an_open_page(browser: Browser, tmp_path: Path) -> None:
    """The page says that it is cut off, comes back by itself, and has every event once."""
    with Server(tmp_path, **PATIENT) as first:
        session_id = begin(browser, first)
        browser.sees(QUESTION, ".turns .question")
        browser.is_live()
        first.kill()
        browser.until(lambda: browser.link == "cut")
        browser.sees("how things stood then", ".stale")
        port = str(first.port)
    with Server(tmp_path, "--port", port, **PATIENT) as second:
        browser.is_live()
        browser.click("button", "paper")
        browser.until(lambda: state(browser) == "Completed")
        browser.go(f"#/session/{session_id}/log")
        query = f"sessionId={session_id}&types=log:*&limit=1000"
        expected = [
            event["data"]["message"]
            for event in second.get(f"/api/events/history?{query}")["events"]
        ]

        def lines() -> list[str]:
            texts = "[...document.querySelectorAll('.log-line .text')].map(each => each.innerText)"
            return list(browser.run(f"return {texts}"))

        browser.until(lambda: lines() == expected)


def test_a_server_that_falls_silent(browser: Browser, shared_server: Server) -> None:
    """A connection on which nothing comes, not even a sign of life, is one that is cut off."""
    browser.open(shared_server.base + "/")
    browser.is_live()
    os.kill(shared_server.pid, signal.SIGSTOP)
    try:
        # Its clock goes on by our hand alone; it looks at that once a second.
        browser.run("window.time = Date.now(); Date.now = () => window.time")
        browser.run("window.time += 15_000")
        browser.later("await new Promise(done => setTimeout(done, 1500))")
        assert browser.link == "live"  # a quiet stream says something every 15 seconds
        browser.run("window.time += 15_000")
        browser.until(lambda: browser.link == "cut")
        browser.sees("Cut off", ".mark")
    finally:
        os.kill(shared_server.pid, signal.SIGCONT)
    browser.is_live()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server without any session, before and after."""
    yield shared_server
    clear(shared_server)


def test_it_does_not_keep_up(browser: Browser, server: Server) -> None:
    """On a line too slow for what happens the page says by how much it is behind."""
    lines = [f"line {number} {'.' * 150}" for number in range(4000)]
    recording(server.home / "much.jsonl", lines, at_once=500)
    with slow_line(browser, 80_000):  # some 200 events a second
        browser.open(server.base + "/")
        browser.is_live()
        flood = {"provider": "replay", "prdPath": "much.jsonl", "options": {"speed": 0}}
        server.until_end(server.start(**flood))
        told = re.compile(r"Catching up\s+[\d.,]+K? behind")
        browser.until(lambda: told.fullmatch(browser.text(".mark")))
    browser.is_live()
    browser.sees("Completed", ".row")


def test_it_was_away_for_long(browser: Browser, tmp_path: Path) -> None:
    """Without the network it says so; after very many events it does not read what it missed."""
    lines = [f"line {number}" for number in range(BEHIND + 500)]
    recording(tmp_path / "flood.jsonl", lines, at_once=500)
    with Server(tmp_path, **PATIENT) as server:
        browser.open(server.base + "/#/inbox")
        browser.is_live()
        browser.run(
            "window.parsed = 0; const parse = JSON.parse;"
            "JSON.parse = text => (window.parsed += 1, parse(text))"
        )
        with offline(browser):
            browser.until(lambda: browser.link == "cut")
            flood = {"provider": "replay", "prdPath": "flood.jsonl", "options": {"speed": 0}}
            server.until_end(server.start(**flood))
            server.wait_for(server.start(provider="demo"), "input:requested")
        browser.is_live()
        browser.sees(QUESTION, ".questions")
        assert browser.run("return window.parsed") < BEHIND / 10


def test_a_server_with_another_log(browser: Browser, tmp_path: Path) -> None:
    """One that knows nothing of the place where the page was: then all is shown that it knows."""
    dry = {"provider": "demo", "options": {"dryRun": True}}
    with Server(tmp_path, **PATIENT) as first:
        gone = first.start(**dry)
        first.until_end(gone)
        browser.open(f"{first.base}/#/session/{gone}/log")
        browser.sees("Completed", ".session-head")
        browser.is_live()
        with offline(browser):
            browser.until(lambda: browser.link == "cut")
            browser.choose(".log select", "error")
            browser.sees("The server cannot be reached.", ".note.bad")
            place = first.get("/api/events/stats")["newestEventId"]
            first.kill()
            shutil.rmtree(tmp_path / ".loki")
            second = Server(tmp_path, "--port", str(first.port), **PATIENT)
            for _ in range(2):
                second.until_end(second.start(**dry))
    with second:
        told = next(second.stream(f"lastEventId={place}"))
        assert told.type == "stream:reset"
        browser.sees("There is no such session")
        browser.is_live()
        browser.go("#/")
        browser.until(lambda: browser.count(".row") == 2)
