"""``loki serve`` and ``twistd loki`` as the programs that they are."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.error import CannotListenError

import loki_twisted
from loki_twisted.client import LokiClient
from loki_twisted.command.serve import hints, reason_not_started
from loki_twisted.log.schema import APPLICATION_ID, VERSION
from loki_twisted.model.errors import StorageRefused
from loki_twisted.settings import Settings

SERVE = ("-m", "loki_twisted", "serve")
TWISTD = ("-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "loki")
SECONDS = 60


class Server:
    """
    A server as a process, in a directory of its own.

    :ivar said: Its lines until it listened.
    """

    def __init__(self, home: Path, *words: str, **variables: str) -> None:
        self.said: list[str] = []
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LOKI_")}
        self.process = subprocess.Popen(
            [sys.executable, *words],
            cwd=home,
            env={**clean, "LOKI_DIR": str(home), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def address(self) -> str:
        """Where it listens, once it does."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(r"Listening on (\S+)", line)
            if found:
                return found[1]
        raise AssertionError(f"it does not listen: {self.said}")

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Wait for its end, after a signal; gives the exit code and what else it said."""
        if number is not None:
            self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server; what still runs after the test is killed."""
    servers: list[Server] = []

    def start(*words: str, **variables: str) -> Server:
        servers.append(Server(tmp_path, *words, **variables))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.terminate()
        server.process.communicate()


def is_alive(address: str) -> bool:
    with urllib.request.urlopen(f"{address}/health/live", timeout=SECONDS) as answer:
        return answer.status == 200


def ignored_signals(pid: int) -> str:
    """The signals that a process ignores, as the kernel writes them."""
    (line,) = re.findall(r"^SigIgn:\s*(\S+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return str(line)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_it_serves_until_it_is_told_to_end(start: Start, tmp_path: Path) -> None:
    """
    A server says where it listens and what is there, in plain lines, and ends in order.

    Meanwhile its port and its data are its own: a second server is refused in one line that
    says why, and changes nothing.
    """
    first = start(*SERVE, "--port", "0")
    address = first.address()
    port = address.rpartition(":")[2]
    assert first.said[-1].endswith(f"Listening on {address} (the page and the API)\n")
    assert is_alive(address)
    data = tmp_path / ".loki" / "server"
    files = sorted(data.rglob("*"))

    code, said = start(*SERVE, "--port", port, "--data-dir", "other").end()
    assert code == 1
    assert said.startswith(f"loki serve: Cannot listen on 127.0.0.1:{port}: Address already in use")
    assert f"by process {first.process.pid};" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "other").exists()

    code, said = start(*SERVE, "--port", "0").end()
    assert code == 1
    assert said.startswith("loki serve: ")
    assert str(data) in said
    assert said.count("\n") == 1

    assert is_alive(address)
    assert sorted(data.rglob("*")) == files
    code, said = first.end(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in said


def test_ctrl_c(start: Start) -> None:
    """SIGINT ends a server in order too; its lines are for people, without Twisted's."""
    server = start(*SERVE, "--port", "0")
    server.address()
    code, said = server.end(signal.SIGINT)

    assert code == 0
    for line in said.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (INFO|WARN) +", line), line
    assert "Site" not in said


@pytest_twisted.ensureDeferred
async def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    """A server on a unix socket is for its user alone; the client reaches it by its path."""
    path = os.path.relpath(tmp_path / "socket")
    server = start(*SERVE, "--listen", "unix:socket")
    address = server.address()
    mode = stat.S_IMODE((tmp_path / "socket").stat().st_mode)
    client = LokiClient(f"unix:{path}", reactor=reactor)
    try:
        assert (await client.live()).alive
    finally:
        await client.close()

    assert address == "unix:socket"
    assert mode == 0o600
    assert server.end(signal.SIGTERM)[0] == 0


@pytest.mark.threat("T7", "T-cfg1")
def test_others_are_kept_out(start: Start, tmp_path: Path) -> None:
    """A server that all could reach and that has no token does not start, and makes nothing."""
    code, said = start(*SERVE, "--host", "0.0.0.0", "--port", "0").end()

    assert code == 2
    assert said.startswith("loki serve: Refusing to listen on '0.0.0.0' without a token")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", [SERVE, TWISTD], ids=["loki serve", "twistd"])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--port", "0", "--data-dir", os.fsdecode(b"d\xff")), "its name is not UTF-8"),
        (("--listen", f"unix:{'x' * 200}"), "has more than 107 bytes"),
    ],
    ids=["data directory", "unix socket"],
)
def test_names_that_cannot_be(
    start: Start, program: tuple[str, ...], options: tuple[str, ...], reason: str
) -> None:
    """No other try makes them good: the exit code is 2, and one line says which it is."""
    code, said = start(*program, *options).end()

    assert code == 2
    (line,) = (line for line in said.splitlines() if reason in line)
    assert "Choose another" in line
    assert "Traceback" not in said


def test_nothing_is_there_to_speak_to(tmp_path: Path) -> None:
    """A server whose input, output and error are closed serves, and keeps their places free."""
    port = free_port()
    words = [sys.executable, *SERVE, "--port", str(port), "--data-dir", str(tmp_path)]
    # A process closes them for itself: subprocess puts something in their place.
    program = f"import os; os.closerange(0, 3); os.execv({words[0]!r}, {words!r})"
    server = subprocess.Popen([sys.executable, "-c", program])
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            with suppress(OSError):
                if is_alive(f"http://127.0.0.1:{port}"):
                    break
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        places = {os.readlink(f"/proc/{server.pid}/fd/{number}") for number in range(3)}
        assert places == {os.devnull}
        server.terminate()
        assert server.wait(SECONDS) == 0
    finally:
        server.kill()
        server.wait()


def test_data_that_is_no_directory(start: Start, tmp_path: Path) -> None:
    """Data that cannot be used is named in one line."""
    (tmp_path / "file").touch()
    code, said = start(*SERVE, "--port", "0", "--data-dir", "file").end()

    assert code == 1
    assert said.count("\n") == 1
    assert str(tmp_path / "file") in said


@pytest.mark.threat("T34", "T-perm")
@pytest.mark.parametrize("program", [SERVE, TWISTD])
def test_data_that_others_may_write(start: Start, tmp_path: Path, program: tuple[str, ...]) -> None:
    """The exit code is that of wrong options: no other try changes it, somebody has to."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o770)
    code, said = start(*program, "--port", "0", "--data-dir", "data").end()

    assert code == 2
    assert "chmod go-w" in said
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.promise("R16")
@pytest.mark.parametrize("program", [SERVE, TWISTD])
def test_a_log_of_a_newer_version(start: Start, tmp_path: Path, program: tuple[str, ...]) -> None:
    """It is left as it is, and the exit code tells that no other try changes that."""
    log = tmp_path / "data" / "log.db"
    log.parent.mkdir(0o700)
    with closing(apsw.Connection(str(log))) as connection:
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", VERSION + 1)
    before = log.read_bytes()

    code, said = start(*program, "--port", "0", "--data-dir", "data").end()

    assert code == 3
    assert "log.db is of a newer version. It was left as it is." in said
    assert "Traceback" not in said
    assert log.read_bytes() == before


def test_twistd(start: Start, tmp_path: Path) -> None:
    """Under twistd it serves the same, and ends with a code that is not 0 where it cannot."""
    server = start(*TWISTD, "--port", "0")
    address = server.address()
    assert is_alive(address)

    port = address.rpartition(":")[2]
    code, said = start(*TWISTD, "--port", port, "--data-dir", "other").end()
    assert code == 1
    assert f"twistd loki: Cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "Traceback" not in said
    assert not (tmp_path / "other").exists()

    assert is_alive(address)
    server.end(signal.SIGTERM)


def test_twistd_generates_tokens(start: Start) -> None:
    """A token is all that twistd prints when it is asked for one."""
    code, said = start(*TWISTD, "--generate-token").end()

    assert code == 0
    assert re.fullmatch(r"[\w-]{43}\n", said)


TELL = """
import gc, sys

def freeze(really=gc.freeze):
    really()
    print(gc.get_freeze_count(), "set aside", gc.isenabled(), file=sys.__stdout__, flush=True)

gc.freeze = freeze
"""
RUN = "import runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"


@pytest.mark.parametrize(
    "program",
    [("-c", TELL + RUN, "loki_twisted", "serve"), ("-c", TELL + TWISTD[1], *TWISTD[2:])],
    ids=["loki serve", "twistd"],
)
def test_what_is_there_at_the_start_is_not_collected(
    start: Start, program: tuple[str, ...]
) -> None:
    """
    The modules and all that they hold are set aside, and what was read, before the first request.

    What is made after them is collected.
    """
    server = start(*program, "--port", "0")
    assert is_alive(server.address())

    said = "".join(server.said)
    modules, all_of_it = map(int, re.findall(r"^(\d+) set aside", said, re.MULTILINE))
    assert 10_000 < modules < all_of_it
    assert f"{all_of_it} set aside True" in said


@pytest.mark.parametrize("program", [SERVE, TWISTD], ids=["loki serve", "twistd"])
def test_reload(start: Start, tmp_path: Path, program: tuple[str, ...]) -> None:
    """With --reload the server is started anew when its own source changes, on the same data."""
    package = tmp_path / "copy" / "loki_twisted"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(loki_twisted.__file__).parent, package, ignore=ignored)
    server = start(*program, "--reload", "--port", "0", PYTHONPATH=str(package.parent))
    assert is_alive(server.address())
    ignored_before = ignored_signals(server.process.pid)
    with (package / "command" / "__init__.py").open("a") as source:
        source.write("# changed\n")

    assert is_alive(server.address())
    assert ignored_signals(server.process.pid) == ignored_before
    server.process.send_signal(signal.SIGTERM)
    server.end()


def test_reasons() -> None:
    """Why a server did not start is one line, whatever it was."""
    reasons = [
        reason_not_started(StorageRefused("Held by\nanother server.")),
        reason_not_started(CannotListenError("", 80, PermissionError(13, "Permission denied"))),
        reason_not_started(CannotListenError("x", 80, OSError("unknown name"))),
        reason_not_started(PermissionError(13, "Permission denied", "/srv/x")),
        reason_not_started(CannotListenError(None, b"/run/x", PermissionError(13, "No"))),
        reason_not_started(CannotListenError(None, b"/run/x", "Cannot acquire lock")),
        reason_not_started(FileNotFoundError(2, "No such file", "77", None, b"/run/x.lock")),
        reason_not_started(ValueError("Unknown endpoint type: 'le'")),
    ]

    assert reasons == [
        "Held by another server.",
        "Cannot listen on *:80: Permission denied; choose another with --port.",
        "Cannot listen on x:80: unknown name; choose another with --port.",
        "Cannot start: /srv/x: Permission denied.",
        "Cannot listen on /run/x: Permission denied; choose another with --listen.",
        "Cannot listen on /run/x: another server listens there; choose another with --listen.",
        "Cannot start: /run/x.lock: No such file.",
        "Unknown endpoint type: 'le'",
    ]


def test_hints() -> None:
    """What is allowed but hardly meant is mentioned."""
    good, short = ("t" * 32,), ("secret",)

    assert list(hints(Settings(loki_dir="/"))) == []
    assert list(hints(Settings(loki_dir="/", tokens=good))) == []
    assert len(list(hints(Settings(loki_dir="/", tokens=short)))) == 1
    assert "secret" not in "".join(hints(Settings(loki_dir="/", tokens=short)))
    assert len(list(hints(Settings(loki_dir="/", tokens=good, auth=False)))) == 1
