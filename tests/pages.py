"""What tests of the page have in common: the servers that it hangs on, and what is done first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browsers import Browser
from tests.claude_support import install
from tests.system import Server

PATIENT = {"LOKI_DEMO_SPEED": "20", "LOKI_DEMO_TIMEOUT": "600"}
"""The demo plays fast, and waits for the answer longer than a test may take."""

QUESTION = "Which colours shall the clock have?"
ELSEWHERE = {"X-Forwarded-For": "192.0.2.1"}
"""Makes of a request one that does not come from this machine, and needs a token."""

ENDED = ("stopped", "failed", "completed")


@contextmanager
def page_server(home: Path) -> Iterator[Server]:
    """Run a server that has the demo and the stand-in of claude."""
    path = os.pathsep.join([install(home).search_path, "/usr/bin", "/bin"])
    with Server(home, PATH=path, **PATIENT) as running:
        yield running


def clear(server: Server) -> None:
    """Stop all sessions of a server, and delete their records."""
    for session in server.get("/api/sessions")["sessions"]:
        if session["status"] not in ENDED:
            server.request("POST", f"/api/sessions/{session['id']}/stop")  # or it has just ended
            server.until_end(session["id"])
        assert server.request("DELETE", f"/api/sessions/{session['id']}").status in (200, 404)


def begin(browser: Browser, server: Server) -> str:
    """Start the demo by the form; gives the id of its session."""
    browser.open(server.base + "/#/new")
    browser.click("radio", "demo")
    browser.click("button", "Start")
    browser.until(lambda: "#/session/" in browser.driver.current_url)
    return str(browser.driver.current_url.split("#/session/")[1])


def state(browser: Browser) -> str:
    """How the session that is looked at stands, in its word."""
    return browser.text(".session-head .state")


@contextmanager
def offline(browser: Browser) -> Iterator[None]:
    """Take the network from the tab, and give it back."""
    with _network(browser, offline=True):
        yield


@contextmanager
def slow_line(browser: Browser, bytes_per_second: int) -> Iterator[None]:
    """Let no more than so much come to the tab, for a while."""
    with _network(browser, downloadThroughput=bytes_per_second):
        yield


@contextmanager
def _network(browser: Browser, **conditions: int) -> Iterator[None]:
    usual = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**usual, **conditions})
    try:
        yield
    finally:
        browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", usual)
