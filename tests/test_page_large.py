"""The page with much to show, and its modules by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browsers import Browser, recording
from tests.pages import PATIENT
from tests.system import Server

LINES = 100_000
HOME: dict[Server, Path] = {}
"""Where each server works."""

MOST_DRAWN = 400
"""So many lines are elements at most, however many there are."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of the file."""
    home = tmp_path_factory.mktemp("home")
    for name in ("flood", "busy"):
        (home / name).mkdir()
    lines = [f"[{'ERROR' if n % 1000 == 0 else 'INFO'}] [flood] line {n}" for n in range(LINES)]
    recording(home / "flood" / "flood.jsonl", lines, at_once=200)
    with Server(home, **PATIENT) as running:
        HOME[running] = home
        yield running


def drawn(browser: Browser) -> list[str]:
    """The texts of the lines that are elements."""
    texts = "[...document.querySelectorAll('.log-line .text')].map(each => each.textContent)"
    return list(browser.run(f"return {texts}"))


@pytest.fixture(scope="module")
def flood(server: Server) -> str:
    """The id of a session that begins to print many lines."""
    wanted = {"projectDir": "flood", "prdPath": "flood.jsonl", "options": {"speed": 0}}
    return server.start(provider="replay", **wanted)


def test_a_flood_is_followed_to_its_end(browser: Browser, server: Server, flood: str) -> None:
    """Of 100,000 lines that come at once only those in sight are elements, and the last is seen."""
    browser.open(f"{server.base}/#/session/{flood}/log")
    most = 0
    while f"line {LINES - 1}" not in (lines := drawn(browser)):
        most = max(most, len(lines))
    assert most < MOST_DRAWN
    browser.is_live()
    browser.until(lambda: "Completed" in browser.text(".session-head"))


def test_a_long_log_is_scrolled_back(browser: Browser, server: Server, flood: str) -> None:
    """Older lines come before the others without a gap or a double, and what is kept is bounded."""
    server.until_end(flood)
    browser.open(f"{server.base}/#/session/{flood}/log")
    browser.until(lambda: f"line {LINES - 1}" in drawn(browser))
    box = "const box = document.querySelector('.log .lines');"
    kept = "return (await import('/page/store.js')).opened.value.log.items.length"
    for _ in range(24):
        before = drawn(browser)[0]
        browser.run(f"{box} box.scrollTop = 0")
        browser.until(lambda before=before: drawn(browser)[0] != before)
        assert len(drawn(browser)) < MOST_DRAWN
        assert browser.later(kept) <= 20_000
    numbers = browser.later(
        "return (await import('/page/store.js')).opened.value.log.items.map(each => each.text)"
    )
    first = int(numbers[0].split()[1])
    assert numbers == [f"line {first + n}" for n in range(len(numbers))]
    assert first < LINES - 21_000  # so the end of the log was let go
    browser.click("button", "Follow")
    browser.until(lambda: f"line {LINES - 1}" in drawn(browser))


def test_a_long_log_is_searched(browser: Browser, server: Server, flood: str) -> None:
    """By words in the lines that are there, and by level on the server in all of them."""
    server.until_end(flood)
    browser.open(f"{server.base}/#/session/{flood}/log")
    browser.until(lambda: f"line {LINES - 1}" in drawn(browser))
    browser.fill(".log input", f"line {LINES - 7}")
    browser.until(lambda: drawn(browser) == [f"line {LINES - 7}"])
    browser.fill(".log input", "nothing like it")
    browser.sees("No line has these words")
    browser.fill(".log input", "line")
    browser.run(
        "const it = document.querySelector('.log select'); it.value = 'error';"
        "it.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    browser.sees("100 of 100 lines", ".log .note")


def test_a_busy_session_stays_smooth(browser: Browser, server: Server, is_full: bool) -> None:
    """
    At 200 events a second what is drawn stays bounded, and the last one is seen.

    With ``--full`` the page takes less than 50 ms of the processor for each time that it draws.
    """
    count = 4000 if is_full else 1000
    browser.open(server.base + "/")
    browser.is_live()
    session_id = server.start(provider="replay", projectDir="busy", prdPath=busy(server, count))
    browser.go(f"#/session/{session_id}")
    browser.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    unspent = metrics(browser)
    browser.run(
        "window.drawn = 0; new MutationObserver(() => { window.drawn += 1 })"
        ".observe(document.getElementById('page'), { childList: true, subtree: true })"
    )
    browser.sees(f"Message {count - 1}.", ".turns")
    spent = metrics(browser) - unspent
    drawn_times = browser.run("return window.drawn")
    assert browser.count(".turns > *") < 700
    numbers = (
        "return [...document.querySelectorAll('.turn.agent .prose')]"
        ".map(each => Number(/Message (\\d+)/.exec(each.textContent)[1]))"
    )
    browser.open(f"{server.base}/#/session/{session_id}")
    browser.sees(f"Message {count - 1}.", ".turns")
    browser.is_live()
    before = browser.run(numbers)
    browser.click("button", "Show what was before")
    browser.until(lambda: len(browser.run(numbers)) > len(before))
    first = browser.run(numbers)[0]
    assert first < before[0]
    assert browser.run(numbers) == list(range(first, count))
    assert drawn_times > 0
    assert not is_full or spent / drawn_times < 0.05, (spent, drawn_times)


def metrics(browser: Browser) -> float:
    """Seconds that the page's thread has used of the processor."""
    found = browser.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(each["value"] for each in found if each["name"] == "TaskDuration"))


def busy(server: Server, count: int) -> str:
    """Make a recording of an agent that says something every 5 milliseconds; gives its name."""
    lines = [
        json.dumps(
            {
                "type": "agent:output",
                "data": {
                    "agentId": "main",
                    "type": "demo",
                    "kind": "text",
                    "output": f"Message {number}. Something was done, with `code` in it.",
                },
            }
        )
        for number in range(count)
    ]
    recording(HOME[server] / "busy" / "busy.jsonl", lines, gap_ms=5, end_ms=count * 5)
    return "busy.jsonl"


def test_the_start_page_is_painted_at_once(browser: Browser, server: Server, is_full: bool) -> None:
    """All that is needed is asked for together; with ``--full`` it is painted within a second."""
    browser.open(server.base + "/")
    browser.is_live()
    paints = "return performance.getEntriesByType('paint').map(each => each.startTime)"
    times = browser.until(lambda: browser.run(paints))
    assert not is_full or max(times) < 1000, times
    loaded = browser.run(
        "return performance.getEntriesByType('resource').filter(each => /page/.test(each.name))"
        ".map(each => each.initiatorType)"
    )
    assert set(loaded) <= {"link", "script", "img", "other", "css"}


def test_differences(browser: Browser, server: Server) -> None:
    """What is left of one text is the other one, and nothing that stays is told as a change."""
    browser.open(server.base + "/")
    texts = ["", "a", "a\nb\nc", "a\nc", "b\nc\nd", "x\ny", "a\nb\nc\nd\ne", "a\nX\nc\nY\ne"]
    script = (
        "const { difference } = await import('/page/diff.js');"
        "return given[0].map(a => given[0].map(b => difference(a, b)))"
    )
    found = browser.later(script, texts)
    for before, row in zip(texts, found, strict=True):
        for after, lines in zip(texts, row, strict=True):
            assert "\n".join(text for sign, text in lines if sign != "+") == before
            assert "\n".join(text for sign, text in lines if sign != "-") == after
            if before == after:
                assert all(sign == " " for sign, _ in lines)


def test_frames_are_read_however_they_are_cut(browser: Browser, server: Server) -> None:
    """A stream in pieces of any length gives the same frames."""
    stream = (
        ": connected\n\nretry: 2000\n\nid: evt_1_5\n\nid: evt_2_6\nevent: log:info\n"
        'data: {"a": "b: c"}\n\n: quiet\n\nevent: heartbeat\ndata: {}\n\nid: evt_3'
    )
    browser.open(server.base + "/")
    script = (
        "const { Frames } = await import('/page/stream.js'); const all = [];"
        "for (let n = 1; n <= given[0].length; n++) { const frames = new Frames(); const read = [];"
        "for (let at = 0; at < given[0].length; at += n)"
        "  read.push(...frames.push(given[0].slice(at, at + n)));"
        "all.push(read) } return all"
    )
    expected = [
        {"id": "evt_1_5"},
        {"id": "evt_2_6", "event": "log:info", "data": '{"a": "b: c"}'},
        {"event": "heartbeat", "data": "{}"},
    ]
    for read in browser.later(script, stream):
        assert read == expected
