"""R16: a server whose log was damaged while it was down, or is another's."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random

import attrs
import pytest

from tests.figures import tell
from tests.history import Told, history
from tests.log_support import connect
from tests.mutants import DAMAGES, REFUSED
from tests.system import Server
from tests.test_log_mutants import contents
from tests.test_system_server import refused
from tests.test_system_sessions import HERE, install_runner, until

MOST_READY_SECONDS = 5.0


@attrs.frozen
class Before:
    """
    What there was when the server was killed.

    :ivar files: Those of the log, put aside.
    :ivar told: All events.
    :ivar session_id: Of the agent that runs on.
    """

    home: Path
    files: Path
    told: list[Told]
    session_id: str
    pid: int

    @property
    def data(self) -> Path:
        """Where the log is kept."""
        return self.home / ".loki" / "server"

    def restore(self) -> Path:
        """Have the log as it was; gives its path."""
        for path in self.data.glob("log.db*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in self.files.iterdir():
            shutil.copy(path, self.data)
        return self.data / "log.db"


def leave_an_agent(home: Path, files: Path) -> Before:
    """Let an agent work, kill its server, and put the log aside as that leaves it."""
    install_runner(home, f"exec '{sys.executable}' '{HERE / 'standins' / 'counting.py'}' never 1 0")
    with Server(home) as server:
        session_id = server.start()
        server.wait_for(session_id, "log:info")
        pid = server.session(session_id)["pid"]
        told = list(history(server))
        server.kill()
    files.mkdir()
    for path in (home / ".loki" / "server").glob("log.db*"):
        shutil.copy(path, files)
    return Before(home, files, told, session_id, pid)


def check(before: Before, server: Server) -> str:
    """
    See that nothing wrong is told, and that the agent is ours again.

    :returns: What became of the log.
    """
    assert server.get("/health/ready") == {"ready": True}
    told = list(history(server))
    is_aside = bool(list(before.data.glob("log.db.corrupt-*")))
    problems = server.get("/api/status")["problems"]
    assert any("was damaged" in each for each in problems) == is_aside
    first = next(server.stream(**{"Last-Event-ID": before.told[-1].id}))
    assert (first.type == "stream:reset") == (before.told[-1].id not in {each.id for each in told})
    # Without its write-ahead log it is an earlier one, whose numbers are given again.
    known = {each.id: each.frame for each in before.told}
    assert all(each.frame == known.get(each.id, each.frame) for each in told)
    until(lambda: server.session(before.session_id)["status"] == "running")
    assert server.session(before.session_id)["pid"] == before.pid
    return "put aside" if is_aside else "used on"


def became_of(before: Before) -> tuple[str, float]:
    """
    Start a server, and check it. If it meets damage only when it works, the next one is checked.

    :returns: What became of the log, and how long the start took.
    """
    began = time.monotonic()
    with Server(before.home) as server:
        took = time.monotonic() - began
        try:
            what = check(before, server)
        except AssertionError:
            # It has said so; and the next one looks at all of it.
            if not (before.data / "log.db.suspect").exists():
                raise
        else:
            has_begun_anew = any("Beginning anew." in line for line in server.said)
            return f"{what} at the second try" if has_begun_anew else what, took
    with Server(before.home) as server:
        assert check(before, server) == "put aside"
    return "put aside later", took


@pytest.mark.promise("R16")
@pytest.mark.timeout(3600)
def test_r16_a_server_starts_on_any_log(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Whatever was done to its log, a server starts at once, tells nothing wrong and finds its agents,
    at the next start where it met the damage only when it worked; or it says that the log is not
    its own, and leaves it as it is. Clients are told of a new log.
    """
    home = tmp_path / "home"
    home.mkdir()
    before = leave_an_agent(home, tmp_path / "files")
    names = [*DAMAGES] if is_full else ["text", "lose_the_wal", "newer"]
    chance = Random(16)
    became: Counter[str] = Counter()
    slowest = 0.0
    for number in range(200 if is_full else len(names)):
        name = names[number % len(names)]
        path = before.restore()
        DAMAGES[name](path, chance)
        left = contents(before.data)
        if name in REFUSED:
            said = refused(home, "--port", "0")
            assert any(str(path) in line for line in said), (number, name, said)
            assert contents(before.data) == left
            became["refused"] += 1
            continue
        what, took = became_of(before)
        became[what] += 1
        slowest = max(slowest, took)
    assert min(became["refused"], became["put aside"]) > 0
    if is_full:
        tell(capsys, f"{dict(became)} of 200: ready after {slowest:.2f} s at most; wrong events: 0")
        assert slowest <= MOST_READY_SECONDS


@pytest.mark.promise("R16")
def test_r16_damage_that_a_start_meets(tmp_path: Path) -> None:
    """A server that meets damage behind the opening of its log begins anew, with its agents."""
    home = tmp_path / "home"
    home.mkdir()
    before = leave_an_agent(home, tmp_path / "files")
    with closing(connect(before.restore())) as connection:
        connection.execute("UPDATE sessions SET body = '{'")

    what, _ = became_of(before)

    assert what == "put aside at the second try"
    [aside] = before.data.glob("log.db.corrupt-*[0-9]")
    with closing(connect(aside)) as connection:
        assert connection.execute("SELECT body FROM sessions").get == "{"
