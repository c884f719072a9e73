"""The page in a real browser, on a real server: what a person does with it, to the end."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from tests.browsers import PHONE, Browser
from tests.pages import QUESTION, begin, clear, state
from tests.system import Server


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server without any session, before and after."""
    yield shared_server
    clear(shared_server)


@pytest.fixture
def runner(server: Server) -> Iterator[Callable[[str], str]]:
    """Starts a session whose agent is a script of the shell; gives its id."""
    program = server.home / "autonomy" / "run.sh"
    program.parent.mkdir()

    def start(script: str) -> str:
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o700)
        return server.start()

    yield start
    shutil.rmtree(program.parent)


def test_the_demo_to_its_end(browser: Browser, server: Server) -> None:
    """Started by the form, watched through its phases, answered by a button, seen to its end."""
    session_id = begin(browser, server)
    browser.sees("Planning", ".turns")
    browser.sees(QUESTION, ".turns .question")
    browser.is_live()
    left = browser.text(".question .left")
    assert re.fullmatch(r"(\d+m )?\d+s left", left)
    browser.until(lambda: browser.text(".question .left") != left)  # it counts down
    browser.click("button", "midnight")
    browser.until(lambda: state(browser) == "Completed")
    browser.sees("Deployment", ".turns")
    browser.sees("Done: a clock in midnight", ".turns")
    assert "midnight" in browser.text(".turn.ask .outcome")
    browser.until(lambda: "7/7" in browser.text(".figures"))
    browser.click("link", "Tasks")
    browser.sees("Paint it in midnight", ".column")
    browser.click("link", "Timeline")
    # It says its phases by a file: of two in one moment the first may be over before it is read.
    phases = f"/api/events/history?sessionId={session_id}&types=phase:started&limit=10"
    told = len(server.get(phases)["events"])
    assert told > 2
    browser.until(lambda: browser.count(".timeline .phases li") == told)
    places = browser.run(
        "return [...document.querySelectorAll('.stretch.phase')].map(each => each.style)"
        ".map(({ left, width }) => [parseFloat(left), parseFloat(width)])"
    )
    for (left, width), (after, _) in pairwise(places):  # each lasts until the next one begins
        assert width > 0
        assert abs(left + width - after) < 0.1
    assert abs(sum(places[-1]) - 100) < 0.1
    browser.click("link", "Log")
    browser.sees("At midnight: expected 00:00, got 24:00.", ".lines")
    browser.click("link", "Usage")
    browser.until(lambda: browser.count(".chart canvas") == 2)
    tokens, cost = browser.run(
        "return [...document.querySelectorAll('.chart [role=img]')].map(each => each.ariaLabel)"
    )
    assert re.fullmatch(r"Tokens over the time, [\d.,]+K? so far", tokens)
    assert re.fullmatch(r"Cost over the time, \$\d+\.\d+ so far", cost)
    browser.click("link", "Sessions")
    browser.sees("Completed", ".rows")
    browser.until(lambda: "7/7" in browser.text(".row"))
    row = browser.text(".row")
    for each in (server.home.name, "demo", "deployment", "tokens"):
        assert each in row
    assert re.search(r"just now|\d+[sm] ago", row)
    assert re.search(r"^(\d+m )?\d+(\.\d)?s$", row, re.MULTILINE)  # how long it has taken
    assert cost.split()[4] in row


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
    browser.confirm("Stop", "Really stop")
    browser.until(lambda: state(browser) == "Stopped")
    browser.sees_no(QUESTION, ".question")
    assert server.get(f"/api/sessions/{session_id}")["session"]["status"] == "stopped"


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


def test_what_is_wrong_is_said_beside_its_field(browser: Browser, server: Server) -> None:
    """All that the server finds wrong, where it was typed; mended, the session starts."""
    browser.open(server.base + "/#/new")
    known = server.get("/api/providers")["providers"]
    absent = ", ".join(each["name"] for each in known if not each["available"])
    assert "codex" in absent
    browser.sees(f"Not on this machine: {absent}.", ".providers")
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
    browser.fill('[id="field-options.timeout"]', "1.5")
    browser.choose('[id="field-options.onUnanswered"]', "wait")
    browser.click("button", "Start")
    browser.sees("nowhere.md", "form")
    assert server.get("/api/sessions")["total"] == 0
    browser.fill("#field-prdPath", "")
    browser.run(
        "const ask = window.fetch; window.fetch = (path, given) => {"
        "  if (given.body) window.sent = JSON.parse(given.body);"
        "  return ask(path, given) }"
    )
    browser.click("button", "Start")
    browser.sees(QUESTION)
    assert browser.run("return window.sent") == {
        "provider": "demo",
        "priority": 10,
        "queue": True,
        "options": {"budgetUsd": 5, "timeout": 90_000, "onUnanswered": "wait"},
    }


def test_the_board_is_searched_and_filtered(browser: Browser, server: Server) -> None:
    """By words of any column, by how sessions stand, and in another order."""
    for name in ("alpha", "beta"):
        (server.home / name).mkdir()
    first, second = (server.start(provider="demo", projectDir=n) for n in ("alpha", "beta"))
    for each in (first, second):
        server.wait_for(each, "input:requested")
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
    names = "return [...document.querySelectorAll('.row strong')].map(each => each.innerText)"
    alpha = next(each for each in server.get("/api/inputs")["inputs"] if each["sessionId"] == first)
    server.post(f"/api/sessions/{first}/inputs/{alpha['id']}", {"answer": "dawn"})
    server.until_end(first)
    browser.sees("Completed", ".board")
    for order, expected in (
        ("standing", ["beta", "alpha"]),
        ("newest", ["beta", "alpha"]),
        ("active", ["alpha", "beta"]),
        ("cost", ["alpha", "beta"]),
        ("name", ["alpha", "beta"]),
    ):
        browser.choose(".sort select", order)
        browser.until(lambda expected=expected: browser.run(names) == expected)
    for chip, left in (("At work", ["beta"]), ("In line", []), ("Ended", ["alpha"])):
        browser.click("button", chip)
        browser.until(lambda left=left: browser.run(names) == left)


@pytest.mark.parametrize(
    ("stream", "button"), [("stdout", "Save the raw output"), ("stderr", "Save standard error")]
)
def test_raw_output_is_saved(
    browser: Browser, server: Server, runner: Callable[[str], str], stream: str, button: str
) -> None:
    """Byte for byte what the agent has printed, with the names of the session and the stream."""
    session_id = runner(r"printf 'plain\n\033[31mred\033[0m\n'; printf 'not \377 text' >&2")
    server.until_end(session_id)
    expected = {"stdout": b"plain\n\x1b[31mred\x1b[0m\n", "stderr": b"not \xff text"}[stream]
    saved = server.home / f"{session_id}.{stream}.txt"
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(server.home)}
    )
    browser.open(f"{server.base}/#/session/{session_id}")
    browser.click("button", "More actions")
    browser.click("button", button)
    browser.sees("Saved", ".toasts")
    assert browser.until(lambda: saved.exists() and saved.read_bytes()) == expected


def test_a_question_whose_time_is_up(
    browser: Browser, server: Server, runner: Callable[[str], str]
) -> None:
    """It goes away under the eyes of who looks at it, and what became of it is told."""
    asked = {"prompt": "Now or never?", "options": ["now", "never"], "timeout": 10_000}
    line = json.dumps({"type": "input:requested", "data": asked})
    browser.open(server.base + "/#/inbox")
    browser.is_live()
    runner(f"echo '{line}'; exec sleep 60")
    browser.sees("Now or never?", ".questions")
    browser.sees("left", ".questions .left")
    browser.sees("Nothing waits for you")
    browser.sees("Now or never?", ".settled")


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


def test_a_conversation_goes_on_in_another_session(browser: Browser, server: Server) -> None:
    """A permission is given with what it is for in sight, and what has ended is gone on with."""
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


def test_several_are_chosen(browser: Browser, server: Server) -> None:
    """Where a question takes several choices, all that are chosen reach the agent."""
    server.start(provider="claude", prompt="questions please")
    browser.open(server.base + "/#/inbox")
    browser.click("button", "Blue")
    browser.sees_no("Which colour?", ".questions")
    browser.until(lambda: browser.element("button", "Send"))
    assert not browser.element("button", "Send").is_enabled()
    for name in ("Door", "Roof"):
        browser.click("checkbox", name)
    browser.click("button", "Send")
    browser.sees("Nothing waits for you")
    browser.click("link", "Which parts?")
    browser.sees('{"Which colour?": "Blue", "Which parts?": "Door, Roof"}', ".turns")


@pytest.mark.parametrize(
    ("button", "delivery", "told"),
    [
        ("Now", "now", "It goes into what the agent is doing."),
        ("Send", "next", "The agent gets it when it has done what it is doing."),
    ],
)
def test_an_agent_at_work_is_told_things(
    browser: Browser, server: Server, button: str, delivery: str, told: str
) -> None:
    """Into what it does, or when it has done that; which of them is said."""
    session_id = server.start(provider="claude", prompt="work please")
    browser.open(f"{server.base}/#/session/{session_id}")
    browser.sees("I work.", ".turns")
    browser.fill("#message", "faster")
    browser.click("button", button)
    browser.sees(told, ".toasts")
    browser.sees("faster", ".turns")
    query = f"sessionId={session_id}&types=message:*"
    events = server.get(f"/api/events/history?{query}")["events"]
    assert {each["data"]["delivery"] for each in events} == {delivery}


def test_an_agent_leaves_off_and_its_record_is_deleted(browser: Browser, server: Server) -> None:
    """Behind the three dots: what it does ends, and later what it did is gone, once asked twice."""
    session_id = server.start(provider="claude", prompt="work please")
    browser.open(f"{server.base}/#/session/{session_id}")
    browser.sees("I work.", ".turns")
    browser.click("button", "More actions")
    browser.click("button", "Leave off what it does")
    browser.sees("The agent leaves off", ".toasts")
    browser.until(lambda: state(browser) == "Your turn")
    browser.confirm("Stop", "Really stop")
    browser.until(lambda: state(browser) == "Stopped")
    browser.click("button", "More actions")
    browser.click("button", "Delete the record")
    assert server.request("GET", f"/api/sessions/{session_id}").status == 200
    browser.confirm("Delete the record", "Really delete it")
    browser.sees("No session yet")
    assert server.request("GET", f"/api/sessions/{session_id}").status == 404
    browser.go(f"#/session/{session_id}")
    browser.sees("There is no such session")


def test_a_record_that_is_deleted_elsewhere(browser: Browser, server: Server) -> None:
    """No event tells that, so the page counts the sessions now and then; what is gone is said."""
    for _ in range(2):
        gone = server.start(provider="demo", options={"dryRun": True})
        server.until_end(gone)
    browser.open(f"{server.base}/#/session/{gone}")
    browser.until(lambda: state(browser) == "Completed")
    browser.is_live()
    assert server.request("DELETE", f"/api/sessions/{gone}").status == 200
    # Its clock stands still then: a stream that says nothing for longer would be another reason.
    browser.run("const then = Date.now() + 15_000; Date.now = () => then")
    browser.sees("There is no such session")
    browser.go("#/")
    browser.until(lambda: browser.count(".row") == 1)


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
