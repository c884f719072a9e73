"""
How long a server's reactor is held by whatever asks for as much as it may.

``python -m benchmarks.holds`` writes a state directory and a log into a temporary directory (a
minute, 200 MB) and prints what it measures; ``--json FILE`` writes it too, and ``--rst FILE`` for
the documentation.

Each operation is asked at its limits, one after the other, of a server with 1,000 sessions of 50
tasks, one with 10,000, one that asks 200 things, 100,000 events and 1,000 tokens. *Busy* is the
most processor time that the reactor's thread took in one go meanwhile: one turn, and a little
more. *Late* is how late a timer was, which on a busy machine is the fault of others too; *kept* is
the same without the time for which the system gave its thread no processor, so Python's lock and
the disk are in it. Each figure is the least of some repetitions: whoever shares the machine only
adds to it.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from benchmarks.beat import Beat
from benchmarks.history_logs import REACTOR, build
from benchmarks.history_tables import Row, Table, publish
from benchmarks.holds_requests import OTHERS, REQUESTS, Places
from benchmarks.state import make_project
from benchmarks.state_changer import session_name, tasks_of
from benchmarks.tasks import Worker
from benchmarks.trouble import Trouble
from loki_twisted.command.running import set_what_is_there_aside
from loki_twisted.service import Service
from loki_twisted.settings import Settings

SESSIONS: Final = 1_000
TASKS: Final = 50
LISTED_TASKS: Final = 10_000
EVENTS: Final = 100_000
PER_BLOCK: Final = 150
TOKENS: Final = 1_000
REPEATS: Final = 3
TOKEN: Final = "not-a-secret-of-anybody"  # noqa: S105

AGENT: Final = r"""#!/bin/sh
i=0
while [ $i -lt 200 ]; do
    i=$((i + 1))
    echo '{"type":"input:requested","data":{"prompt":"May it go on?","options":["yes","no"]}}'
done
head -c 4000000 /dev/zero | tr '\0' x | fold -w 900
exec sleep 1000
"""
"""Asks as much as it may, prints 4 MB, and stays."""

ASKER: Final = r"""
import base64, json, socket, sys
for line in sys.stdin:
    port, request = json.loads(line)
    status, size = 0, 0
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        try:
            client.sendall(base64.b64decode(request))
        except ConnectionError:
            pass  # Who is refused is told before all of it is sent.
        try:
            while part := client.recv(1 << 20):
                status = status or int(part.split(b" ", 2)[1])
                size += len(part)
                if size > 100_000_000 or part.endswith(b": hb\n\n"):
                    break
                client.settimeout(1)
        except (ConnectionError, TimeoutError):
            pass
    print(json.dumps([status, size]), flush=True)
"""
"""Sends what it is given, and takes all of the answer, but of a stream what comes in a second."""


@attrs.frozen
class Size:
    """How much there is."""

    sessions: int
    tasks: int
    listed: int
    events: int
    tokens: int
    repeats: int

    @classmethod
    def scaled(cls, scale: float) -> Size:
        """So much of all that there is in the table of the documentation."""
        least = max(2, int(SESSIONS * scale))
        return cls(
            sessions=least,
            tasks=TASKS,
            listed=max(100, int(LISTED_TASKS * scale)),
            events=max(1_000, int(EVENTS * scale)),
            tokens=max(2, int(TOKENS * scale)),
            repeats=REPEATS if scale >= 1 else 1,
        )


def write_project(directory: Path, size: Size) -> Settings:
    """Write what there is before the server begins."""
    project = make_project(directory / "project", size.sessions, size.tasks)
    listed = project / ".loki" / "sessions" / session_name(0) / "tasks.json"
    listed.write_text(json.dumps({"tasks": tasks_of(0, size.listed)}), encoding="utf-8")
    runner = project / "autonomy" / "run.sh"
    runner.parent.mkdir()
    runner.write_text(AGENT, encoding="utf-8")
    runner.chmod(0o700)
    data = directory / "data"
    build(data, size.events, PER_BLOCK)
    tokens = directory / "tokens"
    tokens.touch(0o600)
    others = [f"token-number-{number}-of-many\n" for number in range(size.tokens - 1)]
    tokens.write_text("".join([*others, TOKEN, "\n"]), encoding="utf-8")
    return Settings(
        loki_dir=str(project),
        data_dir=str(data),
        host="127.0.0.1",
        port=0,
        token_file=str(tokens),
        retain_events=None,
    )


class Served:
    """A server, and somebody who asks it."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings, REACTOR)
        self.asker = Worker(ASKER)
        self.port = 0

    async def start(self) -> Row:
        """Start it, and wait until all that is there has been told."""
        set_what_is_there_aside()  # as ``loki serve`` does, whose process would be a new one
        beat = Beat()
        self.service.startService()
        [address] = await self.service.ready
        self.port = int(address.rpartition(":")[2])
        await self.service.rooms.watcher.watch(self.service.settings.loki_dir, {})
        return Row("the start", held(beat))

    async def places(self) -> Places:
        """Have an agent start and ask what it may, and say what all requests are about."""
        said = await self._json("POST", "/api/sessions", b"{}")
        session = said["sessionId"]
        asked: list[Any] = []
        while len(asked) < 1:
            await deferLater(REACTOR, 0.5)
            asked = (await self._json("GET", f"/api/sessions/{session}/inputs"))["inputs"]
        await deferLater(REACTOR, 2)
        return Places(session, asked[0]["id"], "task-7", session_name(0), TOKEN)

    async def _json(self, method: str, target: str, body: bytes | None = None) -> Any:
        return json.loads(await deferToThread(answer_of, self.port, method, target, body))

    async def asked(self, what: str, request: bytes, repeats: int) -> Row:
        """Ask some times."""
        found = []
        for _ in range(repeats):
            beat = Beat()
            status, size = await deferToThread(
                self.asker.do, self.port, base64.b64encode(request).decode()
            )
            found.append({"status": status, "KB": size / 1000, **held(beat)})
        return Row(what, {name: min(each[name] for each in found) for name in found[0]})

    async def stop(self, session: str) -> None:
        """End it, and the agent of a session before."""
        await self._json("POST", f"/api/sessions/{session}/stop", b"{}")
        while (await self._json("GET", f"/api/sessions/{session}"))["session"]["pid"] is not None:
            await deferLater(REACTOR, 0.1)
        self.asker.close()
        await self.service.stopService()


def answer_of(port: int, method: str, target: str, body: bytes | None) -> bytes:
    """Ask for something that is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request(method, target, body, headers)
    response = connection.getresponse()
    said = response.read()
    connection.close()
    if response.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise Trouble(f"{method} {target}: {response.status} {said[:1000]!r}")
    return said


def held(beat: Beat) -> dict[str, float]:
    """How long the reactor was held, in milliseconds."""
    beat.stop()
    return {"late": beat.late * 1000, "kept": beat.kept * 1000, "busy": beat.busy * 1000}


async def requests_at_limits(directory: Path, size: Size) -> dict[str, Table]:
    """Ask for everything."""
    server = Served(write_project(directory, size))
    rows = [await server.start()]
    places = await server.places()
    for operation, asks in REQUESTS.items():
        for what, ask in asks:
            name = f"{operation}: {what}" if what else operation
            rows.append(await server.asked(name, ask(places), size.repeats))
    for what, ask in OTHERS:
        rows.append(await server.asked(what, ask(places), size.repeats))
    rows.append(await reloaded(server, size))
    await server.stop(places.session)
    title = f"Requests at their limits, with {size.sessions:,} sessions, ms"
    return {title: rows}


async def reloaded(server: Served, size: Size) -> Row:
    """Have it take up what has changed, which is what SIGHUP does."""
    found = []
    for _ in range(size.repeats):
        beat = Beat()
        server.service.reload()
        await deferLater(REACTOR, 0.1)
        found.append(held(beat))
    what = f"reload of {size.tokens:,} tokens"
    return Row(what, {name: min(each[name] for each in found) for name in found[0]})


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="do so much of it")

    async def run(options: argparse.Namespace) -> dict[str, Table]:
        with tempfile.TemporaryDirectory(prefix="holds-") as directory:
            return await requests_at_limits(Path(directory), Size.scaled(options.scale))

    publish(parser, run)


if __name__ == "__main__":
    main()
