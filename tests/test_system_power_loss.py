"""R2: what a server has told is there after a power loss, and nothing else than what happened."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from shutil import rmtree, which
from threading import Thread

import apsw
import attrs
import pytest

from loki_twisted.access.token_file import read_tokens
from loki_twisted.log import history, records
from loki_twisted.log.faults import Damaged
from loki_twisted.log.opening import Opened
from loki_twisted.model.errors import StorageRefused
from loki_twisted.model.filters import EVERYTHING
from loki_twisted.model.sessions import FINAL
from tests.figures import tell
from tests.history import history as history_of
from tests.log_support import frames, opened
from tests.power_loss import Operation, Told, crash, told, without_syncs
from tests.strace_records import Recording, recorded
from tests.system import TIMEOUT, Server, end_agents
from tests.test_system_sessions import HERE, install_runner, until

pytestmark = pytest.mark.skipif(which("strace") is None, reason="strace is missing")

_LOKICTL = "from loki_twisted.command.lokictl import main; main()"
_EVENT = re.compile(rb"^id: evt_(\d+)_", re.MULTILINE)
_STARTED = re.compile(rb'^HTTP/1\.1 201 .*?"sessionId":"([^"]+)"', re.MULTILINE | re.DOTALL)
_COMPLETED = re.compile(rb'event: session:completed\n.*"sessionId":"([^"]+)"')
_LOG = Path(".loki", "server", "log.db")


class Recorded(Server):
    """A server whose writes are recorded, from its start to its end."""

    def __init__(self, home: Path, trace: Path, *more: str) -> None:
        self._trace = trace
        # As a grandchild: so the child is the server itself, and is what signals go to.
        super().__init__(home, within=(*recorded(trace), *more, "-D"))

    def _end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        # What is recorded is on record when nothing of it runs any more.
        self._process.wait(TIMEOUT)
        end_agents()
        return super()._end(number)


@attrs.frozen
class Run:
    """
    What servers did with a data directory, and what had happened in the end.

    :ivar frames: Of all events, from the first on.
    """

    home: Path
    operations: Sequence[Operation]
    frames: Sequence[bytes]


def record(home: Path, traces: Path, lines: int, syncs: int) -> Run:
    """
    Run two servers: one cannot sync any more and is killed then, the other one ends in order.

    :param lines: Of each of the agents of the second.
    :param syncs: How many of the first one succeed.
    """
    program = HERE / "standins" / "counting.py"
    install_runner(home, f"exec '{sys.executable}' '{program}' \"$(cat until)\" 0.005 0")
    for name, until_when in {"endless": "never", "one": lines, "two": lines}.items():
        (home / name).mkdir()
        (home / name / "until").write_text(str(until_when))
    failing = ("-e", f"inject=fdatasync:error=EIO:when={syncs + 1}+")
    with Recorded(home, traces / "first", *failing) as server:
        reader = Thread(target=list, args=(server.stream(),))
        reader.start()
        server.start(projectDir="endless")
        until(lambda: server.request("GET", "/health/ready").status == 503)
        server.kill()
        reader.join(TIMEOUT)
    with Recorded(home, traces / "second") as server:
        list(history_of(server))
        for session_id in [server.start(projectDir=name) for name in ("one", "two")]:
            server.until_end(session_id)
        server.stop()
    recording = Recording(home)
    for name in ("first", "second"):
        recording.read(traces / name)
    with opened(home / _LOG) as log:
        return Run(home, recording.operations, frames_of(log))


class Violation(AssertionError):
    """A promise that was not kept."""


def check(run: Run, said: bytes, place: Path) -> None:
    """
    Open the log that is left, and compare it with what happened and what was told.

    :raises Violation: if something is missing that was told, or is there that did not happen.
    """
    newest = newest_of(said)
    started = {each.decode() for each in _STARTED.findall(said)}
    if not (place / _LOG.parent).is_dir():
        if newest or started:
            raise Violation("its directory is lost")
        return
    try:
        with opened(place / _LOG) as log:
            if log.notices or log.connection.pragma("integrity_check") != "ok":
                raise Violation(log.notices)
            there = frames_of(log)
            sessions = {each.id: each for each in records.sessions(log.connection, -1, 0)}
    except (Damaged, apsw.Error, StorageRefused) as error:
        raise Violation(error) from error
    if len(there) < newest:
        raise Violation(f"{newest} was told, {len(there)} is there")
    if there != run.frames[: len(there)]:
        raise Violation("there is what never happened")
    if not started <= sessions.keys():
        raise Violation(f"{started - sessions.keys()} were told of")
    for frame in there:
        found = _COMPLETED.search(frame)
        if found and sessions[found[1].decode()].status not in FINAL:
            raise Violation(f"{found[1]!r} has ended, and its row says that it has not")


def newest_of(said: bytes) -> int:
    """The number of the newest event that was told, or 0."""
    return max(map(int, _EVENT.findall(said)), default=0)


def frames_of(log: Opened) -> list[bytes]:
    """All events of a log."""
    found: list[bytes] = []
    after = 0
    while after < log.bounds.newest:
        page = history.read(log.connection, after, log.bounds.newest, EVERYTHING, 2**20)
        found += frames(page.blocks, EVERYTHING, after)
        after = page.reached
    return found


def losses(
    run: Run, places: Path, number: int, change: Callable[[list[Operation]], list[Operation]] = list
) -> Iterator[tuple[Path, bytes]]:
    """
    Lose the power so many times.

    :param change: What is made of the operations before.
    :returns: What is left each time, and what was told before.
    """
    chance = Random(2)
    for index in range(number):
        before = list(run.operations[: chance.randint(1, len(run.operations))])
        place = places / str(index)
        place.mkdir()
        crash(change(before), chance).restore(str(run.home), place)
        yield place, told(before)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, is_full: bool) -> Run:
    """What is recorded once for all of these tests."""
    home = tmp_path_factory.mktemp("home")
    lines, syncs = (500, 200) if is_full else (30, 40)
    return record(home, tmp_path_factory.mktemp("traces"), lines, syncs)


@pytest.mark.promise("R2")
@pytest.mark.timeout(3600)
def test_r2_what_was_told_outlives_a_power_loss(
    run: Run, tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Wherever the power is lost, and whatever was not synced with it, the log is the beginning of
    what happened, and has all that was told; also where a sync had failed before.
    """
    number = 1000 if is_full else 40
    lengths = set()
    for place, said in losses(run, tmp_path, number):
        check(run, said, place)
        lengths.add(newest_of(said))
        rmtree(place)
    assert len(lengths) > 10
    if is_full:
        many = len(run.operations)
        tell(
            capsys,
            f"{number} power losses among {many} operations, {len(run.frames)} events: 0 bad",
        )


@pytest.mark.promise("R2")
def test_r2_without_syncs_something_is_lost(run: Run, tmp_path: Path) -> None:
    """The check finds what is wrong where syncs do nothing."""
    bad = 0
    for place, said in losses(run, tmp_path, 10, without_syncs):
        try:
            check(run, said, place)
        except Violation:
            bad += 1
    assert bad  # seven of ten, or so: what is lost depends on what was recorded


@pytest.mark.promise("R2")
@pytest.mark.timeout(3600)
def test_r2_a_server_starts_after_a_power_loss(
    run: Run, tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that finds what a power loss has left is ready, and tells what was told before."""
    number = 100 if is_full else 1
    slowest = 0.0
    for place, said in losses(run, tmp_path, number):
        install_runner(place, "exit 0")
        began = time.monotonic()
        with Server(place) as server:
            slowest = max(slowest, time.monotonic() - began)
            assert server.get("/health/ready") == {"ready": True}
            there = [each.frame for each in history_of(server)]
        known = [frame.rstrip(b"\n") for frame in run.frames[: newest_of(said)]]
        assert there[: len(known)] == known
    if is_full:
        tell(capsys, f"{number} servers after power losses: ready after {slowest:.2f} s at most")


@pytest.mark.promise("R2")
def test_r2_a_token_outlives_a_power_loss(tmp_path: Path, is_full: bool) -> None:
    """The file of tokens is never torn, and has each token from when it was shown to somebody."""
    home, traces = tmp_path / "home", tmp_path / "traces"
    home.mkdir()
    traces.mkdir()
    recording = Recording(home)
    path = home / "tokens"
    for name in ("one", "two"):
        lokictl = (sys.executable, "-c", _LOKICTL)
        command = (*lokictl, "token", "create", name, "--file", str(path))
        shown = subprocess.run(
            [*recorded(traces / name), *command],
            check=True, capture_output=True, timeout=TIMEOUT,
        )  # fmt: skip
        assert shown.stdout
        recording.read(traces / name)
        recording.operations.append(Told(name.encode() + b"\n"))
    chance = Random(2)
    for index in range(200 if is_full else 40):
        before = recording.operations[: chance.randint(1, len(recording.operations))]
        place = tmp_path / str(index)
        place.mkdir()
        crash(before, chance).restore(str(home), place)
        left = place / "tokens"
        names = [each.name for each in read_tokens(str(left))] if left.exists() else []
        assert names == ["one", "two"][: len(names)]
        assert len(names) >= len(told(before).split())
