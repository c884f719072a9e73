"""What agents say to whoever looks: whatever it is it is text, and stays in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browsers import PHONE, WIDE, Browser, recording
from tests.pages import clear
from tests.system import Server

HOSTILE = (
    '<img src="x" onerror="document.title = 1"><script>document.title = 2</script>',
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eright to left \x00 \x08",
)
ENDLESS = "endless" * 150_000
"""A megabyte without a place to break it."""

PILED = "Z" + "\u0300\u0321" * 2000
"""A letter with thousands of marks above and below it."""


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server without any session, before and after."""
    yield shared_server
    clear(shared_server)


def test_texts_of_agents_are_texts(browser: Browser, server: Server) -> None:
    """No markup of theirs is rendered, and no escape sequence obeyed: both can be seen."""
    text = "\n".join(HOSTILE)
    tell = {"type": "agent:output", "data": {"agentId": "main", "type": "demo", "kind": "text",
                                             "output": text}}  # fmt: skip
    ask = {"type": "input:requested", "data": {"prompt": HOSTILE[0], "options": [HOSTILE[0]]}}
    lines = [json.dumps(tell), json.dumps(ask)]
    recording(server.home / "hostile.jsonl", lines, end_ms=600_000)
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


def test_nothing_breaks_out_of_its_place(browser: Browser, server: Server) -> None:
    """A megabyte without a blank, letters with thousands of marks: no view gets wider or taller."""
    said = {"agentId": "main", "type": "demo", "kind": "text", "output": ENDLESS[:60_000]}
    task = {"taskId": "t1", "title": ENDLESS[:2000], "status": "running", "description": PILED}
    ask = {"prompt": ENDLESS[:3000] + PILED, "options": [ENDLESS[:300], "no"]}
    lines = [
        json.dumps({"type": "agent:output", "data": said}),
        json.dumps({"type": "task:started", "data": task}),
        json.dumps({"type": "phase:started", "data": {"phase": ENDLESS[:500]}}),
        ENDLESS,
        f"[WARN] [{ENDLESS[:300]}] {PILED}",
        json.dumps({"type": "input:requested", "data": ask}),
    ]
    recording(server.home / "endless.jsonl", lines, end_ms=600_000)
    session_id = server.start(provider="replay", prdPath="endless.jsonl")
    server.wait_for(session_id, "input:requested")
    browser.open(server.base + "/")
    here = f"#/session/{session_id}"
    views = {"#/": ".row", "#/inbox": ".question", here: ".turn.agent", f"{here}/log": ".log-line",
             f"{here}/tasks": ".task", f"{here}/timeline": ".stretch"}  # fmt: skip
    for size in (WIDE, PHONE):
        browser.size(*size)
        for place, selector in views.items():
            browser.go(place)
            browser.until(lambda selector=selector: browser.count(selector) > 0)
            assert too_wide(browser) == [], (place, size)
        browser.go(f"{here}/log")
        browser.until(lambda: browser.count(".log-line") > 1)
        heights = "[...document.querySelectorAll('.log-line')].map(each => each.offsetHeight)"
        assert set(browser.run(f"return {heights}")) == {22}
        browser.run("document.querySelector('.log-line').click()")
        browser.until(lambda: browser.count(".whole") == 1)
        assert too_wide(browser) == []


BOXES = "html, #main, .scroll, .asked, .question, .turns, .turn, .task, .row, .timeline, .whole"


def too_wide(browser: Browser) -> list[str]:
    """What holds more than fits into its width, by its class."""
    script = (
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter(each => each.scrollWidth > each.clientWidth + 1)"
        ".map(each => each.className || each.tagName)"
    )
    return list(browser.run(script, BOXES))


JOINED = "\u0627\u200c\u0628 \U0001f469\u200d\U0001f52c"
"""Two letters that are not to be joined, and two pictures that are."""

CLEANED = {
    "plain\ttext\n": "plain\ttext\n",
    "\x1b[1;31mred\x1b[0m": "\u241bred\u241b",
    "\x1b]0;title\x07after": "\u241bafter",
    "\x1b]8;;http://x\x1b\\link": "\u241blink",
    "\x1bPq#0\x1b\\x": "\u241bx",
    "\x1b": "\u241b",
    "a\x00b\x08c\x7fd": "a\u2400b\u2408c\u2421d",
    "one\r\ntwo\rthree": "one\ntwo\u240dthree",
    "\u202eevil\u2066": "\u2039U+202E\u203aevil\u2039U+2066\u203a",
    "a\u200bb\u2060c\U000e0041": "a\u2039U+200B\u203ab\u2039U+2060\u203ac\u2039U+E0041\u203a",
    JOINED: JOINED,
    "\x9b31mred": "\u2039U+009B\u203a31mred",
}


def test_what_is_hostile_is_made_visible(browser: Browser, server: Server) -> None:
    """Escape sequences, control characters and changes of direction are marks, and nothing else."""
    browser.open(server.base + "/")
    script = "const { clean } = await import('/page/text.js'); return given[0].map(clean)"
    assert browser.later(script, list(CLEANED)) == list(CLEANED.values())


SHAPES: tuple[object, ...] = (
    {"toString": 1, "valueOf": 2, "toJSON": 3, "length": -1e18},
    [[{"toString": 1}], "__proto__"],
    {"__proto__": {"toString": 1}, "constructor": None},
    5,
    True,
)
"""Values that are no texts; the first ones cannot be made to some by the language's own means."""


def test_values_of_any_shape_are_shown(browser: Browser, server: Server) -> None:
    """Where a text is expected an agent may have put anything: what it says else is there."""
    lines = []
    for number, shape in enumerate(SHAPES):
        names = ("output", "tool", "callId", "isError", "task", "message", "reason", "costOrigin")
        fields = dict.fromkeys(names, shape)
        given = dict.fromkeys(("file_path", "command", "todos", "edits", "patch", "content"), shape)
        calls = [{**fields, "kind": kind, "input": given} for kind in ("text", "thinking", shape)]
        calls += [{"kind": "tool_call", "tool": "T", "input": {name: shape}} for name in given]
        calls += [{"kind": "tool_call", "input": shape}, {**fields, "kind": "tool_result"}]
        task = {**fields, "taskId": f"t{number}", "title": f"task {number}", "error": shape}
        asked = dict.fromkeys(("tool", "arguments", "plan", "reason", "path", "x"), shape)
        for kind, data in (
            *(("agent:output", {"agentId": "main", "type": "demo", **call}) for call in calls),
            ("agent:failed", {**fields, "agentId": f"agent-{number}"}),
            ("phase:started", {**fields, "phase": f"phase-{number}", "progress": shape}),
            ("metrics:update", {**fields, "tokensUsed": 1 + number}),
            ("task:failed", task),
            ("input:requested", {**asked, "prompt": f"question {number}", "timeout": 600_000}),
        ):
            lines.append(json.dumps({"type": kind, "data": data}))
    recording(server.home / "shapes.jsonl", lines, end_ms=600_000)
    browser.open(server.base + "/")  # so that it hears all of them
    session_id = server.start(provider="replay", prdPath="shapes.jsonl")
    last = len(SHAPES) - 1
    server.until(session_id, lambda event: event.data.get("prompt") == f"question {last}")
    browser.sees(f"{len(SHAPES)} questions are open")
    here = f"#/session/{session_id}"
    for place, words in {
        "#/inbox": f"question {last}",
        here: f"agent-{last}",
        f"{here}/tasks": f"task {last}",
        f"{here}/timeline": f"phase-{last}",
        f"{here}/usage": "Cost is",
    }.items():
        browser.go(place)
        browser.sees(words, "main")
        browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
        browser.later("await new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        browser.sees(words, "main")
        assert browser.count("[role=alert]") == 0


def test_what_cannot_be_drawn_stays_alone(browser: Browser, server: Server) -> None:
    """An error of the page itself takes nothing with it that stands beside it, and is told."""
    browser.open(server.base + "/")
    script = (
        "const { html, render } = await import('/page/html.js');"
        "const { Guard } = await import('/page/parts.js');"
        "const Broken = () => { throw new Error('broken') };"
        "const box = document.createElement('div');"
        "render(html`<p>before</p><${Guard}><${Broken} /><//><p>behind</p>`, box);"
        "await new Promise(done => setTimeout(done, 100));"
        "return [...box.children].map(each => each.textContent)"
    )
    assert browser.later(script) == ["before", "This cannot be shown.", "behind"]
    assert "broken" in str(browser.complaints())


def test_no_text_takes_long(browser: Browser, server: Server) -> None:
    """What is cut off a text is found in a time that its length bounds, whatever it is made of."""
    browser.open(server.base + "/")
    script = (
        "const { promptOf } = await import('/page/parts.js');"
        "const { chomp } = await import('/page/text.js');"
        "const many = 1_000_000; const details = { arguments: {} };"
        "const long = [`${'{'.repeat(many)}x`, `${' '.repeat(many)}x`];"
        "const asked = [...long, 'Write {\"a\": {}} \\n', '{}'];"
        "const ended = [`${'\\n'.repeat(many)}x`, 'a\\n\\n', '\\n', ''];"
        "return [asked.map(prompt => promptOf({ prompt, details }).length),"
        "  promptOf({ prompt: 'Write {}' }), ended.map(each => chomp(each).length)]"
    )
    lengths = [[1_000_001, 1_000_001, len("Write"), 0], "Write {}", [1_000_001, 1, 0, 0]]
    assert browser.later(script) == lengths


def test_all_that_is_said_weighs_something(browser: Browser, server: Server) -> None:
    """Whatever part of it is long, and whatever it says of its length: what is kept is bounded."""
    browser.open(server.base + "/")
    script = (
        "const { SessionModel } = await import('/page/session_model.js');"
        "const { talk } = new SessionModel('session');"
        "const said = [{ output: 'x'.repeat(50_000) }, { input: { a: ['x'.repeat(50_000)] } },"
        "  { output: { length: -1e18, text: 'x'.repeat(50_000) } }];"
        "const most = [];"
        "for (const data of said) {"
        "  talk.reset([], false);"
        "  for (let seq = 1; seq <= 400; seq++) talk.append([{ seq, data }]);"
        "  most.push(talk.items.length);"
        "}"
        "return most"
    )
    assert all(100 < each < 200 for each in browser.later(script))


def test_what_is_long_is_drawn_in_part(browser: Browser, server: Server) -> None:
    """Of a text of nothing but marks and of a change of many lines: the rest by a click."""
    head = {"agentId": "main", "type": "demo"}
    marks = {**head, "kind": "text", "output": "`a`\n\n" * 1000}
    change = {"file_path": "a", "content": "\n" * 4999}
    edit = {"file_path": "b", "old_string": "a\n" * 400, "new_string": "b\n" * 400}
    lines = [
        json.dumps({"type": "agent:output", "data": data})
        for data in (
            marks,
            {**head, "kind": "tool_call", "tool": "Write", "input": change},
            {**head, "kind": "tool_call", "tool": "Edit", "input": edit},
        )
    ]
    recording(server.home / "long.jsonl", lines)
    session_id = server.start(provider="replay", prdPath="long.jsonl")
    server.until_end(session_id)
    browser.open(f"{server.base}/#/session/{session_id}")
    browser.sees("Edit", ".turns")
    assert browser.count(".turn.agent *") < 300
    assert browser.text(".turn.tool .plus") == "+5000"
    assert browser.count(".turn.tool .plus") == 1  # to compare the other takes longer
    browser.click("button", "Show all 5,000 characters")
    browser.until(lambda: browser.count(".turn.agent .prose p") == 1000)
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    browser.sees("+400", ".turns")
    assert browser.count(".diff .added, .diff .removed") == 2000 + 800
    browser.click("button", "Show all 5,000 lines")
    browser.until(lambda: browser.count(".diff .added, .diff .removed") == 5000 + 800)


def test_addresses_that_are_none(browser: Browser, server: Server) -> None:
    """Whatever stands behind the # is a view, or said to be no session; it is never obeyed."""
    browser.open(server.base + "/")
    browser.is_live()
    for session_id in ("..", "%2e%2e%2f", "<img src=x onerror=alert(1)>", "%", "session_1_aa"):
        browser.go(f"#/session/{session_id}")
        browser.sees("There is no such session" if session_id != "%" else "No session yet", "main")
        browser.go("#/inbox")
        browser.sees("Nothing waits for you")
    browser.go("#javascript:document.title=1")
    browser.sees("No session yet")
    assert browser.run("return document.title").endswith("Loki")


def test_a_theme_that_is_none(browser: Browser, server: Server) -> None:
    """What another server has left at the same address is no theme of ours."""
    browser.open(server.base + "/")
    browser.run("localStorage.setItem('loki-theme', '<garbage>')")
    browser.open(server.base + "/")
    browser.click("button", "Theme: auto. Switch to light.")
    browser.until(lambda: browser.element("button", "Theme: light."))
    browser.run("localStorage.removeItem('loki-theme')")


def test_a_label_of_any_length_leaves_room(browser: Browser, server: Server) -> None:
    """A button says the beginning of it, and stands beside the others."""
    ask = {"prompt": "Which?", "options": ["L" * 50_000, "no"]}
    line = json.dumps({"type": "input:requested", "data": ask})
    recording(server.home / "label.jsonl", [line], end_ms=600_000)
    session_id = server.start(provider="replay", prdPath="label.jsonl")
    server.wait_for(session_id, "input:requested")
    browser.open(f"{server.base}/#/inbox")
    browser.sees("no", ".answers")
    height = "return document.querySelector('.question').getBoundingClientRect().height"
    assert browser.run(height) < 400
    browser.click("button", "LLL")
    answered = server.until(session_id, lambda event: event.type == "input:answered")
    assert answered.data["answer"] == ["L" * 50_000]


def test_a_task_of_any_length_is_a_card(browser: Browser, server: Server) -> None:
    """Of its title, what it is about and its error the beginning is there; more by a click."""
    words = "word " * 4000
    task = {"taskId": "t", "title": words, "description": words, "error": words}
    line = json.dumps({"type": "task:failed", "data": task})
    recording(server.home / "task.jsonl", [line])
    session_id = server.start(provider="replay", prdPath="task.jsonl")
    server.until_end(session_id)
    browser.open(f"{server.base}/#/session/{session_id}/tasks")
    browser.sees("word", ".task .fault")
    height = "return document.querySelector('.task').getBoundingClientRect().height"
    assert browser.run(height) < 800
    browser.click("button", "Show all")
    browser.until(lambda: browser.run(height) > 2000)
