"""Damage that a start meets behind the opening of its log, however the server is started."""

from __future__ import annotations

import http.client
import json
import re
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted
import treq
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor
from twisted.internet.task import deferLater

from loki_twisted.service import Service
from loki_twisted.settings import Settings
from tests.log_support import connect
from tests.system import TIMEOUT, Server
from tests.test_system_manager import TWISTD, Program
from tests.test_system_sessions import install_runner

TOKEN = "a-token-of-this-test"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a log in which the row of a session is damaged."""
    install_runner(tmp_path, "echo done")
    with Server(tmp_path) as server:
        server.until_end(server.start())
    with closing(connect(tmp_path / ".loki" / "server" / "log.db")) as connection:
        connection.execute("UPDATE sessions SET body = '{'")
    return tmp_path


@pytest.mark.promise("R16")
def test_twistd_begins_anew_within_its_start(home: Path) -> None:
    """Under twistd too it is put aside at once, and the server serves."""
    program = Program(home, *TWISTD)
    try:
        program.says("Listening on")
        said = program.said.read_text()
        assert said.count("Beginning anew.") == 1
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        assert found is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=TIMEOUT)
        with closing(connection):
            connection.request("GET", "/api/status")
            status = json.loads(connection.getresponse().read())
        assert any("was damaged" in each for each in status["problems"])
        assert len(list((home / ".loki" / "server").glob("log.db.corrupt-*[0-9]"))) == 1
    finally:
        program.process.terminate()
        program.process.wait(TIMEOUT)


@pytest.mark.promise("R16")
@pytest_twisted.ensureDeferred
async def test_a_service_begins_anew_behind_the_same_resource(home: Path) -> None:
    """What a program has mounted stays good: requests and reloads reach the new rooms."""
    settings = Settings(loki_dir=str(home), tokens=(TOKEN,))
    service = Service(settings, reactor, listening=False)
    resource, rooms = service.resource, service.rooms
    agent = RequestTraversalAgent(resource)
    client = HTTPClient(agent)
    service.startService()
    try:
        await service.ready
        assert service.resource is resource
        assert service.rooms is not rooms
        assert any("was damaged" in each for each in service.vitals.problems())
        await service.rooms.book.tell("", [], {"a place": "1"})
        for path in ("/api/sessions", "/health/ready", "/metrics"):
            asked = client.get(
                f"http://localhost{path}", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            agent.flush()
            answer = await asked.addTimeout(TIMEOUT, reactor)
            assert answer.code == 200, path
        commits = service.rooms.log.commits
        assert commits.count > 0
        count = f"loki_log_commit_duration_seconds_count {commits.count}.0"
        assert count in await treq.text_content(answer)
        service.reload()
        assert service.trouble is None
    finally:
        await service.stopService()
    assert service.phase == "stopped"


@pytest_twisted.ensureDeferred
async def test_a_service_that_is_stopped_meanwhile_ends(home: Path) -> None:
    """Who stops it while it starts, at whatever point, has it stopped, with its directory free."""
    for turns in range(0, 40, 5):
        place = shutil.copytree(
            home, home / f"of {turns} turns", ignore=shutil.ignore_patterns("of*", "agents")
        )
        service = Service(Settings(loki_dir=str(place)), reactor, listening=False)
        service.ready.addErrback(lambda _: None)
        service.startService()
        for _ in range(turns):
            await deferLater(reactor, 0.001)
        await service.stopService()
        assert service.phase == "stopped"
