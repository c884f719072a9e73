"""R26: many who ask for the same at the same moment."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.figures import tell
from tests.system import TIMEOUT, Answer, Server
from tests.test_system_sessions import install_runner

ROUNDS = 100
QUICK_ROUNDS = 2
ASKING = 8
MOST_SESSIONS = 8


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose agent notes that it was started, and stays where its project says so."""
    path = tmp_path_factory.mktemp("home")
    install_runner(path, 'echo $$ >> "$PWD/started"; [ ! -e stays ] || exec sleep 300')
    return path


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    """One server for all of them."""
    with Server(home, "--max-sessions", str(MOST_SESSIONS), "--grace", "0.5") as running:
        yield running


def sessions(server: Server) -> int:
    """How many there are."""
    return int(server.get("/api/sessions")["total"])


def all_at_once(server: Server, asked: Sequence[tuple[object, Mapping[str, str]]]) -> list[Answer]:
    """The answers to starts of sessions, each of a body and headers, that are sent together."""
    together = threading.Barrier(len(asked))

    def ask(body: object, headers: Mapping[str, str]) -> Answer:
        together.wait(TIMEOUT)
        return server.request("POST", "/api/sessions", body, **headers)

    with ThreadPoolExecutor(len(asked)) as threads:
        return list(threads.map(lambda each: ask(*each), asked))


def codes(answers: Sequence[Answer]) -> Counter[object]:
    """How many answers there are of each kind."""
    return Counter(each.json.get("code", each.status) for each in answers)


@pytest.mark.promise("R26")
@pytest.mark.timeout(900)
def test_r26_one_key_starts_one_agent(
    server: Server, home: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many ask with a key at once, and again, there is one session and one agent."""
    rounds, before = ROUNDS if is_full else QUICK_ROUNDS, sessions(server)
    kinds: Counter[object] = Counter()
    for number in range(rounds):
        place = home / f"once-{number}"
        place.mkdir()
        body, key = {"projectDir": place.name}, {"Idempotency-Key": f"key-{number}"}
        answers = all_at_once(server, [(body, key)] * ASKING)
        again = server.request("POST", "/api/sessions", body, **key)
        ids = {each.json["sessionId"] for each in (*answers, again) if each.status == 201}
        # Who comes while the first is dealt with is told to come again.
        assert {each.status for each in answers} <= {201, 409}
        assert again.status == 201
        [session_id] = ids
        server.until_end(session_id, "types=session:*&lastEventId=earliest")
        assert len((place / "started").read_text().split()) == 1
        kinds += codes(answers)
    assert sessions(server) - before == rounds
    if is_full:
        tell(capsys, f"{rounds} times {ASKING} with one key: one agent each time; {dict(kinds)}")


@pytest.mark.promise("R26")
@pytest.mark.timeout(900)
def test_r26_the_limit_is_exact(
    server: Server, home: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of twice as many as may run, half are started and half are refused, every time."""
    rounds, before = ROUNDS if is_full else QUICK_ROUNDS, sessions(server)
    names = [f"limit-{number}" for number in range(2 * MOST_SESSIONS)]
    for name in names:
        (home / name).mkdir()
        (home / name / "stays").touch()
    for _ in range(rounds):
        answers = all_at_once(server, [({"projectDir": name}, {}) for name in names])
        assert codes(answers) == {201: MOST_SESSIONS, "TOO_MANY_SESSIONS": MOST_SESSIONS}
        assert Counter(each.status for each in answers)[429] == MOST_SESSIONS
        ids = [each.json["sessionId"] for each in answers if each.status == 201]
        for session_id in ids:
            server.post(f"/api/sessions/{session_id}/stop")
        for session_id in ids:
            server.until_end(session_id, "types=session:*&lastEventId=earliest")
    assert sessions(server) - before == rounds * MOST_SESSIONS
    if is_full:
        tell(capsys, f"{rounds} times {len(names)} starts: {MOST_SESSIONS} of them each time")


@pytest.mark.promise("R26")
def test_r26_a_program_that_is_missing(server: Server, home: Path) -> None:
    """Its start fails with 503, its session has failed, and the next start works."""
    runner = home / "autonomy" / "run.sh"
    script = runner.read_text()
    runner.write_text("#!/nowhere/sh\n")
    for _ in range(2):
        failed = server.request("POST", "/api/sessions", {})
        assert (failed.status, failed.json["code"]) == (503, "SERVICE_UNAVAILABLE")
        session = server.get("/api/sessions")["sessions"][0]
        assert (session["status"], session["reasonCode"]) == ("failed", "not_started")
    runner.write_text(script)
    assert server.until_end(server.start())[-1].type == "session:completed"
    assert server.get("/health/ready") == {"ready": True}
