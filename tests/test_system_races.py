"""R26: many who ask for the same at the same moment."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.figures import tell
from tests.system import TIMEOUT, Answer, Server
from tests.test_system_sessions import install_runner, until

ROUNDS = 100
QUICK_ROUNDS = 2
ASKING = 8
MOST_SESSIONS = 8


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
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many ask with a key at once, and again, there is one session and one agent."""
    rounds = ROUNDS if is_full else QUICK_ROUNDS
    install_runner(tmp_path, 'echo $$ >> "$PWD/started"')
    kinds: Counter[object] = Counter()
    with Server(tmp_path) as server:
        for number in range(rounds):
            place = tmp_path / f"project-{number}"
            place.mkdir()
            body, key = {"projectDir": place.name}, {"Idempotency-Key": f"key-{number}"}
            answers = all_at_once(server, [(body, key)] * ASKING)
            again = server.request("POST", "/api/sessions", body, **key)
            ids = {each.json["sessionId"] for each in (*answers, again) if each.status == 201}
            # Who comes while the first is dealt with is told to come again.
            assert {each.status for each in answers} <= {201, 409}
            assert again.status == 201
            [session_id] = ids
            server.until_end(session_id)
            assert len((place / "started").read_text().split()) == 1
            kinds += codes(answers)
        assert server.get("/api/sessions")["total"] == rounds
    if is_full:
        tell(capsys, f"{rounds} times {ASKING} with one key: one agent each time; {dict(kinds)}")


@pytest.mark.promise("R26")
@pytest.mark.timeout(900)
def test_r26_the_limit_is_exact(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of twice as many as may run, half are started and half are refused, every time."""
    rounds = ROUNDS if is_full else QUICK_ROUNDS
    install_runner(tmp_path, "exec sleep 300")
    names = [f"project-{number}" for number in range(2 * MOST_SESSIONS)]
    for name in names:
        (tmp_path / name).mkdir()
    with Server(tmp_path, "--max-sessions", str(MOST_SESSIONS), "--grace", "0.5") as server:
        for _ in range(rounds):
            answers = all_at_once(server, [({"projectDir": name}, {}) for name in names])
            assert codes(answers) == {201: MOST_SESSIONS, "TOO_MANY_SESSIONS": MOST_SESSIONS}
            assert Counter(each.status for each in answers)[429] == MOST_SESSIONS
            ids = [each.json["sessionId"] for each in answers if each.status == 201]
            for session_id in ids:
                server.post(f"/api/sessions/{session_id}/stop")
            for session_id in ids:
                server.until_end(session_id, "types=session:*&lastEventId=earliest")
        assert server.get("/api/sessions")["total"] == rounds * MOST_SESSIONS
    if is_full:
        tell(capsys, f"{rounds} times {len(names)} starts: {MOST_SESSIONS} of them each time")


@pytest.mark.promise("R26")
def test_r26_a_program_that_is_missing(tmp_path: Path) -> None:
    """Its start fails with 503, its session has failed, and the next start works."""
    install_runner(tmp_path, "exit 0")
    runner = tmp_path / "autonomy" / "run.sh"
    script = runner.read_text()
    runner.write_text("#!/nowhere/sh\n")
    with Server(tmp_path) as server:
        for _ in range(2):
            failed = server.request("POST", "/api/sessions", {})
            assert (failed.status, failed.json["code"]) == (503, "SERVICE_UNAVAILABLE")
        sessions = server.get("/api/sessions")["sessions"]
        assert [each["status"] for each in sessions] == ["failed", "failed"]
        runner.write_text(script)
        assert server.until_end(server.start())[-1].type == "session:completed"
        until(lambda: server.get("/health/ready") == {"ready": True})
