"""
The stream as others read it: curl, a browser, Node, httpx-sse and a plain socket.

All of them read at once, each through a proxy of its own that cuts, some through nginx with its
default settings: first events one by one, then a flow of them, in which connections are cut
at any byte, and over a clean restart and a crash of the server.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from socket import AF_UNIX, socket
from tempfile import TemporaryDirectory
from typing import TypeGuard

import attrs
import pytest

from tests import real_readers
from tests.cutting_proxy import CuttingProxy
from tests.history import Told
from tests.real_readers import (
    CurlReader,
    HttpxReader,
    LoopingReader,
    Missing,
    Reader,
    SocketReader,
    missing_for_httpx,
    missing_for_node,
    missing_program,
)
from tests.succession import Succession
from tests.system import TIMEOUT
from tests.test_system_sessions import until

pytestmark = pytest.mark.timeout(600)

QUERY = "types=log:*,session:*&lastEventId=earliest"
LIVE = 8
CUTS = 3
ENOUGH = 5  # events, to show that a stream goes on

PLACE = re.compile(rb"\nid: (evt_\S+)\n\n")
"""A frame that tells a place and nothing else, as bytes of a connection."""

LANES: Mapping[tuple[str, str], Missing] = {
    ("curl", "keep-alive"): partial(missing_program, "curl"),
    ("curl", "http-1.0"): partial(missing_program, "curl"),
    ("curl", "nginx"): partial(missing_program, "curl", "nginx"),
    ("socket", "http-1.0"): missing_program,
    ("socket", "nginx"): partial(missing_program, "nginx"),
    ("chromium", "keep-alive"): partial(missing_program, "chromium"),
    ("chromium", "nginx"): partial(missing_program, "chromium", "nginx"),
    ("node", "keep-alive"): missing_for_node,
    ("node", "nginx"): partial(missing_for_node, "nginx"),
    ("httpx-sse", "keep-alive"): missing_for_httpx,
    ("httpx-sse", "nginx"): partial(missing_for_httpx, "nginx"),
}
"""Who reads, which way, and what tells whether something is missing for it."""

NGINX = """
daemon off;
{user}
pid {home}/pid;
error_log {home}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen unix:{home}/socket;
        location / {{
            proxy_pass http://127.0.0.1:{port};
        }}
    }}
}}
"""


@contextmanager
def nginx(home: Path, port: int) -> Iterator[Path]:
    """Run nginx in front of a port of loopback; gives the path of its unix socket."""
    configuration = home / "nginx.conf"
    # Its workers would be another user's processes, which need a token.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(NGINX.format(home=home, port=port, user=user), encoding="utf-8")
    command = ["nginx", "-e", str(home / "error.log"), "-c", str(configuration)]
    with (home / "said").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        path = home / "socket"
        until(lambda: process.poll() is not None or answers(path))
        assert process.poll() is None, (home / "said").read_text()
        yield path
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket."""
    with socket(AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


@attrs.define
class Lane:
    """
    One reader on its way.

    :ivar front: What it connects to.
    :ivar trouble: What it did not see that it should have.
    """

    name: tuple[str, str]
    front: CuttingProxy
    reader: Reader
    trouble: str | None = None

    def expect(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait until it has seen something, unless there was trouble already."""
        if self.trouble is None and not self.reader.until(condition):
            seen = [(event.id, event.type) for event in self.reader.events[-3:]]
            self.trouble = f"{what}: not seen; last of {len(self.reader.events)}: {seen}"

    @property
    def heads(self) -> list[str]:
        """The heads of the requests that it has made."""
        return [head.decode("latin-1").lower() for head in self.front.heads]


class Journey:
    """
    What all readers see together.

    :ivar lanes: By name, those that can run here.
    :ivar log: All events there were in the end.
    """

    def __init__(self, directory: Path, names: list[tuple[str, str]]) -> None:
        self._chance = random.Random(8)
        self._directory = directory
        self._names = names
        self._exit = ExitStack()
        self._upper: CuttingProxy | None = None
        self._straight: list[CuttingProxy] = []
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.log: list[Told] = []

    def run(self) -> None:
        """Make it, from start to end."""
        with self._exit:
            place = self._exit.enter_context(Succession(self._directory / "home", self._lead))
            self._open(place)
            self._tell_one_by_one(place)
            place.order("flow 1 0.02 0")
            for _ in range(CUTS):
                self._go_on_after(self._cut)
            self._go_on_after(self._cut_above)
            for crash in (False, True):
                self._go_on_after(lambda crash=crash: place.restart(crash=crash))
            place.end()
            for lane in self.lanes.values():
                lane.expect("the end", lambda lane=lane: ends(lane.reader))
            self.log = place.log()

    def _lead(self, port: int | None) -> None:
        for proxy in (*self._straight, *([self._upper] if self._upper else [])):
            proxy.target = port

    # Setting it up, in the order in which it is taken down again

    def _open(self, place: Succession) -> None:
        self._fronts = {name: self._front(name[1]) for name in self._names}
        self._lead(place.port())
        urls = {
            name: f"http://127.0.0.1:{front.port}/api/events?{QUERY}"
            for name, front in self._fronts.items()
        }
        for name, reader in self._readers(urls):
            self.lanes[name] = Lane(name, self._fronts[name], reader)
        self._exit.callback(self._close)

    def _front(self, way: str) -> CuttingProxy:
        front = self._exit.enter_context(CuttingProxy())
        if way != "nginx":
            self._straight.append(front)
            return front
        if self._upper is None:
            self._upper = self._exit.enter_context(CuttingProxy())
            home = Path(self._exit.enter_context(TemporaryDirectory(prefix="loki-")))
            self._socket = self._exit.enter_context(nginx(home, self._upper.port))
        front.target = str(self._socket)
        return front

    def _readers(
        self, urls: Mapping[tuple[str, str], str]
    ) -> Iterator[tuple[tuple[str, str], Reader]]:
        for name, url in urls.items():
            match name:
                case ("curl", way):
                    yield name, CurlReader(url, *(["--http1.0"] if way == "http-1.0" else []))
                case ("socket", _):
                    yield name, SocketReader(url)
                case ("httpx-sse", _):
                    yield name, HttpxReader(url)
        for program, context in (
            ("node", real_readers.node),
            ("chromium", partial(real_readers.chromium, self._directory / "chromium")),
        ):
            streams = {way: url for (who, way), url in urls.items() if who == program}
            if streams:
                readers = self._exit.enter_context(context(streams))
                yield from (((program, way), reader) for way, reader in readers.items())

    def _close(self) -> None:
        looping = [each.reader for each in self.lanes.values() if is_looping(each.reader)]
        for reader in looping:
            reader.over.set()
        for front in self._fronts.values():
            front.target = None
            front.cut()
        for reader in looping:
            reader.join()

    # What happens

    def _tell_one_by_one(self, place: Succession) -> None:
        """Each event is told only when all have seen the one before."""
        for number in range(LIVE):
            place.order(f"say live {number}")
            for lane in self.lanes.values():
                lane.expect(f"live {number}", lambda lane=lane, n=number: has_live(lane.reader, n))

    def _go_on_after(self, break_: Callable[[], object]) -> None:
        """Something breaks, and everyone comes back and goes on."""
        before = {name: len(lane.heads) for name, lane in self.lanes.items()}
        break_()
        for name, lane in self.lanes.items():
            lane.expect("back", lambda lane=lane, count=before[name]: len(lane.heads) > count)
            enough = len(lane.reader.told) + ENOUGH
            lane.expect("on", lambda lane=lane, n=enough: len(lane.reader.told) >= n)

    def _cut(self) -> None:
        """Cut each reader's connection at some byte."""
        for lane in self.lanes.values():
            lane.front.cut(self._chance.randint(0, 2000), resets=self._chance.random() < 0.5)

    def _cut_above(self) -> None:
        """Cut the connections of nginx to the server, and those of the others once more."""
        if self._upper is not None:
            self._upper.cut(self._chance.randint(0, 2000))
        for front in self._straight:
            front.cut()


def is_looping(reader: Reader) -> TypeGuard[LoopingReader]:
    """Whether it is one that a loop brings back."""
    return isinstance(reader, LoopingReader)


def has_live(reader: Reader, number: int) -> bool:
    """Whether it has seen a line of those that are told one by one."""
    told = reader.told
    return bool(told) and told[-1].data.get("message") == f"live {number}"


def ends(reader: Reader) -> bool:
    """Whether it has seen the end of the session."""
    told = reader.told
    return bool(told) and told[-1].type == "session:completed"


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The journey of all readers that can run here."""
    names = [name for name in LANES if LANES[name]() is None]
    made = Journey(tmp_path_factory.mktemp("journey"), names)
    made.run()
    return made


@pytest.fixture(params=LANES, ids=" by ".join)
def lane(request: pytest.FixtureRequest, journey: Journey) -> Lane:
    """One of them, without trouble."""
    missing = LANES[request.param]()
    if missing:
        pytest.skip(missing)
    found = journey.lanes[request.param]
    assert found.trouble is None
    return found


def test_it_saw_each_event_once(lane: Lane, journey: Journey) -> None:
    """Live events came one by one; over cuts and restarts the whole is the log's sequence."""
    expected = [told for told in journey.log if told.type.startswith(("log:", "session:"))]
    assert len(expected) > LIVE + ENOUGH * (CUTS + 3)
    assert [event.id for event in lane.reader.told] == [told.id for told in expected]
    assert [event.event for event in lane.reader.told] == [
        json.loads(told.frame.partition(b"\ndata: ")[2]) for told in expected
    ]


def test_it_came_back_by_the_last_id(lane: Lane, journey: Journey) -> None:
    """
    Each time it asked for what follows the last event that it had seen, and was not reset.

    By itself, but where nginx said that the server was away: from an error no browser returns.
    """
    first, *others = lane.heads
    assert "last-event-id" not in first
    assert len(others) >= CUTS + 3
    ids = {event.id for event in lane.reader.told}
    for head in others:
        asked = re.search(r"(?:last-event-id: |lasteventid=)(evt\S+)", head)
        assert asked, head
        assert asked[1] in ids
    assert "stream:reset" not in {event.type for event in lane.reader.events}
    assert not lane.reader.closed or lane.name[1] == "nginx"


def test_a_browser_that_is_cut_before_its_first_event(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """It comes back to the place that the stream began with, and gets what happened meanwhile."""
    missing = missing_program("chromium")
    if missing:
        pytest.skip(missing)
    # Chromium makes a socket below it, whose path must not be longer than about 100 letters.
    tmp_path = tmp_path_factory.mktemp("cut")
    with ExitStack() as exits:
        front = exits.enter_context(CuttingProxy())
        place = exits.enter_context(Succession(tmp_path / "home"))
        front.target = place.port()
        streams = {"it": f"http://127.0.0.1:{front.port}/api/events?types=log:*"}
        running = real_readers.chromium(tmp_path / "chromium", streams)
        reader = exits.enter_context(running)["it"]
        until(lambda: any(PLACE.search(answer) for answer in front.answers))
        front.target = None
        front.cut()
        place.order("say meanwhile")
        place.server.wait_for(place.session_id, "log:info")
        assert reader.events == []
        front.target = place.port()
        place.order("say later")
        assert reader.until(lambda: len(reader.told) >= 2)
        assert [event.data["message"] for event in reader.told] == ["meanwhile", "later"]
        [begun] = {found[1] for answer in front.answers if (found := PLACE.search(answer))}
        assert b"\r\nLast-Event-ID: %b\r\n" % begun in front.heads[-1]


@pytest.mark.parametrize("way", ["keep-alive", "nginx"])
def test_a_page_of_another_origin(way: str, journey: Journey) -> None:
    """What the browser was let read, it was let read across origins."""
    missing = LANES["chromium", way]()
    if missing:
        pytest.skip(missing)
    lane = journey.lanes["chromium", way]
    for head in lane.heads:
        found = re.search(r"^origin: http://127\.0\.0\.1:(\d+)\r?$", head, re.MULTILINE)
        assert found
        assert int(found[1]) != lane.front.port
