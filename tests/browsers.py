"""Chromium, driven as a person would: what is clicked, typed and read."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.real_readers import missing_program, node_modules
from tests.system import TIMEOUT

T = TypeVar("T")

WIDE = (1280, 800)
PHONE = (390, 844)
CONTROL, DELETE, DOWN, ENTER = "\ue009", "\ue017", "\ue015", "\ue007"
ESCAPE, TABULATOR, UP = "\ue00c", "\ue004", "\ue013"
"""Keys, as WebDriver names them."""
ROOT_OF = "return document.querySelector(arguments[0])"

# Scripts and the policy of the page say on the console what they do not like.
_NOISE = ("Failed to load resource",)  # an answer that is no success, which tests provoke


def missing_for_browser() -> str | None:
    """Tell what is not installed of what drives Chromium, or None."""
    package = None if importlib.util.find_spec("selenium") else "needs selenium"
    return missing_program("chromium", "chromedriver") or package


def missing_for_axe() -> str | None:
    """Tell the same of axe-core too."""
    found = node_modules() / "axe-core" / "axe.min.js"
    return missing_for_browser() or (None if found.is_file() else f"needs axe-core in {found}")


class Browser:
    """
    A Chromium with one or more tabs.

    :param driver: Of selenium.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    # Where it is, and how it is seen

    def open(self, url: str) -> None:
        """Go to an address, and make sure that the document is a new one."""
        self.driver.get("about:blank")
        self.driver.get(url)

    def go(self, place: str) -> None:
        """Go to another view of the page, as a link does."""
        self.run("location.hash = arguments[0]", place)

    def size(self, width: int, height: int, *, scale: float = 1) -> None:
        """Be a screen of so many CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale}
        phone = {**metrics, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)

    def theme(self, scheme: str) -> None:
        """Prefer ``dark`` or ``light``."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def zone(self, name: str) -> None:
        """Have the clock of a place, like ``Asia/Kathmandu``; empty for that of the machine."""
        self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": name})

    def headers(self, **headers: str) -> None:
        """Send these with every request of the tab."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": headers})

    # What is seen

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script; gives what it returns."""
        return self.driver.execute_script(script, *arguments)

    def later(self, script: str, *arguments: object) -> Any:
        """Run an asynchronous script; gives what its promise comes to."""
        wrapped = (
            "const done = arguments[arguments.length - 1];"
            f"(async (...given) => {{ {script} }})(...[...arguments].slice(0, -1))"
            ".then(value => done({ value }), error => done({ error: String(error) }));"
        )
        outcome = self.driver.execute_async_script(wrapped, *arguments)
        assert "error" not in outcome, outcome
        return outcome.get("value")

    def text(self, selector: str = "body") -> str:
        """What stands there, as it is rendered; empty where nothing is."""
        found = "const it = document.querySelector(arguments[0]); return it ? it.innerText : ''"
        return str(self.run(found, selector))

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def until(self, condition: Callable[[], T]) -> T:
        """Wait until something is true of the page; gives it."""
        from selenium.common.exceptions import (
            ElementClickInterceptedException,
            StaleElementReferenceException,
        )
        from selenium.webdriver.support.ui import WebDriverWait

        moving = (ElementClickInterceptedException, StaleElementReferenceException)
        wait = WebDriverWait(self.driver, TIMEOUT, 0.05, ignored_exceptions=moving)
        return wait.until(lambda _: condition(), f"the page shows: {self.text()[:2000]}")

    def sees(self, words: str, selector: str = "body") -> None:
        """Wait until some words stand there."""
        try:
            self.until(lambda: words in self.text(selector))
        except Exception as error:
            raise AssertionError(f"no {words!r} in: {self.text(selector)[:2000]}") from error

    def sees_no(self, words: str, selector: str = "body") -> None:
        """Wait until some words stand there no more."""
        self.until(lambda: words not in self.text(selector))

    @property
    def link(self) -> str:
        """What the page says of how it hangs on the server."""
        return str(self.run("return document.querySelector('.mark')?.dataset.state ?? ''"))

    def is_live(self) -> None:
        """Wait until it says that it is live."""
        self.until(lambda: self.link == "live")

    def complaints(self) -> list[str]:
        """What scripts and the policy have said on the console since it was last asked."""
        told = [entry["message"] for entry in self.driver.get_log("browser")]
        return [each for each in told if not any(noise in each for noise in _NOISE)]

    # What is done

    def element(self, role: str, name: str) -> Any:
        """The visible element of a role with a name, as a screen reader finds it, or None."""
        tags = {"button": "button", "link": "a", "radio": "input", "checkbox": "input"}
        for found in self.driver.find_elements("css selector", tags.get(role, role)):
            if found.is_displayed() and found.accessible_name.strip().startswith(name):
                return found
        return None

    def click(self, role: str, name: str) -> None:
        """Click on it, once it is there and nothing that moves is in front of it."""

        def clicked() -> bool:
            element = self.element(role, name)
            if element is not None:
                element.click()
            return element is not None

        self.until(clicked)

    def confirm(self, name: str, again: str) -> None:
        """Click on a button that asks once more, and on what it asks: that is there for seconds."""
        self.until(lambda: self.element("button", name) or self.element("button", again))
        script = (
            "const find = name => [...document.querySelectorAll('button')]"
            ".find(each => each.innerText.trim().startsWith(name));"
            "while (!find(given[1])) {"
            "  find(given[0])?.click(); await new Promise(requestAnimationFrame) }"
            "find(given[1]).click()"
        )
        self.later(script, name, again)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field, instead of what is in it."""
        field = self.until(lambda: self.run(ROOT_OF, selector))
        field.send_keys(CONTROL + "a")
        field.send_keys(text or DELETE)

    def choose(self, selector: str, value: str) -> None:
        """Choose from a list."""
        script = (
            "const it = document.querySelector(arguments[0]); it.value = arguments[1];"
            "it.dispatchEvent(new Event('change', { bubbles: true }))"
        )
        self.run(script, selector, value)

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def tab(self) -> str:
        """Open another tab, and be there; gives the one where it was."""
        before = str(self.driver.current_window_handle)
        self.driver.switch_to.new_window("tab")
        return before

    def switch(self, tab: str) -> str:
        """Be in another tab; gives the one where it was."""
        before = str(self.driver.current_window_handle)
        self.driver.switch_to.window(tab)
        return before

    def close_others(self) -> None:
        """Close all tabs but one, which is left empty."""
        first, *others = self.driver.window_handles
        for each in others:
            self.driver.switch_to.window(each)
            self.driver.close()
        self.driver.switch_to.window(first)
        self.driver.get("about:blank")

    def picture(self, path: Path) -> None:
        """Keep what is seen as a PNG."""
        self.driver.save_screenshot(str(path))

    def axe(self, *rules: str) -> list[Mapping[str, Any]]:
        """What axe-core finds serious or critical in what is shown, by all rules or by some."""
        if not self.run("return 'axe' in window"):
            self.run((node_modules() / "axe-core" / "axe.min.js").read_text("utf-8"))
        chosen = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
        found = self.later("return await axe.run(document, given[0])", chosen)
        return [
            {"id": each["id"], "nodes": [node["html"][:200] for node in each["nodes"]][:5]}
            for each in found["violations"]
            if each["impact"] in {"serious", "critical"}
        ]


@contextmanager
def chromium(directory: Path, *, traced: bool = False) -> Iterator[Browser]:
    """
    Run a headless Chromium that keeps what it keeps in a directory.

    :param traced: Whether its log ``performance`` holds what its threads do.
    """
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for each in (
        "--headless=new",
        "--no-sandbox",  # CI is root
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-features=BackForwardCache",  # a page that was left has ended
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        f"--user-data-dir={directory / 'profile'}",
    ):
        options.add_argument(each)
    downloads = {
        "download.default_directory": str(directory),
        "download.prompt_for_download": False,
    }
    options.add_experimental_option("prefs", downloads)
    logs = {"browser": "ALL"}
    if traced:
        logs["performance"] = "ALL"
        wanted = {"enableNetwork": False, "enablePage": False, "traceCategories": "toplevel"}
        options.add_experimental_option("perfLoggingPrefs", wanted)
    options.set_capability("goog:loggingPrefs", logs)
    service = Service(shutil.which("chromedriver"))
    driver = Chrome(options=options, service=service)
    try:
        driver.set_script_timeout(TIMEOUT)
        browser = Browser(driver)
        browser.size(*WIDE)
        browser.theme("light")
        yield browser
    finally:
        driver.quit()


def recording(
    path: Path, lines: Sequence[str], *, end_ms: int = 0, at_once: int = 1, gap_ms: float = 1
) -> None:
    """
    Write a recording of an agent that speaks as the demo does.

    :param at_once: How many lines come together.
    :param gap_ms: How long after the ones before.
    """
    heading = {"version": 1, "drivenBy": "demo", "startedAt": "2026-11-26T00:00:00.000Z"}
    entries: list[object] = [{"kind": "loki", **heading}]
    for first in range(0, len(lines), at_once):
        text = "".join(f"{line}\n" for line in lines[first : first + at_once])
        at_ms = round(first // at_once * gap_ms)
        entries.append({"kind": "piece", "atMs": at_ms, "stream": "stdout", "text": text})
    entries.append({"kind": "end", "atMs": end_ms, "exitCode": 0})
    path.write_text("".join(json.dumps(each) + "\n" for each in entries), "utf-8")
