"""The server inside somebody else's Twisted program: the example of the documentation, run."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest_twisted
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor

from loki_twisted.service import Service
from loki_twisted.settings import Settings
from tests.system import TIMEOUT

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "embedding.py"


def ask(address: str, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """One request to the program."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    try:
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest_twisted.ensureDeferred
async def test_nothing_is_told_before_it_is_known(tmp_path: Path) -> None:
    """A resource that is mounted before the service is ready answers 503, and probes honestly."""
    settings = Settings(loki_dir=str(tmp_path), tokens=("a-token-of-this-test",))
    service = Service(settings, reactor, listening=False)
    agent = RequestTraversalAgent(service.resource)
    client = HTTPClient(agent)

    async def status_of(path: str) -> int:
        token = {"Authorization": f"Bearer {settings.tokens[0]}"}
        asked = client.get(f"http://localhost{path}", headers=token)
        agent.flush()
        return (await asked).code

    assert await status_of("/api/sessions") == 503
    assert await status_of("/api/events") == 503
    assert await status_of("/health/ready") == 503
    assert await status_of("/health/live") == 200
    service.startService()
    await service.ready
    assert await status_of("/api/sessions") == 200
    assert await status_of("/health/ready") == 200
    both = [service.stopService(), service.stopService()]
    for each in both:
        await each
    assert await status_of("/api/sessions") == 503


NEVER_STOPPED = """
import sys
from twisted.internet import reactor
from loki_twisted import Service, Settings
service = Service(Settings(loki_dir=sys.argv[1]), reactor, listening=False)
service.startService()
service.ready.addCallback(lambda _: service.rooms.watcher.watch(sys.argv[1], {}))
service.ready.addBoth(lambda result: (print(result), reactor.stop()))
reactor.run()
"""


def test_a_program_that_never_stops_it(tmp_path: Path) -> None:
    """A program whose reactor has stopped ends, whatever the service was at."""
    (tmp_path / ".loki").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", NEVER_STOPPED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    """Our API answers under its prefix, the program's own page beside it, and an agent runs."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    with subprocess.Popen(
        [sys.executable, str(EXAMPLE), str(tmp_path)],
        env={**inherited, "LOKI_DEMO_SPEED": "50"},
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        url = urlsplit(program.stdout.readline().strip())
        assert ask(url.netloc, "GET", "/hello") == (200, b"hello\n")
        status, body = ask(url.netloc, "GET", url.path)
        assert (status, json.loads(body)["status"]) in ((200, "healthy"), (200, "degraded"))
        status, body = ask(url.netloc, "GET", "/agents/nonsense")
        assert (status, json.loads(body)["code"]) == (404, "NOT_FOUND")
        status, body = ask(url.netloc, "POST", "/agents/api/sessions", {"provider": "demo"})
        assert status == 201
        session_id = json.loads(body)["sessionId"]
        connection = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT)
        connection.request("GET", "/agents/api/events?lastEventId=earliest&types=session:*")
        response = connection.getresponse()
        for line in response:
            if line.startswith(b"event: session:completed"):
                break
        response.close()
        connection.close()
        status, body = ask(url.netloc, "GET", f"/agents/api/sessions/{session_id}")
        assert json.loads(body)["session"]["status"] == "completed"
        program.terminate()
        program.wait(TIMEOUT)
