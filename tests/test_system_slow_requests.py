"""R23: clients that send and take next to nothing, hundreds of them, beside one that works."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import time
from pathlib import Path

import attrs
import pytest

from tests.figures import tell
from tests.system import TIMEOUT, Server
from tests.test_system_sessions import install_runner

MOST_P99_SECONDS = 0.25
KINDS = {
    "headers": ("-H",),
    "bodies": ("-B", "-s", "100000", "-t", "POST"),
    "readers": ("-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"),
}
TARGETS = {
    "headers": "/api/status",
    "bodies": "/api/sessions",
    "readers": "/api/events/history?limit=1000&after=earliest",
}
MOST_SECONDS = {"headers": 15.0, "bodies": 35.0, "readers": 65.0}
"""After which nothing is left of them: their limit, a second's look, and what a refusal lingers."""


@attrs.frozen
class Attack:
    """
    What became of slow clients.

    :ivar answers: How long those of a client that works took meanwhile, sorted.
    :ivar gone: After how many seconds the last slow one was gone.
    """

    answers: list[float]
    gone: float


def attacked(server: Server, kind: str, count: int, seconds: int) -> Attack:
    """Have slow clients come, and work beside them until they are gone."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
    with subprocess.Popen(
        [
            *("slowhttptest", *KINDS[kind], "-c", str(count), "-r", "100", "-i", "5"),
            *("-l", str(seconds), "-p", "3", "-u", f"{server.base}{TARGETS[kind]}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as slow:
        answers = []
        began = time.monotonic()
        crowd = False
        while True:
            asked = time.monotonic()
            connection.request("GET", "/health/live")
            assert connection.getresponse().read()
            answers.append(time.monotonic() - asked)
            others = connections_of(server) - 1
            crowd = crowd or others >= count // 2
            if (crowd and not others) or slow.poll() is not None:
                break
            time.sleep(0.05)
        gone = time.monotonic() - began
        slow.terminate()
        slow.wait(TIMEOUT)
    connection.close()
    assert crowd
    return Attack(sorted(answers), gone)


def connections_of(server: Server) -> int:
    """How many clients a server has, as the kernel knows it."""
    port = f":{server.port:04X}"
    lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    rows = [line.split() for line in lines]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


@pytest.mark.promise("R23")
@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is missing")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_r23_slow_clients_go_and_disturb_nobody(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """
    A client that works is served beside crowds of slow ones, and the server can end.

    With the long figures: 200 of them are gone in their time, and the answers to it take no longer
    than a quarter of a second.
    """
    count, seconds = (200, 60) if is_full else (20, 2)
    if kind == "readers":
        install_runner(tmp_path, "head -c 8000000 /dev/zero | tr '\\0' x | fold -w 8000")
    with Server(tmp_path) as server:
        if kind == "readers":
            server.until_end(server.start(), "types=session:*&lastEventId=earliest")
        attack = attacked(server, kind, count, seconds)
        assert server.get("/health/ready") == {"ready": True}
        assert server.stop() == 0
        assert not [line for line in server.said if "Traceback" in line]
    if is_full:
        p99 = attack.answers[len(attack.answers) * 99 // 100]
        tell(
            capsys,
            f"{count} slow {kind}: gone after {attack.gone:.1f} s; {len(attack.answers)} answers "
            f"beside them, p99 {p99 * 1000:.1f} ms",
        )
        assert p99 <= MOST_P99_SECONDS
        assert attack.gone <= MOST_SECONDS[kind]
