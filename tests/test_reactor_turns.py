"""How long a server's reactor is held, whoever reads at once."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from benchmarks.beat import Beat
from benchmarks.history_logs import build
from loki_twisted.service import Service
from loki_twisted.settings import Settings
from loki_twisted.web.event_lists import MOST_LISTS
from tests.figures import tell

LIST_EVENTS = 1_000
MOST_SECONDS = 0.02
"""For which the history may hold the reactor."""

READERS = r"""
import http.client, json, sys, threading

port, newest, count, with_streams = json.loads(sys.argv[1])
gate = threading.Barrier((3 if with_streams else 2) * count)
got = {"list": [], "scan": [], "stream": []}

def ask(target):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    gate.wait()
    connection.request("GET", target)
    return connection.getresponse()

def read_list(target, kind):
    answer = ask(target)
    got[kind].append(json.loads(answer.read())["count"] if answer.status == 200 else answer.status)

def read_stream():
    answer, events, end = ask("/api/events?lastEventId=earliest"), 0, b""
    while events < newest and (data := answer.read1(1 << 16)):
        events += (end + data).count(MARK)
        end = data[1 - len(MARK):]
    got["stream"].append(events)

MARK = b"\nevent: "
LISTS = "/api/events/history?limit=1000&after=earliest"
SCANS = "/api/events/history?limit=1000&types=input:requested,metrics:update"
threads = []
for _ in range(count):
    threads.append(threading.Thread(target=read_list, args=(LISTS, "list"), daemon=True))
    threads.append(threading.Thread(target=read_list, args=(SCANS, "scan"), daemon=True))
    if with_streams:
        threads.append(threading.Thread(target=read_stream, daemon=True))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(got))
"""


@attrs.frozen
class Figures:
    """
    How large it is.

    :ivar events: How many the log holds, each in a block of its own.
    :ivar readers: How many of each kind read at once.
    """

    events: int
    readers: int


@pytest.fixture
def spared() -> Iterator[None]:
    """Let the garbage collector spare what is there, as a server does from its start on."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def busiest(address: str, figures: Figures, *, with_streams: bool) -> float:
    """
    Have all be read at once, and see that all of them come whole.

    :returns: How many seconds of the processor the reactor's thread took between two ticks of a
        timer at most. That is a turn of the reactor, and a little more.
    """
    port = int(address.rpartition(":")[2])
    asked = json.dumps([port, figures.events, figures.readers, with_streams])
    beat = Beat()
    try:
        done = await deferToThread(
            subprocess.run, [sys.executable, "-c", READERS, asked], stdout=PIPE, check=True
        )
    finally:
        beat.stop()
    assert json.loads(done.stdout) == {
        "list": [LIST_EVENTS] * figures.readers,
        "scan": [(figures.events - 1) // 10_000] * figures.readers,
        "stream": [figures.events] * figures.readers * with_streams,
    }
    return beat.busy


@pytest.mark.promise("R27")
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("spared")
@pytest_twisted.ensureDeferred
async def test_the_reactor_is_never_held_for_long(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Long lists and scans that are asked for at once come whole, also beside streams of all there is.

    With the long figures: the reactor's thread is at lists and scans for 20 ms at a time at most.
    """
    figures = Figures(50_000, MOST_LISTS) if is_full else Figures(3_000, 4)
    data = tmp_path / "data"
    build(data, figures.events, 1)
    settings = Settings(
        loki_dir=str(tmp_path), data_dir=str(data), host="127.0.0.1", port=0, retain_events=None
    )
    service = Service(settings, reactor)
    service.startService()
    [address] = await service.ready
    try:
        alone = await busiest(address, figures, with_streams=False)
        beside = await busiest(address, figures, with_streams=True)
    finally:
        await service.stopService()
    if is_full:
        tell(capsys, f"busy for {alone * 1000:.1f} ms, beside streams {beside * 1000:.1f} ms")
        assert alone < MOST_SECONDS
