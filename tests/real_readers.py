"""
Readers of event streams that others have written, each reading one stream.

curl, a plain socket and httpx-sse are brought back by a loop as their users write it; Node's
``eventsource`` package and a browser's ``EventSource`` come back by themselves.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loki_twisted.model.events import EVENT_TYPES
from tests.plain_reader import PlainReader
from tests.system import TIMEOUT, StreamEvent
from tests.test_system_sessions import HERE, until

STANDINS = HERE / "standins"
TYPES = [*EVENT_TYPES, "stream:reset", "stream:bye"]
PAUSE_SECONDS = 0.2  # before one of the loops comes back

Missing = Callable[[], str | None]
"""Tells what is not there that a reader needs, or None."""


def missing_program(*names: str) -> str | None:
    """Tell which program is not installed, or None."""
    absent = [name for name in names if shutil.which(name) is None]
    return f"needs {' and '.join(absent)}" if absent else None


def node_modules() -> Path:
    """Where Node's packages for the tests are: where a variable says, or in the checkout."""
    return Path(os.environ.get("LOKI_TEST_NODE_MODULES", HERE.parent / "node_modules"))


def missing_for_node(*others: str) -> str | None:
    """Tell what Node's reader lacks, or which other program is not installed, or None."""
    found = node_modules()
    package = None if (found / "eventsource").is_dir() else f"needs eventsource in {found}"
    return missing_program("node", *others) or package


def missing_for_httpx(*others: str) -> str | None:
    """Tell whether httpx-sse is not installed, or which other program, or None."""
    package = None if importlib.util.find_spec("httpx_sse") else "needs httpx-sse"
    return missing_program(*others) or package


class Reader:
    """
    What a reader of one stream has seen, told by whatever thread it is read in.

    :ivar events: All that it has dispatched, in order.
    :ivar closed: How often it has given up for good.
    """

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []
        self.closed = 0
        self._news = threading.Condition()

    def saw(self, kind: str, event_id: str | None, data: str) -> None:
        """Note an event."""
        with self._news:
            self.events.append(StreamEvent(event_id or None, kind, json.loads(data)))
            self._news.notify_all()

    def note(self, seen: Mapping[str, str]) -> None:
        """Note what ``standins/watching.js`` tells."""
        if seen["kind"] == "event":
            self.saw(seen["type"], seen["id"], seen["data"])
        elif seen["kind"] == "closed":
            self.closed += 1

    def until(self, condition: Callable[[], bool]) -> bool:
        """Wait until something is so that an event makes so; gives whether it is."""
        with self._news:
            return self._news.wait_for(condition, TIMEOUT)

    @property
    def told(self) -> list[StreamEvent]:
        """The events of the log that it has seen."""
        return [event for event in self.events if not event.type.startswith("stream:")]


class LoopingReader(Reader):
    """
    A reader that is brought back by a loop, with the id of the last event that it has.

    :param url: Of the stream.
    :ivar over: Whether it is not to come back any more.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self.over.is_set():
            told = self.told
            self.read(told[-1].id if told else None)
            self.over.wait(PAUSE_SECONDS)

    def read(self, last_id: str | None) -> None:
        """Read one connection to its end."""
        raise NotImplementedError

    def take(self, frame: bytes) -> None:
        """Note a frame, if it is an event."""
        lines = [line.partition(": ") for line in frame.decode().split("\n")]
        fields = {name: value for name, _, value in lines}
        if "data" in fields:
            self.saw(fields["event"], fields.get("id"), fields["data"])

    def join(self) -> None:
        """Wait until it has ended; its connections have to be cut before."""
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()


class SocketReader(LoopingReader):
    """A plain socket that speaks HTTP/1.0."""

    def read(self, last_id: str | None) -> None:
        """Read one connection to its end."""
        parts = urlsplit(self.url)
        assert parts.port is not None
        with closing(PlainReader(parts.port, parts.query, last_id, version="1.0")) as reader:
            while (frames := reader.read(None)) is not None:
                for frame in frames if reader.frames.status[9:12] == b"200" else ():
                    self.take(frame)


class CurlReader(LoopingReader):
    """
    curl.

    :param options: What it is given beside the usual.
    """

    def __init__(self, url: str, *options: str) -> None:
        self._options = options
        super().__init__(url)

    def read(self, last_id: str | None) -> None:
        """Run it once."""
        resume = [] if last_id is None else ["--header", f"Last-Event-ID: {last_id}"]
        command = ["curl", "--silent", "--fail", "--no-buffer", "--noproxy", "*", *self._options]
        with subprocess.Popen([*command, *resume, self.url], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            rest = b""
            while data := os.read(process.stdout.fileno(), 65_536):
                *frames, rest = (rest + data).split(b"\n\n")
                for frame in frames:
                    self.take(frame)


class HttpxReader(LoopingReader):
    """httpx-sse."""

    def read(self, last_id: str | None) -> None:
        """Read one connection to its end."""
        import httpx
        import httpx_sse

        resume = {} if last_id is None else {"Last-Event-ID": last_id}
        patience = httpx.Timeout(TIMEOUT, read=None)
        try:
            with (
                httpx.Client(timeout=patience, trust_env=False) as client,
                httpx_sse.connect_sse(client, "GET", self.url, headers=resume) as source,
            ):
                for event in source.iter_sse():
                    if event.data:  # it makes events of comments and of ``retry`` too
                        self.saw(event.event, event.id, event.data)
        except (httpx.HTTPError, httpx_sse.SSEError):
            return


@contextmanager
def node(streams: Mapping[str, str]) -> Iterator[dict[str, Reader]]:
    """Have Node's ``eventsource`` package read streams, by name; gives a reader for each."""
    readers = {name: Reader() for name in streams}
    process = subprocess.Popen(
        ["node", str(STANDINS / "watching.js"), json.dumps({"streams": streams, "types": TYPES})],
        env={**os.environ, "NODE_PATH": str(node_modules())},
        stdout=subprocess.PIPE,
    )

    def listen() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                seen = json.loads(line)
                readers[seen["name"]].note(seen)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield readers
    finally:
        process.kill()
        process.wait(TIMEOUT)
        thread.join(TIMEOUT)


CHROMIUM = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--no-proxy-server",
)


@contextmanager
def chromium(directory: Path, streams: Mapping[str, str]) -> Iterator[dict[str, Reader]]:
    """
    Have a page in headless Chromium read streams, by name; gives a reader for each.

    The page has an origin of its own: that of a small server here, to which it posts what it sees.

    :param directory: For what the browser writes. It is made.
    """
    readers = {name: Reader() for name in streams}
    handler = partial(_Pages, readers, {"streams": streams, "types": TYPES})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    page = f"http://127.0.0.1:{server.server_address[1]}/watching.html"
    directory.mkdir()
    with (directory / "said").open("wb") as said:
        browser = subprocess.Popen(
            [*CHROMIUM, f"--user-data-dir={directory / 'profile'}", page],
            env={**os.environ, "HOME": str(directory), "TMPDIR": str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield readers
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait(TIMEOUT)
        until(lambda: not processes_of(directory))
        server.shutdown()
        thread.join(TIMEOUT)
        server.server_close()


def processes_of(directory: Path) -> list[int]:
    """The processes whose command lines name a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if os.fsencode(directory) in path.read_bytes():
                found.append(int(path.parent.name))
    return found


class _Pages(BaseHTTPRequestHandler):
    """Serves the page, tells it what to watch, and takes what it saw."""

    def __init__(
        self, readers: Mapping[str, Reader], wanted: Mapping[str, Any], *arguments: Any
    ) -> None:
        self._readers = readers
        self._wanted = wanted
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Serve."""
        name = self.path.lstrip("/")
        if name == "wanted":
            self._answer("application/json", json.dumps(self._wanted).encode())
        elif name in ("watching.html", "watching.js"):
            kind = "text/html" if name.endswith("html") else "text/javascript"
            self._answer(kind, (STANDINS / name).read_bytes())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Take what was seen."""
        seen: Sequence[Mapping[str, str]] = json.loads(
            self.rfile.read(int(self.headers["Content-Length"]))
        )
        for each in seen:
            self._readers[each["name"]].note(each)
        self._answer("text/plain", b"")

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
