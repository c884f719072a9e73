"""The verbs of lokictl, against a server that is played."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred

from loki_twisted.client import ServerNotTrusted, ServerUnreachable
from loki_twisted.command import calling, verbs_sessions, verbs_watching
from loki_twisted.command.lokictl import VERBS, complete, main, make_parser
from loki_twisted.model.wire import StartOptions, StartSession
from tests.client_fakes import Played, frame
from tests.test_client_api import HEALTH, MESSAGE, ORDER, PAGE, SESSION, TASK

ANSWERS = {
    ("GET", "/api/sessions"): {"sessions": [SESSION], "total": 1, "running": 1},
    ("POST", "/api/sessions"): ORDER,
    ("POST", "/api/sessions/s/stop"): ORDER,
    ("POST", "/api/sessions/s/pause"): ORDER,
    ("POST", "/api/sessions/s/resume"): ORDER,
    ("POST", "/api/sessions/s/input"): MESSAGE,
    ("DELETE", "/api/sessions/s"): MESSAGE,
    ("GET", "/api/tasks"): {"tasks": [TASK], "pagination": PAGE},
    ("GET", "/api/sessions/s/tasks"): {
        "tasks": [TASK],
        "pagination": PAGE,
        "summary": {"pending": 0, "running": 1, "completed": 0, "failed": 0},
    },
    ("GET", "/health"): HEALTH,
    ("GET", "/health/live"): {"alive": True, "uptime": 1},
}


class Talking:
    """A played server, and lokictl talking to it."""

    def __init__(self) -> None:
        self.played = Played()
        self.played.server.answers.update({key: (200, value) for key, value in ANSWERS.items()})
        self.exit_codes: list[int] = []

    def call(self, given: Any, talk: calling.Talk) -> int:
        """Stand in for the reactor of a program of its own."""
        talking = Deferred.fromCoroutine(calling.converse(self.played.client, talk))
        talking.addCallback(self.exit_codes.append)
        self.played.flush()
        return self.exit_codes[-1] if self.exit_codes else -1

    @property
    def orders(self) -> list[tuple[str, str]]:
        """What the server was asked, as method and address."""
        return [(asked.method, asked.uri) for asked in self.played.server.asked]


@pytest.fixture
def talking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Talking]:
    """A server that answers."""
    talking = Talking()
    for name in ("LOKI_URL", "LOKI_API_TOKEN", "LOKI_DASHBOARD_PORT"):
        monkeypatch.delenv(name, raising=False)
    for module in (verbs_sessions, verbs_watching):
        monkeypatch.setattr(module, "call", talking.call)
    yield talking
    assert talking.played.clock.getDelayedCalls() == []


SESSION_LINE = "session_1_aa  running  demo      -      0/0"


@pytest.mark.parametrize(
    ("words", "order", "line"),
    [
        ("ps", ("GET", "/api/sessions?limit=50"), SESSION_LINE),
        (
            "ps --status running --limit 3",
            ("GET", "/api/sessions?status=running&limit=3"),
            SESSION_LINE,
        ),
        ("start", ("POST", "/api/sessions"), "session_1_aa stopping: m"),
        ("stop s", ("POST", "/api/sessions/s/stop"), "session_1_aa stopping: m"),
        ("pause s", ("POST", "/api/sessions/s/pause"), "session_1_aa stopping: m"),
        ("resume s", ("POST", "/api/sessions/s/resume"), "session_1_aa stopping: m"),
        ("input s yes", ("POST", "/api/sessions/s/input"), "session_1_aa: m"),
        ("answer s yes", ("POST", "/api/sessions/s/input"), "session_1_aa: m"),
        ("rm s", ("DELETE", "/api/sessions/s"), "session_1_aa: m"),
        ("tasks", ("GET", "/api/tasks?limit=100"), "t1    running  session_1_aa  T"),
        (
            "tasks s --status failed --limit 1",
            ("GET", "/api/sessions/s/tasks?status=failed&limit=1"),
            "t1    running  session_1_aa  T",
        ),
        ("health", ("GET", "/health"), "healthy, version 1, up 0s"),
    ],
)
def test_verbs(
    talking: Talking,
    capsys: pytest.CaptureFixture[str],
    words: str,
    order: tuple[str, str],
    line: str,
) -> None:
    """Each verb asks its route and tells the answer in words, or as the JSON that it is."""
    assert main(words.split()) == 0
    assert talking.orders == [order]
    assert line in capsys.readouterr().out

    assert main([*words.split(), "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_every_verb_has_a_test() -> None:
    """The tables above and below have all verbs; recordings and tokens have tests of their own."""
    tested = {"demo", "tail", "ps", "start", "stop", "pause", "resume", "input", "answer", "rm"}

    assert set(VERBS) == tested | {"tasks", "health", "record", "token"}


def test_start_says_all(talking: Talking) -> None:
    """What is asked of a session goes to the server."""
    words = ["start", "./prd.md", "--provider", "claude", "--prompt", "do it", "--model", "m"]
    more = ["--project-dir", "sub", "--timeout", "1.5", "--dry-run", "--verbose", "--queue"]
    assert main([*words, *more, "--priority", "-5", "--direct"]) == 0

    asked = msgspec.json.decode(talking.played.server.asked[0].body, type=StartSession)
    assert asked == StartSession(
        prd_path="./prd.md",
        provider="claude",
        options=StartOptions(dry_run=True, verbose=True, timeout=1500, direct=True),
        prompt="do it",
        project_dir="sub",
        model="m",
        queue=True,
        priority=-5,
    )


def test_input_is_what_was_typed(talking: Talking) -> None:
    """Words need no quotes."""
    main(["input", "s", "paint", "it", "blue"])

    assert json.loads(talking.played.server.asked[0].body)["input"] == "paint it blue"


def test_tail(talking: Talking, capsys: pytest.CaptureFixture[str]) -> None:
    """Events are printed as they come; heartbeats are not, unless they are asked for."""
    beat = frame(3, "heartbeat", uptime=1)
    for words, lines in (("tail s --types log:*", 2), ("tail s --types heartbeat,log:*", 3)):
        main([*words.split(), "--min-level", "info", "--history", "7"])
        talking.played.send(frame(1, message="hello") + beat + frame(2, message="world"))
        talking.played.client.close()
        talking.played.flush()
        out = capsys.readouterr().out
        assert len(out.splitlines()) == lines
        assert "log:info          hello" in out

    wanted = "sessionId=s&types=log%3Ainfo%2Clog%3Awarn%2Clog%3Aerror"
    asked = [uri for _, uri in talking.orders[:3]]
    assert f"/api/events?{wanted}" in asked
    assert f"/api/events/history?{wanted}&limit=8" in asked


@pytest.mark.parametrize("words", ["--types task:*,nonsense", "--min-level loud"])
def test_tail_of_nothing_there_is(
    talking: Talking, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """A type or level that is none is one line on stderr, before any server is asked."""
    assert main(["tail", *words.split()]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert talking.orders == []


def test_tail_from_a_place(talking: Talking, capsys: pytest.CaptureFixture[str]) -> None:
    """With --after the stream begins there; as JSON each event is a line."""
    main(["tail", "--after", "evt_1_1", "--json"])
    assert talking.played.stream.last_event_id == "evt_1_1"
    talking.played.send(frame(2, message="hello"))
    talking.played.client.close()
    talking.played.flush()

    assert json.loads(capsys.readouterr().out)["id"] == "evt_2_2000"


@pytest.mark.parametrize(
    ("kind", "data", "exit_code"),
    [
        ("session:completed", {"status": "completed", "exitCode": 0}, 0),
        ("session:failed", {"status": "failed", "exitCode": 3}, 3),
        ("session:failed", {"status": "failed"}, 1),
        ("session:failed", {"status": "failed", "exitCode": 0}, 1),
        ("session:stopped", {"status": "stopped", "exitCode": 143}, 143),
    ],
)
def test_following(
    talking: Talking,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    data: dict[str, Any],
    exit_code: int,
) -> None:
    """A session that is followed is shown to its end, which is the end of the command."""
    main(["start", "--follow"])
    talking.played.send(frame(1, message="hello") + frame(2, kind, **data))
    talking.played.flush()

    assert talking.exit_codes == [exit_code]
    assert "log:info          hello" in capsys.readouterr().out
    assert talking.orders[1][1] == "/api/events?sessionId=session_1_aa"


def test_an_unhealthy_server(talking: Talking) -> None:
    """A server that is unwell can be asked by a script."""
    talking.played.server.answers[("GET", "/health")] = (503, {**HEALTH, "status": "unhealthy"})

    assert main(["health"]) == 1


@pytest.mark.parametrize(
    ("status", "told"),
    [(409, "lokictl: No. Not now."), (401, "lokictl: No. Not now; set LOKI_API_TOKEN to")],
)
def test_refusals(
    talking: Talking, capsys: pytest.CaptureFixture[str], status: int, told: str
) -> None:
    """What the server refuses is one line on stderr, with what to do where that is known."""
    refusal = {"error": "No.\nNot now.", "code": "X"}
    talking.played.server.answers[("POST", "/api/sessions/s/stop")] = (status, refusal)

    assert main(["stop", "s"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(told)
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["..", "\udcff"])
def test_names_that_are_none(
    talking: Talking, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A word that cannot be the id of a session is one line on stderr; nothing is asked."""
    assert main(["stop", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert talking.orders == []


def test_complaints() -> None:
    """Starting a server is no advice where there is one that is not trusted."""
    assert calling.complaint(ServerUnreachable("None.")).endswith("loki serve")
    assert calling.complaint(ServerNotTrusted("Not trusted.")) == "Not trusted."


def test_tail_without_a_server(talking: Talking, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that refuses is not waited for; the stream that was begun is closed."""
    refusal = {"error": "No.", "code": "X"}
    talking.played.server.answers[("GET", "/health/live")] = (403, refusal)

    main(["tail"])
    talking.played.flush()
    assert talking.exit_codes == [1]
    assert all(stream.gone for stream in talking.played.server.streams)
    assert capsys.readouterr().err == "lokictl: No.\n"


@pytest.mark.parametrize(
    "words",
    [
        "frobnicate",
        "",
        "stop",
        "ps --limit x",
        "ps --limit -1",
        "demo --port x",
        "demo --speed 0",
        "demo --speed nan",
        "ps --bogus",
        "ps --lim 3",
    ],
)
def test_wrong_words(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no command line is one line on stderr, and exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    out, err = capsys.readouterr()

    assert ended.value.code == 2
    assert out == ""
    assert err.count("\n") == 1


def test_where_the_server_is() -> None:
    """The option is stronger than LOKI_URL, that than the port, that than the usual one."""

    def url(words: str, **environ: str) -> str:
        given = make_parser().parse_args(["ps", *words.split()])
        complete(given, environ)
        return str(given.url)

    assert url("") == "http://localhost:57374"
    assert url("", LOKI_DASHBOARD_PORT="81") == "http://localhost:81"
    assert url("", LOKI_DASHBOARD_PORT="81", LOKI_URL="http://a") == "http://a"
    assert url("--url unix:/s", LOKI_URL="http://a") == "unix:/s"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"LOKI_DASHBOARD_PORT": "huh"}, "LOKI_DASHBOARD_PORT: 'huh' is no port"),
        ({"LOKI_API_TOKEN": "s3cret\nx"}, "LOKI_API_TOKEN is no token"),
    ],
)
def test_wrong_variables(
    environ: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A variable that is wrong is named; a token is not repeated."""
    monkeypatch.setattr("os.environ", environ)

    assert main(["ps"]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "s3cret" not in err


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run lokictl as a program of its own."""
    program = "import sys; from loki_twisted.command.lokictl import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nobody_listens() -> None:
    """Where there is no server, one line says so and how to start one."""
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{placeholder.getsockname()[1]}"
        ended = run("ps", LOKI_URL=url)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"lokictl: Nothing answers at {url}: ")
    assert ended.stderr.endswith("; start a server with: loki serve\n")


def test_no_url() -> None:
    """An address that is none is a wrong command line."""
    ended = run("ps", "--url", "localhost")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("lokictl: 'localhost' is no URL of a server")


def test_help_imports_no_twisted() -> None:
    """Help is fast, because it needs neither Twisted nor anything of the server."""
    program = (
        "import sys; from loki_twisted.command.{0} import main\n"
        "try: code = main({1})\n"
        "except SystemExit as ended: code = ended.code\n"
        "heavy = {{'twisted', 'klein', 'treq', 'msgspec', 'apsw', 'asyncio'}} & set(sys.modules)\n"
        "sys.exit(f'imports {{heavy}}' if heavy or code else 0)"
    )
    for module, words in (
        ("lokictl", ["--help"]),
        ("lokictl", ["tail", "--help"]),
        ("loki", ["--help"]),
        ("loki", ["serve", "--help"]),
        ("loki", ["serve", "--generate-token"]),
    ):
        ended = subprocess.run(
            [sys.executable, "-c", program.format(module, words)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout != ""
