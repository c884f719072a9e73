"""The page in a real browser, on a real server: what a person does with it, to the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browsers import ENTER, PHONE, TABULATOR, Browser, recording
from tests.claude_support import install
from tests.system import Server

PATIENT = {"LOKI_DEMO_SPEED": "20", "LOKI_DEMO_TIMEOUT": "60"}
"""The demo plays fast, and waits for the answer as long as a test may take."""

QUESTION = "Which colours shall the clock have?"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests that need none of their own: it takes seconds to start."""
    with Server(tmp_path_factory.mktemp("shared"), **PATIENT) as running:
        yield running


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """It without any session, before and after."""
    yield shared
    for session in shared.get("/api/sessions")["sessions"]:
        if session["status"] not in ("stopped", "failed", "completed"):
            shared.post(f"/api/sessions/{session['id']}/stop")
            shared.until_end(session["id"])
        assert shared.request("DELETE", f"/api/sessions/{session['id']}").status == 200


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


def test_the_demo_to_its_end(browser: Browser, server: Server) -> None:
    """Started by the form, watched through its phases, answered by a button, seen to its end."""
    begin(browser, server)
    browser.sees("Planning", ".turns")
    browser.sees(QUESTION, ".turns .question")
    browser.is_live()
    browser.click("button", "midnight")
    browser.until(lambda: state(browser) == "Completed")
    browser.sees("Deployment", ".turns")
    browser.sees("Done: a clock in midnight", ".turns")
    assert "midnight" in browser.text(".turn.ask .outcome")
    browser.until(lambda: "7/7" in browser.text(".figures"))
    browser.click("link", "Tasks")
    browser.sees("Paint it in midnight", ".column")
    browser.click("link", "Timeline")
    browser.until(lambda: browser.count(".timeline .phases li") == 5)
    browser.click("link", "Log")
    browser.sees("At midnight: expected 00:00, got 24:00.", ".lines")
    browser.click("link", "Usage")
    browser.until(lambda: browser.count(".chart canvas") == 2)
    browser.click("link", "Sessions")
    browser.sees("Completed", ".rows")


def test_a_reload_shows_the_same(browser: Browser, server: Server) -> None:
    """In the middle of a run: the same turns, the same question, the same log."""
    begin(browser, server)
    browser.sees(QUESTION, ".turns .question")
    browser.is_live()

    def shown() -> list[str]:
        return [
            line
            for line in browser.text(".turns").splitlines()
            if not line.endswith(("ago", "just now", "left"))
        ]

    browser.sees("The clock comes first", ".turns")
    before = shown()
    browser.driver.refresh()
    browser.sees(QUESTION, ".turns .question")
    browser.until(lambda: shown() == before)


def test_a_session_is_stopped_in_the_middle(browser: Browser, server: Server) -> None:
    """By a button that asks once more."""
    session_id = begin(browser, server)
    browser.sees(QUESTION, ".turns .question")
    browser.click("button", "Stop")
    browser.click("button", "Really stop")
    browser.until(lambda: state(browser) == "Stopped")
    browser.sees_no(QUESTION, ".question")
    assert server.get(f"/api/sessions/{session_id}")["session"]["status"] == "stopped"


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


def test_two_pages_and_one_answers(browser: Browser, server: Server) -> None:
    """On the other the question goes away, and what was answered is told."""
    server.start(provider="demo")
    browser.open(server.base + "/#/inbox")
    browser.sees(QUESTION, ".questions")
    first = browser.tab()
    browser.open(server.base + "/#/inbox")
    browser.sees(QUESTION, ".questions")
    second = browser.switch(first)
    browser.click("button", "dawn")
    browser.sees("Nothing waits for you")
    browser.switch(second)
    browser.sees("Nothing waits for you")
    browser.sees("dawn", ".settled")
    browser.until(lambda: server.get("/api/events/stats")["subscribers"] == 2)  # one for each


def test_answers_are_given_by_keyboard(browser: Browser, server: Server) -> None:
    """From the top of the page to the answer by the tabulator alone."""
    server.start(provider="demo")
    browser.open(server.base + "/")
    browser.sees(QUESTION, ".question")
    for _ in range(40):
        browser.press(TABULATOR)
        if browser.run("return document.activeElement.innerText.trim()") == "midnight":
            break
    browser.press(ENTER)
    browser.sees_no(QUESTION, ".question")
    browser.sees("Completed", ".rows")


def test_what_is_wrong_is_said_beside_its_field(browser: Browser, server: Server) -> None:
    """All that the server finds wrong, where it was typed; mended, the session starts."""
    browser.open(server.base + "/#/new")
    browser.click("radio", "demo")
    browser.fill("#field-prdPath", "nowhere.md")
    browser.click("summary", "More")
    browser.fill('[id="field-options.budgetUsd"]', "much")
    browser.fill("#field-priority", "1000")
    browser.click("button", "Start")
    browser.sees("number", '[id="fault-options.budgetUsd"]')
    browser.sees("100", "#fault-priority")
    field = browser.run("return document.activeElement.id")
    assert field in {"field-priority", "field-options.budgetUsd"}
    browser.fill('[id="field-options.budgetUsd"]', "5")
    browser.fill("#field-priority", "10")
    browser.click("button", "Start")
    browser.sees("nowhere.md", "form")
    assert server.get("/api/sessions")["total"] == 0
    browser.fill("#field-prdPath", "")
    browser.click("button", "Start")
    browser.sees(QUESTION)


def test_the_board_is_searched_and_filtered(browser: Browser, tmp_path: Path) -> None:
    """By words of any column, by how sessions stand, and in another order."""
    for name in ("alpha", "beta"):
        (tmp_path / name).mkdir()
    with Server(tmp_path, **PATIENT) as server:
        for name in ("alpha", "beta"):
            server.start(provider="demo", projectDir=name)
        browser.open(server.base + "/")
        browser.until(lambda: browser.count(".row") == 2)
        browser.fill("input[type=search]", "alph demo")
        browser.until(lambda: browser.count(".row") == 1)
        assert "alpha" in browser.text(".row")
        browser.fill("input[type=search]", "nothing")
        browser.sees("No session is like that")
        browser.fill("input[type=search]", "a")
        browser.click("button", "Failed")
        browser.until(lambda: browser.count(".row") == 0)
        browser.click("button", "All")
        browser.run(
            "const it = document.querySelector('.sort select'); it.value = 'name';"
            "it.dispatchEvent(new Event('change', { bubbles: true }))"
        )
        names = "return [...document.querySelectorAll('.row strong')].map(each => each.innerText)"
        browser.until(lambda: browser.run(names) == ["alpha", "beta"])


def test_a_wrong_token_and_the_right_one(browser: Browser, tmp_path: Path) -> None:
    """Who comes from elsewhere is asked for it once; the tab keeps it, and no address has it."""
    with Server(tmp_path, LOKI_API_TOKEN="the-right-one-of-many-letters", **PATIENT) as server:
        browser.headers(**{"X-Forwarded-For": "192.0.2.1"})
        try:
            browser.open(server.base + "/")
            browser.sees("This server wants a token")
            browser.fill("#token", "a-wrong-one")
            browser.click("button", "Open")
            browser.sees("not the right one")
            browser.fill("#token", "the-right-one-of-many-letters")
            browser.click("button", "Open")
            browser.sees("No session yet")
            browser.is_live()
            browser.driver.refresh()
            browser.sees("No session yet")
            assert "right-one" not in browser.driver.current_url
            assert browser.run("return localStorage.length + document.cookie.length") == 0
        finally:
            browser.headers()


def test_too_many_wrong_tokens(browser: Browser, tmp_path: Path) -> None:
    """The page says for how long nothing is tried, and sends nothing meanwhile."""
    with Server(tmp_path, LOKI_API_TOKEN="the-right-one-of-many-letters") as server:
        browser.headers(**{"X-Forwarded-For": "192.0.2.1"})
        try:
            browser.open(server.base + "/")
            for number in range(40):
                browser.until(lambda: browser.element("button", "Open"))
                if "Too many" in browser.text(".way"):
                    break
                browser.fill("#token", f"wrong-{number}")
                browser.click("button", "Open")
                browser.until(
                    lambda: (
                        "not the right one" in browser.text(".way")
                        or "Too many" in browser.text(".way")
                    )
                )
            browser.sees("Try again in", ".way")
            assert not browser.until(lambda: browser.element("button", "Open")).is_enabled()
        finally:
            browser.headers()


def test_it_fits_a_phone(browser: Browser, server: Server) -> None:
    """Nothing is wider than the screen in any view, and all of them can be reached."""
    browser.size(*PHONE)
    session_id = begin(browser, server)
    browser.sees(QUESTION, ".turns .question")
    here = f"#/session/{session_id}"
    for place in ("", "#/inbox", "#/server", "#/new", here, f"{here}/tasks", f"{here}/timeline",
                  f"{here}/log", f"{here}/usage"):  # fmt: skip
        browser.go(place or "#/")
        browser.until(lambda: browser.count("#main > *") > 0 and browser.link == "live")
        wide = browser.run(
            "const main = document.getElementById('main');"
            "return [document.documentElement.scrollWidth, main.scrollWidth - main.clientWidth]"
        )
        assert wide == [PHONE[0], 0], place
    browser.click("link", "Inbox")
    browser.click("button", "paper")
    browser.sees("Nothing waits for you")


HOSTILE = (
    '<img src="x" onerror="document.title = 1"><script>document.title = 2</script>',
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eright to left \x00 \x08",
)


def test_texts_of_agents_are_texts(browser: Browser, tmp_path: Path) -> None:
    """No markup of theirs is rendered, and no escape sequence obeyed: both can be seen."""
    text = "\n".join(HOSTILE)
    tell = {"type": "agent:output", "data": {"agentId": "main", "type": "demo", "kind": "text",
                                             "output": text}}  # fmt: skip
    ask = {"type": "input:requested", "data": {"prompt": HOSTILE[0], "options": [HOSTILE[0]]}}
    lines = [json.dumps(tell), json.dumps(ask)]
    recording(tmp_path / "hostile.jsonl", lines, end_ms=600_000)
    with Server(tmp_path) as server:
        session_id = server.start(provider="replay", prdPath="hostile.jsonl")
        server.wait_for(session_id, "input:requested")
        browser.open(f"{server.base}/#/session/{session_id}")
        browser.sees(HOSTILE[0], ".turn.agent")
        browser.sees(HOSTILE[0], ".question .answers")
        said = browser.text(".turn.agent")
        assert "\u2039U+202E\u203aright to left" in said
        assert not set(said) & {"\x1b", "\u202e", "\x00", "\x08", "\x07"}
        assert browser.count("#page img:not([src='page/icon.svg'])") == 0
        assert browser.run("return document.title").endswith("Loki")
        browser.go("#/inbox")
        browser.sees(HOSTILE[0], ".questions")


def test_raw_output_is_saved(browser: Browser, tmp_path: Path) -> None:
    """Byte for byte what the agent has printed, with the session's name."""
    lines = ["plain", "\x1b[31mred\x1b[0m"]
    recording(tmp_path / "short.jsonl", lines)
    with Server(tmp_path) as server:
        session_id = server.start(provider="replay", prdPath="short.jsonl", options={"speed": 0})
        server.until_end(session_id)
        expected = server.request("GET", f"/api/sessions/{session_id}/output").body
        saved = tmp_path / f"{session_id}.stdout.txt"
        browser.driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
        )
        browser.open(f"{server.base}/#/session/{session_id}")
        browser.click("button", "More actions")
        browser.click("button", "Save the raw output")
        browser.sees("Saved", ".toasts")
        assert browser.until(lambda: saved.exists() and saved.read_bytes()) == expected


def test_a_session_is_paused_and_told_things(browser: Browser, server: Server) -> None:
    """Halted and let on by buttons; what is written below reaches the agent."""
    begin(browser, server)
    browser.sees(QUESTION, ".turns .question")
    browser.click("button", "Pause")
    browser.until(lambda: state(browser) == "Paused")
    browser.click("button", "Resume")
    browser.until(lambda: state(browser) == "Needs you")
    browser.fill("#message", "teal")
    browser.click("button", "Send")
    browser.sees("Done: a clock in teal", ".turns")
    browser.until(lambda: state(browser) == "Completed")
    assert browser.count("#message") == 0


def test_a_conversation_goes_on_in_another_session(browser: Browser, tmp_path: Path) -> None:
    """A permission is given with what it is for in sight, and what has ended is gone on with."""
    path = os.pathsep.join([install(tmp_path).search_path, "/usr/bin", "/bin"])
    with Server(tmp_path, PATH=path) as server:
        browser.open(server.base + "/#/new")
        browser.click("radio", "claude")
        browser.fill("#field-prompt", "permission please")
        browser.click("button", "Start")
        browser.sees("rm -r build", ".turns .question")
        browser.click("button", "Allow")
        browser.until(lambda: state(browser) == "Completed")
        first = browser.driver.current_url
        browser.fill("#message", "plain again")
        browser.click("button", "Continue")
        browser.until(lambda: browser.driver.current_url != first)
        browser.sees("You say: plain again", ".turns")
        browser.sees("Goes on with", ".figures")
        # A call and its result are one block, which opens.
        browser.until(lambda: browser.count(".call summary") == 1)
        browser.run("document.querySelector('.call summary').click()")
        browser.sees("a.txt\nb.txt", ".call .result")


def test_a_token_that_may_only_look(browser: Browser, tmp_path: Path) -> None:
    """Everything is shown to it; what it may not do is refused in words, where it was asked."""
    tokens = tmp_path / "tokens"
    lokictl = "import sys; from loki_twisted.command.lokictl import main; sys.exit(main())"
    command = [sys.executable, "-c", lokictl, "token", "create", "guest"]
    made = subprocess.run(
        [*command, "--file", str(tokens), "--scopes", "read"],
        check=True,
        capture_output=True,
        text=True,
    )
    token = made.stdout.strip()
    with Server(tmp_path, "--token-file", str(tokens), **PATIENT) as server:
        browser.headers(**{"X-Forwarded-For": "192.0.2.1"})
        try:
            browser.open(server.base + "/")
            browser.fill("#token", token)
            browser.click("button", "Open")
            browser.is_live()
            browser.go("#/new")
            browser.click("radio", "demo")
            browser.click("button", "Start")
            browser.until(lambda: browser.text(".refusal"))
            assert server.get("/api/sessions")["total"] == 0
        finally:
            browser.headers()
