"""Bad input over real sockets: each row of ``tests/bad_input`` gets its one right answer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bad_input.cases import TOKEN, Case
from tests.bad_input.rows import CASES, ELSEWHERE, ROWS
from tests.bad_input.target import Target
from tests.system import Server
from tests.test_system_sessions import install_runner

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One server for all rows."""
    target = Target(tmp_path_factory.mktemp("target"))
    yield target
    target.close()


@pytest.mark.threat("B-hdr")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_it_gets_its_one_right_answer(target: Target, case: Case) -> None:
    """Status, code, envelope and headers are right; nothing was started, written or broken off."""
    target.ask(case)
    assert target.standing() == target.before


def test_a_thousand_connections_that_say_nothing(target: Target) -> None:
    """Whoever connects and leaves, as port scanners do, leaves nothing behind. (B32)"""
    for _ in range(1000):
        target.connect().close()
    assert target.let_go()


def test_wrong_tokens_are_slowed_down_and_the_right_one_never(target: Target) -> None:
    """The eleventh wrong token within a minute has to wait; the right one is let in. (B31)"""
    wrong = {"Authorization": "Bearer wrong"}
    answers = [target.server.request("GET", "/api/sessions", **wrong) for _ in range(11)]
    assert [each.status for each in answers] == [401] * 10 + [429]
    assert answers[-1].json["code"] == "TOO_MANY_REQUESTS"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert target.server.request("GET", "/api/sessions", **right).status == 200


def test_starts_at_once_are_counted_exactly(tmp_path: Path) -> None:
    """Of many at once as many begin as may, and those with one key are one session. (B71, B72)"""
    install_runner(tmp_path, "read -r line")
    for number in range(12):
        (tmp_path / f"p{number}").mkdir()
    with Server(tmp_path, "--max-sessions", "3") as server, ThreadPoolExecutor(12) as threads:

        def start(number: int) -> int:
            return server.request("POST", "/api/sessions", {"projectDir": f"p{number}"}).status

        def repeat(_: int) -> tuple[int, str | None]:
            key = {"Idempotency-Key": "once"}
            answer = server.request("POST", "/api/sessions", {"projectDir": "p0"}, **key)
            return answer.status, answer.json.get("sessionId")

        repeated = list(threads.map(repeat, range(12)))
        assert {status for status, _ in repeated} <= {201, 409}
        assert len({name for status, name in repeated if status == 201}) == 1
        assert server.get("/api/sessions")["total"] == 1
        started = list(threads.map(start, range(1, 12)))
        assert sorted(started) == [201] * 2 + [429] * 9
        assert server.get("/api/sessions")["total"] == 3


# What holds after all of them


def test_the_server_is_as_it_was(target: Target) -> None:
    """It answers, holds no more descriptors than at first, and has logged no fault."""
    assert target.server.get("/health/live")["alive"]
    assert target.let_go()
    assert target.standing() == target.before
    wrong = re.compile("Traceback|CRITICAL|Unhandled")
    assert [line for line in target.server.said if wrong.search(line)] == []


def test_the_token_is_nowhere(target: Target) -> None:
    """Neither in the log, which is told each request here, nor in any file, nor with an agent."""
    target.server.get("/api/sessions?limit=7")
    assert any("/api/sessions 200" in line for line in target.server.said)
    assert [line for line in target.server.said if TOKEN in line] == []
    files = [each for each in target.home.rglob("*") if each.is_file() and not each.is_symlink()]
    assert [each for each in files if TOKEN.encode() in each.read_bytes()] == []
    (running,) = target.server.get("/api/sessions?status=running")["sessions"]
    assert TOKEN.encode() not in Path(f"/proc/{running['pid']}/environ").read_bytes()


# The tables themselves


def test_every_row_has_its_cases() -> None:
    """B1 to B76 are all here, or name the tests that show them, which are there."""
    here = {case.id.partition(".")[0] for case in CASES}
    assert here <= set(ROWS)
    assert {*here, *ELSEWHERE} == set(ROWS)
    for name in [name for names in ELSEWHERE.values() for name in names]:
        file, _, function = name.partition("::")
        tree = ast.parse((HERE / file).read_text("utf-8"))
        assert function in {each.name for each in ast.walk(tree) if hasattr(each, "name")}, name


def test_every_case_is_there_once() -> None:
    """No two have one name, and no two send the same for the same answer."""
    assert len({case.id for case in CASES}) == len(CASES) > 700
    sent = [case.sent for case in CASES]
    assert [each[:200] for each in set(sent) if sent.count(each) > 1] == []
