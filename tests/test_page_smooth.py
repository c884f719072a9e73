"""How the page keeps up with what happens: what it draws and keeps; with ``--full`` how fast."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.browsers import Browser, chromium, recording
from tests.figures import tell
from tests.pages import clear
from tests.system import Server

MOST_BYTES = 150_000
"""Of all that is loaded, as it goes over the line."""

MOST_CPU_MS = 50
"""That one task of the page may take of the processor: what is longer is seen as a jerk."""

MOST_HEAP_BYTES = 100_000_000
MOST_GROWTH_BYTES = 8_000_000
GAP_MS = 5
"""Between two events of a busy agent: 200 a second."""

MOST_ELEMENTS = 2_500
MOST_ANNOUNCED = 5
"""Times that somebody who hears the page is told something by itself, while nothing is asked."""


pytestmark = pytest.mark.timeout(600)  # with --full it is followed for half a minute


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server without any session, before and after."""
    yield shared_server
    clear(shared_server)


@pytest.fixture
def traced(browser: Browser, is_full: bool, tmp_path: Path) -> Iterator[Browser]:
    """A browser; with ``--full`` one that writes down how long each of its tasks has taken."""
    if not is_full:
        yield browser
        return
    with chromium(tmp_path, traced=True) as running:
        yield running


def test_the_start_page_is_painted_at_once(
    browser: Browser, server: Server, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that is needed is asked for together; with ``--full`` it is painted within a second."""
    browser.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.open(server.base + "/")
    browser.is_live()
    paints = "return performance.getEntriesByType('paint').map(each => each.startTime)"
    times = browser.until(lambda: browser.run(paints))
    if is_full:
        tell(capsys, f"painted after {max(times):.0f} ms")
    assert not is_full or max(times) < 1000, times
    loaded = browser.run(
        "return performance.getEntriesByType('resource').filter(each => /page/.test(each.name))"
        ".map(each => each.initiatorType)"
    )
    assert set(loaded) <= {"link", "script", "img", "other", "css"}
    browser.later("await import('/page/vendor/uplot.js')")  # the charts come when they are needed
    carried = (
        "return [...performance.getEntriesByType('navigation'),"
        "  ...performance.getEntriesByType('resource').filter(each => /page/.test(each.name))]"
        ".map(each => each.transferSize)"
    )
    sizes = browser.run(carried)
    assert min(sizes) > 0
    assert sum(sizes) < MOST_BYTES


def test_a_busy_session_stays_smooth(
    traced: Browser, server: Server, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    At 200 events a second what is drawn stays bounded, and the last one is seen.

    With ``--full`` no task of the page takes more than 50 ms of the processor.
    """
    browser = traced
    count = 4000 if is_full else 1000
    browser.open(server.base + "/")
    browser.is_live()
    session_id = server.start(provider="replay", prdPath=busy(server, count))
    browser.go(f"#/session/{session_id}")
    browser.sees("Message ", ".turns")
    browser.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.run(WATCH)
    begun = metric(browser, "Timestamp")
    while f"Message {count - 1}." not in "".join(browser.run(LAST_TURNS)):
        pass
    assert browser.run("return window.seen.announced") == []
    assert browser.count(".turns > *") < 700
    if is_full:
        check_tasks(browser, begun, capsys)
    numbers = (
        "return [...document.querySelectorAll('.turn.agent .prose')]"
        ".map(each => Number(/Message (\\d+)/.exec(each.textContent)[1]))"
    )
    browser.open(f"{server.base}/#/session/{session_id}")
    browser.sees(f"Message {count - 1}.", ".turns")
    browser.is_live()
    before = browser.run(numbers)
    # Not by its place, which moves while the view goes to the end.
    browser.run("document.querySelector('.turns > button').click()")
    browser.until(lambda: len(browser.run(numbers)) > len(before))
    first = browser.run(numbers)[0]
    assert first < before[0]
    assert browser.run(numbers) == list(range(first, count))


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
    recording(server.home / "busy.jsonl", lines, gap_ms=GAP_MS, end_ms=count * GAP_MS)
    return "busy.jsonl"


def test_a_long_log_that_grows(
    traced: Browser, server: Server, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Behind many lines, 200 more a second: what is kept, drawn and announced is bounded.

    With ``--full`` there are 100,000, no task of the page takes more than 50 ms of the processor,
    and what is on its heap grows no more.
    """
    before, after = (100_000, 6_000) if is_full else (24_000, 400)
    session_id = server.start(provider="replay", prdPath=growing(server, before, after))
    traced.open(f"{server.base}/#/session/{session_id}/log")
    traced.until(lambda: last_line(traced) >= before)
    kept = "return (await import('/page/store.js')).opened.value.log.items.length"
    while traced.later(kept) < 19_000:
        traced.later("await (await import('/page/store.js')).opened.value.earlierLog()")
    traced.run(WATCH)
    traced.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    begun = metric(traced, "Timestamp")
    heaps = [heap(traced)]
    while last_line(traced) < before + after - 1:
        if is_full:
            traced.later("await new Promise(done => setTimeout(done, 4000))")
            heaps.append(heap(traced))
    seen = traced.run("return window.seen")
    assert seen["elements"] < MOST_ELEMENTS
    assert len(seen["announced"]) <= MOST_ANNOUNCED, seen["announced"]
    assert 19_000 <= traced.later(kept) <= 22_000
    if is_full:
        tell(capsys, f"MB on the heap: {[round(each / 1e6, 1) for each in heaps]}")
        check_tasks(traced, begun, capsys)
        assert max(heaps) < MOST_HEAP_BYTES
        assert heaps[-1] - heaps[1] < MOST_GROWTH_BYTES


def check_tasks(browser: Browser, begun: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Tell how long tasks and frames have taken since a time, and make sure that none is long."""
    seen = browser.run("return window.seen")
    tasks = task_milliseconds(browser.driver.get_log("performance"), begun)
    tell(
        capsys,
        f"the longest tasks took {[round(each) for each in sorted(tasks)[-5:]]} ms of the "
        f"processor, of {len(tasks)}; by the clock {len(seen['long'])} were longer than 50 ms, "
        f"and {seen['slow']} of {seen['frames']} frames came later than that",
    )
    assert max(tasks) < MOST_CPU_MS


LAST_TURNS = (
    "return [...document.querySelectorAll('.turns > *')].slice(-3).map(each => each.textContent)"
)
WATCH = """
const seen = window.seen = { elements: 0, announced: [], long: [], slow: 0, frames: 0 };
const live = '[role=status], [role=alert], [aria-live=polite], [aria-live=assertive]';
new MutationObserver(changes => {
  seen.elements = Math.max(seen.elements, document.getElementsByTagName('*').length);
  const of = change => (change.target.closest ? change.target : change.target.parentElement);
  const told = changes.map(change => of(change)?.closest(live)).filter(Boolean);
  for (const each of told) seen.announced.push(each.className || each.textContent);
}).observe(document.body, { childList: true, characterData: true, subtree: true });
new PerformanceObserver(list => {
  for (const each of list.getEntries()) seen.long.push(Math.round(each.duration));
}).observe({ type: 'longtask' });
let last = performance.now();
const frame = now => {
  seen.frames += 1;
  if (now - last > 50) seen.slow += 1;
  last = now;
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
"""


def last_line(browser: Browser) -> int:
    """The number of the last line that is drawn."""
    script = "return [...document.querySelectorAll('.log-line .text')].at(-1)?.textContent ?? ''"
    return int(browser.run(script).rpartition(" ")[2] or -1)


def heap(browser: Browser) -> float:
    """The bytes on the heap of the page, without what is no longer used."""
    browser.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return metric(browser, "JSHeapUsedSize")


def metric(browser: Browser, name: str) -> float:
    """One of the figures that Chromium keeps of a page."""
    found = browser.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(each["value"] for each in found if each["name"] == name))


def task_milliseconds(entries: Sequence[dict[str, str]], begun: float) -> list[float]:
    """What each task of the page since a time has taken of the processor, by the trace in a log."""
    events = [json.loads(each["message"])["message"]["params"] for each in entries]
    main = {
        (each["pid"], each["tid"])
        for each in events
        if each.get("name") == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    return [
        each.get("tdur", 0) / 1000
        for each in events
        if each.get("name") == "ThreadControllerImpl::RunTask"
        and (each["pid"], each["tid"]) in main
        and each["ts"] > begun * 1e6
    ]


def growing(server: Server, before: int, after: int) -> str:
    """Make a recording of many lines at once, and more one by one; gives its name."""
    path = server.home / "growing.jsonl"
    lines = [f"[INFO] [growing] line {number}" for number in range(before + after)]
    recording(path, lines[:before], at_once=200)
    heading = path.read_text("utf-8").splitlines()[:-1]
    start_ms = before // 200 + 1000
    pieces = [
        {"kind": "piece", "atMs": start_ms + GAP_MS * n, "stream": "stdout", "text": f"{line}\n"}
        for n, line in enumerate(lines[before:])
    ]
    end = {"kind": "end", "atMs": start_ms + GAP_MS * after, "exitCode": 0}
    path.write_text("\n".join([*heading, *map(json.dumps, [*pieces, end]), ""]), "utf-8")
    return path.name
