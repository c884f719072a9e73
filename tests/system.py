"""A server as a process of its own, and a plain client for it: what a user has, no more."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import attrs

from loki_twisted.agents.files import AgentFiles

_LISTENING = re.compile(r"http://127\.0\.0\.1:(\d+)")
TIMEOUT = 60


@attrs.frozen
class Answer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as the object that it is."""
        return json.loads(self.body)


@attrs.frozen
class StreamEvent:
    """One event of the stream, as a client sees it; ``id`` is None where the frame has none."""

    id: str | None
    type: str
    event: Any

    @property
    def data(self) -> Any:
        """What the event carries."""
        return self.event["data"]


HOMES: set[Path] = set()
"""Where servers of the test that runs have worked: agents outlive them, but not the test."""


def end_agents() -> None:
    """Have the keepers end that servers of this test have left."""
    for home in HOMES:
        end_agents_of(home)
    HOMES.clear()


def end_agents_of(home: Path) -> None:
    """Have the keepers end that servers of a directory have left."""
    for found in home.glob(".loki/server/agents/*"):
        files = AgentFiles(str(found))
        started = files.started()
        if started is not None and files.end() is None and started.keeper.is_there:
            os.kill(started.keeper.pid, signal.SIGTERM)


class Server:
    """
    ``loki serve`` on a free port of loopback, with a directory for its LOKI_DIR.

    :ivar base: The URL of the API.
    :ivar home: The directory.
    :ivar said: The lines of its standard error so far.
    """

    def __init__(
        self, home: Path, *options: str, within: Sequence[str] = (), **variables: str
    ) -> None:
        """
        Start it, and wait until it listens.

        :param within: A command that becomes the one that is given to it.
        """
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
        environment = {**inherited, "LOKI_DIR": str(home), **variables}
        self._home = home
        HOMES.add(home)
        self.home = home
        self._process = subprocess.Popen(
            [*within, sys.executable, "-m", "loki_twisted", "serve", "--port", "0", *options],
            cwd=home,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._port: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        try:
            self.port = self._read_port()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.base = f"http://127.0.0.1:{self.port}"

    def _listen(self) -> None:
        """Read all that the server says, to its end: a full pipe would stop it."""
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self.said.append(line)
                found = _LISTENING.search(line)
                if found and not self._port.qsize():
                    self._port.put(int(found[1]))
        self._port.put(None)

    def _read_port(self) -> int:
        port = self._port.get(timeout=TIMEOUT)
        if port is None:
            raise AssertionError(f"the server did not start: {self.said}")
        return port

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def kill(self) -> None:
        """End the server as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End the server as its operator does; gives its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        code = self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.poll() is None:
            self.kill()
        HOMES.add(self._home)  # it may have served more than one test, and have agents again

    def request(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Ask once, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            sent = dict(headers)
            data = None
            if body is not None:
                data = json.dumps(body)
                sent["Content-Type"] = "application/json"
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON of a page that is there."""
        answer = self.request("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def post(self, path: str, body: object = None, status: int = 200) -> Any:
        """The JSON of an order that is accepted."""
        answer = self.request("POST", path, body)
        assert answer.status == status, answer
        return answer.json

    def start(self, **wanted: object) -> str:
        """Start a session; gives its id."""
        return str(self.post("/api/sessions", wanted, 201)["sessionId"])

    def stream(self, query: str = "", **headers: str) -> Iterator[StreamEvent]:
        """Read the stream until the connection ends or the caller stops."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        connection.request("GET", f"/api/events?{query}", headers=headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        try:
            yield from _frames(response)
        finally:
            response.close()
            connection.close()

    def until_end(self, session_id: str, query: str = "lastEventId=earliest") -> list[StreamEvent]:
        """All events of a session up to its ending."""
        events = []
        for event in self.stream(f"sessionId={session_id}&{query}"):
            events.append(event)
            if event.type in ("session:completed", "session:failed", "session:stopped"):
                break
        return events

    def until(self, session_id: str, wanted: Callable[[StreamEvent], object]) -> StreamEvent:
        """The first event that is wanted, from the beginning of the session."""
        for event in self.stream(f"sessionId={session_id}&lastEventId=earliest"):
            if wanted(event):
                return event
        raise AssertionError("the stream ended before")

    def session(self, session_id: str) -> Any:
        """A session as it stands."""
        return self.get(f"/api/sessions/{session_id}")["session"]

    def wait_for(self, session_id: str, kind: str) -> StreamEvent:
        """The first event of a type that a session tells, from its beginning."""
        for event in self.stream(f"sessionId={session_id}&types={kind}&lastEventId=earliest"):
            return event
        raise AssertionError(f"the stream ended before {kind}")


def _frames(lines: http.client.HTTPResponse) -> Iterator[StreamEvent]:
    fields: dict[str, str] = {}
    while True:
        try:
            line = lines.readline().decode("utf-8")
        except ConnectionError:
            return
        if not line:
            return
        name, _, value = line.rstrip("\n").partition(": ")
        if line == "\n":
            if "data" in fields:
                yield StreamEvent(
                    fields.get("id"), fields.get("event", "message"), json.loads(fields["data"])
                )
            fields = {}
        elif name:
            fields[name] = value
