"""What all tests share: how large the figures are, and hypothesis without chance."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
import pytest_twisted
from hypothesis import settings
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.browsers import WIDE, Browser, chromium, missing_for_browser
from tests.pages import page_server
from tests.system import Server, end_agents

# With the real programs of agents tests are run only where they are said to be: whoever has one
# of them installed for himself does not want it started by the suite of somebody else.
REAL_AGENTS = ("acp", "bridged", "claude", "codex", "opencode")
collect_ignore = (
    [] if os.environ.get("LOKI_TEST_AGENTS") else [f"test_real_{name}.py" for name in REAL_AGENTS]
)

# What is compiled is kept, whatever Python is told: else each of the workers compiles all tests,
# and each of the servers all of the package, which is more than a third of what its start costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

WORKERS = 5
LONG = tuple(
    f"test_{name}"
    for name in ("system", "page", "real", "schemathesis", "benchmarks", "command", "docs")
)
"""Beginnings of the names of files that start programs, or wait for some."""

# The same examples in every run: a test that fails by chance says nothing to whoever sees it.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("full", max_examples=2000, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know ``--full``."""
    parser.addoption("--full", action="store_true", help="run with the long figures (many minutes)")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the figures, and have files of tests begun in the order in which they are listed."""
    settings.load_profile("full" if config.getoption("--full") else "suite")
    config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """
    Import all tests, in each worker from another place on.

    All have to have them, and what one has compiled the others only load: in a new checkout
    that is two thirds of the work.
    """
    if os.environ.get("PYTEST_XDIST_WORKER_COUNT") != str(WORKERS):
        return
    worker = os.environ["PYTEST_XDIST_WORKER"]
    here = Path(__file__).parent
    names = sorted({each.name for each in here.glob("test_*.py")} - set(collect_ignore))
    first = len(names) * int(worker.removeprefix("gw")) // WORKERS
    for name in names[first:] + names[:first]:
        with suppress(Exception, pytest.skip.Exception):  # whatever is wrong is told by pytest
            import_module(f"tests.{name.removesuffix('.py')}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    List what takes long first, each file as one.

    Then it is short files that come last, and no worker is at work alone for long.
    """
    items.sort(key=lambda item: not item.path.name.startswith(LONG))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """
    Say how many files of tests are run at once.

    Most tests wait for something most of the time, so there are more of them than processors. The
    long figures are measured by themselves, and so is what is named.
    """
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return WORKERS if is_whole and not config.getoption("--full") else 0


@pytest.fixture(scope="session")
def is_full(request: pytest.FixtureRequest) -> bool:
    """Whether the long figures are wanted."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests."""
    missing = missing_for_browser()
    if missing:
        pytest.skip(missing)
    # Chromium makes a socket below it, whose path must not be longer than about 100 letters.
    with chromium(tmp_path_factory.mktemp("chrome")) as running:
        yield running


@pytest.fixture
def browser(chrome: Browser) -> Iterator[Browser]:
    """Give it with a single empty tab. Whatever the page complains of fails the test."""
    chrome.close_others()
    chrome.size(*WIDE)
    chrome.theme("light")
    chrome.complaints()
    yield chrome
    complaints = chrome.complaints()
    chrome.close_others()
    assert complaints == []


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of the page that need none of their own: it takes seconds to start."""
    with page_server(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_agents_are_left() -> Iterator[None]:
    """End what a test has left running under its servers."""
    yield
    end_agents()


@pytest.fixture(scope="module", autouse=True)
def _no_agents_are_left_of_shared_servers() -> Iterator[None]:
    """End what the servers of a whole file have left."""
    yield
    end_agents()


def _wait_in_the_running_reactor(_: TestCase, done: Deferred[object], **__: object) -> None:
    """
    Wait for an asynchronous test of trial's as pytest-twisted waits for its own.

    Trial would run the reactor for each test and crash it afterwards. That is the end of
    the greenlet in which pytest-twisted keeps it running, and of every test that follows.
    """
    pytest_twisted.blockon(done)


TestCase._wait = _wait_in_the_running_reactor
