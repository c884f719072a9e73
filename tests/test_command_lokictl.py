"""The verbs of lokictl, against a server that is played."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred

from loki_twisted.client import ServerNotTrusted, ServerUnreachable
from loki_twisted.command import calling, verbs_inbox, verbs_lists, verbs_sessions, verbs_watching
from loki_twisted.command.complaints import complaint
from loki_twisted.command.lokictl import complete, main, make_parser
from loki_twisted.model.wire import StartOptions, StartSession
from tests.client_fakes import Played, frame
from tests.terminals import PROGRAM
from tests.test_client_api import COUNTS, HEALTH, MESSAGE, ORDER, PAGE, SESSION, TASK, USAGE

S = "session_1795473791042_4fe1a2b3"
QUESTION = {
    "id": "input_1795473791042_1f2e3d4c",
    "sessionId": S,
    "kind": "permission",
    "prompt": "May I?",
    "createdAt": "2026-11-23T22:43:11.042Z",
    "options": [{"value": "allow", "label": "Allow"}, {"value": "deny", "label": "Deny"}],
}
ANSWERED = {**QUESTION, "status": "answered", "answer": {"values": ["allow"]}}
ANSWERS = {
    ("GET", "/api/sessions"): {"sessions": [SESSION], "total": 1, "running": 1},
    ("POST", "/api/sessions"): ORDER,
    ("POST", f"/api/sessions/{S}/stop"): ORDER,
    ("POST", f"/api/sessions/{S}/pause"): ORDER,
    ("POST", f"/api/sessions/{S}/resume"): ORDER,
    ("POST", f"/api/sessions/{S}/interrupt"): ORDER,
    ("POST", f"/api/sessions/{S}/continue"): ORDER,
    ("POST", f"/api/sessions/{S}/input"): MESSAGE,
    ("POST", f"/api/sessions/{S}/inputs/{QUESTION['id']}"): {"input": ANSWERED},
    ("GET", "/api/inputs"): {"inputs": [QUESTION], "count": 1},
    ("GET", "/api/usage"): USAGE,
    ("DELETE", f"/api/sessions/{S}"): MESSAGE,
    ("GET", "/api/tasks"): {"tasks": [TASK], "pagination": PAGE},
    ("GET", f"/api/sessions/{S}/tasks"): {
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
    for module in (verbs_inbox, verbs_lists, verbs_sessions, verbs_watching):
        monkeypatch.setattr(module, "call", talking.call)
    yield talking
    assert talking.played.clock.getDelayedCalls() == []


SESSION_LINE = "session_1_aa  running  demo      -      0/0"
ORDER_LINE = "session_1_aa stopping: m"
SINCE = "since=2026-11-26T00%3A00%3A00.000Z&limit=100"
TASK_LINE = "t1    running  session_1_aa  T"


@pytest.mark.parametrize(
    ("words", "orders", "line"),
    [
        ("ps", ["GET /api/sessions?limit=50"], SESSION_LINE),
        (
            "ps --status running --provider demo --limit 3",
            ["GET /api/sessions?status=running&provider=demo&limit=3"],
            SESSION_LINE,
        ),
        ("start", ["POST /api/sessions"], ORDER_LINE),
        (f"stop {S}", [f"POST /api/sessions/{S}/stop"], ORDER_LINE),
        (f"pause {S}", [f"POST /api/sessions/{S}/pause"], ORDER_LINE),
        (f"resume {S}", [f"POST /api/sessions/{S}/resume"], ORDER_LINE),
        (f"interrupt {S}", [f"POST /api/sessions/{S}/interrupt"], ORDER_LINE),
        (f"continue {S} and then", [f"POST /api/sessions/{S}/continue"], ORDER_LINE),
        (f"input {S} yes", [f"POST /api/sessions/{S}/input"], "session_1_aa: m"),
        (f"rm {S}", [f"DELETE /api/sessions/{S}"], "session_1_aa: m"),
        ("inbox", ["GET /api/inputs"], "1f2e3d4c permission by 4fe1a2b3"),
        (f"inbox {S}", ["GET /api/inputs"], "    1 allow"),
        (
            f"answer {QUESTION['id']} 1",
            ["GET /api/inputs", f"POST /api/sessions/{S}/inputs/{QUESTION['id']}"],
            f"{S}: May I? - allow",
        ),
        (
            f"answer {S} Allow",
            ["GET /api/inputs", f"POST /api/sessions/{S}/inputs/{QUESTION['id']}"],
            f"{S}: May I? - allow",
        ),
        ("tasks", ["GET /api/tasks?limit=100"], TASK_LINE),
        (
            f"tasks {S} --status failed --limit 1",
            [f"GET /api/sessions/{S}/tasks?status=failed&limit=1"],
            TASK_LINE,
        ),
        (
            f"usage --by day --session {S} --project /p --provider demo --since 2026-11-26",
            [f"GET /api/usage?by=day&sessionId={S}&projectDir=%2Fp&provider=demo&{SINCE}"],
            "2026-11-26  $0.5000       1",
        ),
        (
            "usage --by day --until 2026-11-27 --limit 7",
            ["GET /api/usage?by=day&until=2026-11-27T00%3A00%3A00.000Z&limit=7"],
            "2026-11-26  $0.5000       1",
        ),
        ("health", ["GET /health"], "healthy, version 1, up 0s"),
    ],
)
def test_verbs(
    talking: Talking,
    capsys: pytest.CaptureFixture[str],
    words: str,
    orders: list[str],
    line: str,
) -> None:
    """Each verb asks its route and tells the answer in words, or as the JSON that it is."""
    assert main(words.split()) == 0
    assert [" ".join(order) for order in talking.orders] == orders
    assert line in capsys.readouterr().out

    assert main([*words.split(), "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_quiet(talking: Talking, capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet there are ids and nothing else, for scripts and for completions."""
    assert main(["ps", "-q"]) == 0
    assert capsys.readouterr().out == "session_1_aa\n"
    assert main(["inbox", "--quiet"]) == 0
    assert capsys.readouterr().out == f"{QUESTION['id']}\n"


def test_an_empty_inbox(talking: Talking, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is asked that is said."""
    talking.played.server.answers[("GET", "/api/inputs")] = (200, {"inputs": [], "count": 0})

    assert main(["inbox"]) == 0
    assert capsys.readouterr().out == "No agent asks anything.\n"


@pytest.mark.parametrize(
    ("words", "exit_code", "told"),
    [
        (
            f"answer {QUESTION['id']} perhaps",
            2,
            "'perhaps' is none of the answers: 1 allow, 2 deny",
        ),
        ("answer input_1 allow", 3, "'input_1' is no open question; see which there are:"),
        ("answer elsewhere allow", 3, "'elsewhere' is no open question"),
    ],
)
def test_answers_that_are_none(
    talking: Talking, capsys: pytest.CaptureFixture[str], words: str, exit_code: int, told: str
) -> None:
    """What cannot be an answer is not sent, and what there is to answer is said."""
    if words.startswith("answer input_1 "):
        talking.played.server.answers[("GET", "/api/inputs")] = (200, {"inputs": [], "count": 0})

    assert main(words.split()) == exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"lokictl: {told}")
    assert err.count("\n") == 1
    assert "POST" not in {method for method, _ in talking.orders}


def test_several_sessions(talking: Talking, capsys: pytest.CaptureFixture[str]) -> None:
    """An order goes to each; what is refused to one stops none, and is the exit code."""
    other = "session_1795473791042_00000000"

    refusal = {"error": "None.", "code": "SESSION_NOT_FOUND"}
    talking.played.server.answers["POST", f"/api/sessions/{other}/pause"] = (404, refusal)

    assert main(["pause", other, S]) == 3
    out, err = capsys.readouterr()
    assert out == f"{ORDER_LINE}\n"
    assert err.startswith("lokictl: None; see which there are: lokictl ps")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["latest", "session_1", "session_1_aa"])
def test_names_of_sessions(talking: Talking, name: str) -> None:
    """A session is named by its id, the beginning of that, or as the latest."""
    stop = ("POST", "/api/sessions/session_1_aa/stop")
    talking.played.server.answers[stop] = (200, ORDER)
    detail = {"session": SESSION, "tasks": {"total": 0, **COUNTS}, "agents": {}}
    talking.played.server.answers[("GET", "/api/sessions/session_1_aa")] = (200, detail)
    missing = {"error": "There is no session.", "code": "SESSION_NOT_FOUND"}
    talking.played.server.answers[("GET", "/api/sessions/session_1")] = (404, missing)

    assert main(["stop", name]) == 0
    assert talking.orders[-1] == stop


def test_start_says_all(talking: Talking) -> None:
    """What is asked of a session goes to the server."""
    words = ["start", "./prd.md", "--provider", "claude", "--prompt", "do it", "--model", "m"]
    more = ["--project-dir", "sub", "--timeout", "1.5", "--dry-run", "--verbose", "--queue"]
    bounds = ["--priority", "-5", "--budget", "2.5", "--on-unanswered", "deny"]
    assert main([*words, *more, *bounds, "--direct", "--stay-open"]) == 0

    asked = msgspec.json.decode(talking.played.server.asked[0].body, type=StartSession)
    assert asked == StartSession(
        prd_path="./prd.md",
        provider="claude",
        options=StartOptions(
            dry_run=True,
            verbose=True,
            timeout=1500,
            direct=True,
            stay_open=True,
            budget_usd=2.5,
            on_unanswered="deny",
        ),
        prompt="do it",
        project_dir="sub",
        model="m",
        queue=True,
        priority=-5,
    )


def test_going_on_says_all(talking: Talking) -> None:
    """What is said to a conversation that goes on, by which model, and whether it may wait."""
    assert main(["continue", S, "and", "then", "--model", "m", "--queue"]) == 0

    asked = json.loads(talking.played.server.asked[0].body)
    assert (asked["message"], asked["model"], asked["queue"]) == ("and then", "m", True)


def test_an_answer_has_a_message_beside_it(talking: Talking) -> None:
    """What the agent is told goes with the answer that was chosen by its number."""
    assert main(["answer", QUESTION["id"], "2", "--message", "not yet"]) == 0

    asked = json.loads(talking.played.server.asked[-1].body)
    assert asked == {"answer": "deny", "message": "not yet"}


def test_input_is_what_was_typed(talking: Talking) -> None:
    """Words need no quotes."""
    main(["input", S, "paint", "it", "blue"])
    main(["input", S, "--now", "paint", "it", "red"])

    first, second = (json.loads(asked.body) for asked in talking.played.server.asked)
    assert (first["input"], first["delivery"]) == ("paint it blue", "next")
    assert (second["input"], second["delivery"]) == ("paint it red", "now")


def test_tail(talking: Talking, capsys: pytest.CaptureFixture[str]) -> None:
    """Events are printed as they come; heartbeats are not, unless they are asked for."""
    beat = frame(3, "heartbeat", uptime=1)
    for words, lines in ((f"tail {S} --types log:*", 2), (f"tail {S} --types heartbeat,log:*", 3)):
        main([*words.split(), "--min-level", "info", "--history", "7"])
        talking.played.send(frame(1, message="hello") + beat + frame(2, message="world"))
        talking.played.client.close()
        talking.played.flush()
        out = capsys.readouterr().out
        assert len(out.splitlines()) == lines
        assert "log:info          hello" in out

    wanted = f"sessionId={S}&types=log%3Ainfo%2Clog%3Awarn%2Clog%3Aerror"
    asked = [uri for _, uri in talking.orders[:3]]
    assert f"/api/events?{wanted}" in asked
    assert f"/api/events/history?{wanted}&limit=8" in asked


@pytest.mark.parametrize(
    "words",
    [
        "--types task:*,nonsense",
        "--since yesterday",
        "--since 1h --after earliest",
        "--from-start --after earliest",
        "--until-end",
    ],
)
def test_tail_of_nothing_there_is(
    talking: Talking, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """A type or time that is none is one line on stderr, before any server is asked."""
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
        ("session:failed", {"status": "failed", "exitCode": 3}, 6),
        ("session:failed", {"status": "failed"}, 6),
        ("session:stopped", {"status": "stopped", "exitCode": 143}, 7),
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

    assert main(["health"]) == 8


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "told"),
    [
        (409, "CONFLICT", 1, "lokictl: No. Not now.\n"),
        (401, "UNAUTHORIZED", 4, "lokictl: No. Not now; set LOKI_API_TOKEN to"),
        (403, "FORBIDDEN", 4, "lokictl: No. Not now; give a token that may do this\n"),
        (404, "SESSION_NOT_FOUND", 3, "lokictl: No. Not now; see which there are: lokictl ps\n"),
        (404, "NOT_FOUND", 1, "lokictl: No. Not now; see whether --url (or LOKI_URL) is that of"),
        (429, "TOO_MANY_REQUESTS", 1, "lokictl: No. Not now; try again in 7 s\n"),
        (503, "PROVIDER_NOT_AVAILABLE", 1, "lokictl: No. Not now; see which are there:"),
    ],
)
def test_refusals(
    talking: Talking,
    capsys: pytest.CaptureFixture[str],
    status: int,
    code: str,
    exit_code: int,
    told: str,
) -> None:
    """What the server refuses is one line on stderr, with what to do where that is known."""
    refusal = {"error": "No.\nNot now.", "code": code}
    if status == 429:
        talking.played.server.headers["retry-after"] = "7"
    talking.played.server.answers[("POST", f"/api/sessions/{S}/stop")] = (status, refusal)

    assert main(["stop", S]) == exit_code
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
    assert "loki serve" in complaint(ServerUnreachable("None."))
    assert "loki serve" not in complaint(ServerNotTrusted("Not trusted."))


def test_tail_without_a_server(talking: Talking, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that refuses is not waited for; the stream that was begun is closed."""
    refusal = {"error": "No.", "code": "X"}
    talking.played.server.answers[("GET", "/health/live")] = (403, refusal)

    main(["tail"])
    talking.played.flush()
    assert talking.exit_codes == [4]
    assert all(stream.gone for stream in talking.played.server.streams)
    assert capsys.readouterr().err.startswith("lokictl: No")


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
        "ps --limit 0",
        "ps --status odd",
        "start --budget much",
        "tail --min-level loud",
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
        given = make_parser().parse_args(words.split())
        complete(given, environ)
        return str(given.url)

    assert url("ps") == "http://localhost:57374"
    assert url("ps", LOKI_DASHBOARD_PORT="81") == "http://localhost:81"
    assert url("ps", LOKI_DASHBOARD_PORT="81", LOKI_URL="http://a") == "http://a"
    assert url("ps --url unix:/s", LOKI_URL="http://a") == "unix:/s"
    assert url("--url unix:/s ps", LOKI_URL="http://a") == "unix:/s"
    assert url("--url unix:/s ps --url unix:/t") == "unix:/t"


def test_what_the_token_is(tmp_path: Path) -> None:
    """A file of tokens that is named is stronger than the variable; its first token is taken."""
    file = tmp_path / "token"
    file.write_text("\none\ntwo\n")

    def token(words: str, **environ: str) -> str | None:
        given = make_parser().parse_args(words.split())
        complete(given, environ)
        return given.token

    assert token("ps") is None
    assert token("ps", LOKI_API_TOKEN="env") == "env"
    assert token(f"ps --token-file {file}", LOKI_API_TOKEN="env") == "one"
    assert token(f"--token-file {file} ps") == "one"
    with pytest.raises(ValueError, match=r"--token-file: '/nowhere' cannot be read"):
        token("ps --token-file /nowhere")


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


def run(*words: str, program: str = PROGRAM, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run lokictl as a program of its own."""
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

    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr.startswith(f"lokictl: Nothing answers at {url}: ")
    assert ended.stderr.endswith(
        "; start a server with: loki serve, or name another one with --url or LOKI_URL\n"
    )


def test_a_fault_of_its_own() -> None:
    """What nobody has thought of is told in full, with an exit code of its own."""
    broken = "from loki_twisted.client import LokiClient; LokiClient.list_sessions = None; "
    ended = run("ps", LOKI_URL="http://127.0.0.1:1", program=f"{broken}{PROGRAM}")

    assert (ended.returncode, ended.stdout) == (70, "")
    assert "This should not have happened" in ended.stderr
    assert "TypeError" in ended.stderr


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
        "heavy = {{'twisted', 'klein', 'treq', 'msgspec', 'apsw', 'asyncio', 'rich',"
        " 'prompt_toolkit'}} & set(sys.modules)\n"
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
