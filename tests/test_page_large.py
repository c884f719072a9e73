"""The page with much to show, and its modules by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browsers import Browser, recording
from tests.pages import PATIENT
from tests.system import Server

LINES = 100_000
MOST_DRAWN = 400
"""So many lines are elements at most, however many there are."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of the file."""
    home = tmp_path_factory.mktemp("home")
    (home / "flood").mkdir()
    lines = [f"[{'ERROR' if n % 1000 == 0 else 'INFO'}] [flood] line {n}" for n in range(LINES)]
    recording(home / "flood" / "flood.jsonl", lines, at_once=200)
    with Server(home, **PATIENT) as running:
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
    oldest = "return (await import('/page/store.js')).opened.value.log.items[0].text"
    texts = "return (await import('/page/store.js')).opened.value.log.items.map(each => each.text)"
    first = LINES
    # A page that has lost its stream on a busy machine begins anew at the end.
    while first >= LINES - 21_000:  # then the end of the log was let go
        before = browser.later(oldest)
        browser.run(f"{box} box.scrollTop = 0")
        browser.until(lambda before=before: browser.later(oldest) != before)
        assert len(drawn(browser)) < MOST_DRAWN
        assert browser.later(kept) <= 20_000
        first = int(browser.later(oldest).split()[1])
        if first < LINES - 21_000:
            numbers = browser.later(texts)
            first = int(numbers[0].split()[1])
    assert numbers == [f"line {first + n}" for n in range(len(numbers))]
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


def test_patches(browser: Browser, server: Server) -> None:
    """A patch is known by its heads, and told line by line; far from changes little is shown."""
    browser.open(server.base + "/")
    patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    script = (
        "const { isPatch, linesOfPatch, near } = await import('/page/diff.js');"
        "return [given[0].map(isPatch), linesOfPatch(given[1]), near(given[2])]"
    )
    kinds = [patch, "@@ -3 +3 @@", "*** Begin Patch\n", "- a list\n+ and more", "a\n--\nb"]
    far = [[" ", str(n)] for n in range(20)]
    known, lines, shown = browser.later(script, kinds, patch, [*far, ["+", "new"], *far])
    assert known == [True, True, True, False, False]
    assert lines == [
        ["#", "diff --git a/x b/x"],
        ["#", "--- a/x"],
        ["#", "+++ b/x"],
        ["@", "@@ -1,2 +1,2 @@"],
        [" ", "one"],
        ["-", "two"],
        ["+", "2"],
        [" ", ""],
    ]
    gap = ["@", "\u22ef"]
    assert shown == [gap, *far[-3:], ["+", "new"], *far[:3], gap]


def test_what_a_session_is_told(browser: Browser, server: Server) -> None:
    """Of its own events alone, each where it belongs; no line below the level that was chosen."""
    browser.open(server.base + "/")
    told = [
        ("s", "log:info", {"message": "quiet"}),
        ("s", "log:warn", {"message": "loud"}),
        ("other", "log:error", {"message": "not ours"}),
        ("s", "agent:output", {"kind": "text", "output": "hello"}),
        ("s", "phase:started", {"phase": "planning"}),
        ("s", "session:updated", {"status": "running"}),
        ("s", "heartbeat", {}),
        *(("s", "metrics:update", {"tokensUsed": n, "cost": n / 100}) for n in range(5000)),
    ]
    script = (
        "const { SessionModel } = await import('/page/session_model.js');"
        "const model = new SessionModel('s'); model.early = null; model.level.value = 'warn';"
        "const events = given[0].map(([sessionId, type, data], n) => ({ sessionId, type, data,"
        "  id: `evt_${n + 1}_0`, timestamp: '2026-11-26T00:00:00.000Z' }));"
        "model.hear(events); model.hear(events.slice(-10));"
        "return [model.log.items.map(each => each.text), model.talk.items.map(each => each.type),"
        "  model.phases.value.map(each => each.data.phase),"
        "  model.points.value.map(each => each.cost)]"
    )
    log, talk, phases, costs = browser.later(script, told)
    assert log == ["loud"]
    assert talk == ["agent:output", "phase:started"]
    assert phases == ["planning"]
    assert costs == sorted(set(costs))
    assert 1000 < len(costs) <= 2500
    assert costs[-1] == 49.99


def test_what_is_kept_is_bounded(browser: Browser, server: Server) -> None:
    """Of what comes and of what is read before it: by count and by length, and in its order."""
    browser.open(server.base + "/")
    script = (
        "const { Window } = await import('/page/windows.js');"
        "const list = new Window(100, item => item.text.length, 1000); const seen = [];"
        "const item = (seq, length) => ({ seq, text: 'x'.repeat(length) });"
        "const look = () => seen.push([list.items.length, list.weight, list.first,"
        "  list.items[0].seq, list.items.at(-1).seq, list.detached]);"
        "for (let n = 1; n <= 500; n++) { list.append([item(1000 + n, 1)]); look() }"
        "for (let n = 1; n <= 50; n++) { list.append([item(2000 + n, 70)]); look() }"
        "for (let n = 1; n <= 10; n++) {"
        "  list.prepend([1, 2, 3].map(k => item(1000 - 3 * n + k, 150)), true); look() }"
        "return seen"
    )
    rows = browser.later(script)
    for count, weight, *_ in rows:
        assert count <= 110
        assert weight <= 1100
    assert rows[499][:5] == [
        rows[499][0],
        rows[499][0],
        500 - rows[499][0],
        1501 - rows[499][0],
        1500,
    ]
    assert [row[4] for row in rows[500:550]] == list(
        range(2001, 2051)
    )  # the newest is always there
    assert [row[3] for row in rows[550:]] == list(range(998, 970, -3))  # and so is what was read
    assert rows[-1][5]


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
