"""Every id that a client may come back with, from outside."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.history import Told
from tests.plain_reader import PlainReader
from tests.succession import Succession
from tests.wanted import FILTERS

LINES = 20
ORDER = 2  # events that tell of an order: it waits, and is delivered
EVENTS = 1 + ORDER + LINES  # the first one tells the session's start


def bytes_from(first: int, last: int, count: int) -> bytes:
    """Some bytes by chance, the same ones each time."""
    chance = random.Random(first)
    return b"x" + bytes(chance.randint(first, last) for _ in range(count - 2)) + b"x"


def print_some(place: Succession) -> list[Told]:
    """Have some lines printed, and wait until they are events; gives all there are."""
    place.order(f"flow {LINES} 1000 0")
    with closing(PlainReader(place.port(), "lastEventId=earliest")) as reader:
        for _ in zip(range(EVENTS), reader.events(), strict=False):
            pass
    return place.log()


@pytest.mark.promise("R6")
def test_every_last_event_id(tmp_path: Path) -> None:
    """
    From whichever event a client resumes, first or last, wanted or not, it gets what follows and
    nothing else, whether it was there already or comes later.
    """
    with Succession(tmp_path) as place:
        before = print_some(place)
        assert len(before) == EVENTS
        readers = [
            (wanted, told, PlainReader(place.port(), wanted.query, told.id))
            for wanted in FILTERS
            for told in before
        ]
        place.order("say the same to all")
        place.end()
        log = place.log()
        assert len(log) == EVENTS + 2 * (ORDER + 1)
        assert place.server.stop() == 0
        for wanted, told, reader in readers:
            with closing(reader):
                got = [frame for _, frame in reader.events()]
                assert got == [each.frame for each in wanted.of(log[told.number :])]
                assert reader.frames.ended


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Succession]:
    """A server with some events in its log, to which none are added."""
    with Succession(tmp_path_factory.mktemp("quiet")) as place:
        print_some(place)
        place.end()
        yield place


@pytest.mark.promise("R6")
@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (b"evt_999_1700000000000", "future"),
        (b"evt_999999999999999999_999999999999999999", "future"),
        (b"evt_1_999999999999999999", "unknown"),
        (b"evt_" + b"9" * 250 + b"_1", "future"),
        (b"evt_1_" + b"9" * 250, "unknown"),
        (b"evt_-1_1", "unknown"),
        (b"hb_1700000000000", "unknown"),
        (b"EARLIEST", "unknown"),
        (b"null", "unknown"),
        (b"evt_1_1\tevt_2_2", "unknown"),
        (bytes_from(0x21, 0x7E, 256), "unknown"),
        (bytes_from(0x80, 0xFF, 256), "unknown"),
        (bytes_from(0x21, 0x7E, 8000), "unknown"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_an_id_that_the_log_never_gave(quiet: Succession, asked: bytes, reason: str) -> None:
    """Whatever it is, the stream says why it cannot go on from it, and begins with the oldest."""
    log = quiet.log()
    readers = [PlainReader(quiet.port(), last_id=asked)]
    if len(asked) <= 256 and asked.isascii() and b"\t" not in asked:
        readers.append(PlainReader(quiet.port(), f"lastEventId={quote(asked.decode())}"))
    for reader in readers:
        with closing(reader):
            check_reset(reader, log, asked, reason)


def check_reset(reader: PlainReader, log: list[Told], asked: bytes, reason: str) -> None:
    """It is told of the reset first, then where it begins, then the whole log."""
    frames: list[bytes] = []
    while len(frames) < 2 + 2 + len(log):
        frames += reader.read(60) or [b"the end"]
    assert frames[:2] == [b": connected to loki-mode event stream", b"retry: 2000"]
    head, _, data = frames[2].partition(b"\ndata: ")
    assert head == b"event: stream:reset"
    told = json.loads(data)
    assert told.pop("asked") == asked[:64].decode("ascii", "replace").replace("\ufffd", "?")
    assert told == {"oldest": log[0].id, "newest": log[-1].id, "reason": reason}
    assert frames[3:] == [b"id: evt_0_0", *(told.frame for told in log)]
