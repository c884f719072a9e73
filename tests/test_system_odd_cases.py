"""
What agents of every kind do that is odd, through the real server: a table, a row for each case.

What is odd for one kind alone is in the tests of that kind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import acp_support, codex_support
from tests.bridges_support import standin
from tests.claude_support import STANDIN as CLAUDE
from tests.opencode_support import STANDIN as OPENCODE
from tests.system import Server
from tests.test_system_sessions import install
from tests.told import outputs, types

PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "claude": (sys.executable, str(CLAUDE)),
    "codex": (sys.executable, str(codex_support.STANDIN)),
    "opencode": (sys.executable, str(OPENCODE)),
    "cline": tuple(standin("cline")),
    "aider": tuple(standin("aider")),
    "gemini": (sys.executable, "-I", str(acp_support.STANDIN), "plain"),
}

DONE_AND_STAYS = {
    "claude": "lingers",
    "codex": "linger please",
    "cline": "play text result hang",
    "aider": "play hang",
    "gemini": "stay",
}
"""Prompts after which it says that it is done, and does not end."""

GONE_WITHOUT_A_WORD = {
    "claude": "vanishes",
    "codex": "vanish please",
    "codex-exec": "vanish please",
    "opencode": "die",
    "cline": "play text",
    "aider": "play silence",
    "gemini": "crash",
}
"""Prompts after which it ends, and never says how its work came out."""

FAILS_AND_ENDS_WELL = {
    "claude": "error",
    "codex": "fail please",
    "opencode": "error",
    "cline": "play failure",
    "aider": "play exception",
    "gemini": "broken",
}
"""Prompts after which it says that it has failed."""

TAKES_BACK = {
    "claude": "withdrawn",
    "codex": "withdrawn later",
    "opencode": "elsewhere",
    "cline": "play impatient result",
    "gemini": "withdraw",
}
"""Prompts after which it asks something, and does not wait for the answer."""

NOISY = {
    "claude": "noise",
    "codex": "noise please",
    "opencode": "noise",
    "cline": "play noise text result",
    "aider": "play forged answer",
    "gemini": "noise",
}
"""Prompts after which it prints broken, unknown and forged lines, and does its work."""

PRINTS_MUCH = {"opencode": "large", "aider": "play long answer"}
"""Prompts after which something of 30 MB comes in one piece; of the others in their own tests."""

MOST_TOLD = 100_000
"""Characters of an event, whatever it is made of."""

ASKS = {
    "claude": ("permission", "allow", "deny"),
    "codex": ("approve it", "accept", "decline"),
    "opencode": ("permission", "once", "reject"),
    "cline": ("play approval result", "allow", "deny"),
    "gemini": ("permit make", "yes", "no"),
}
"""Prompts after which it asks for a permission, and two answers to that."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all stand-ins on a path in it."""
    place = tmp_path_factory.mktemp("odd")
    for name, call in PROGRAMS.items():
        install(place / "bin" / name, *call)
    return place


def serve(place: Path, home: Path) -> Server:
    """A server that finds the stand-ins, and nothing else."""
    path = os.pathsep.join([str(place / "bin"), "/usr/bin", "/bin"])
    (home / "tmp").mkdir()
    return Server(home, PATH=path, HOME=str(home), TMPDIR=str(home / "tmp"))


def start(server: Server, home: Path, provider: str, prompt: str) -> str:
    """Start a session in a directory of its own."""
    project = home / provider
    project.mkdir()
    return server.start(provider=provider, prompt=prompt, projectDir=str(project))


def ends_of(place: Path, home: Path, prompts: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Run them all at once; gives how each session ended, and why."""
    with serve(place, home) as server:
        ids = {name: start(server, home, name, prompt) for name, prompt in prompts.items()}
        ends = {}
        for name, session_id in ids.items():
            last = server.until_end(session_id)[-1]
            ends[name] = last.type, str(server.session(session_id)["reasonCode"])
        assert server.get("/api/inputs")["inputs"] == []
    return ends


def test_done_without_an_end(place: Path, tmp_path: Path) -> None:
    """An agent that has done its work and does not end is ended, and its session is completed."""
    ends = ends_of(place, tmp_path, DONE_AND_STAYS)
    assert {name: end for name, (end, _) in ends.items()} == dict.fromkeys(
        DONE_AND_STAYS, "session:completed"
    )


def test_an_end_without_a_word(place: Path, tmp_path: Path) -> None:
    """An agent that never said how its work came out has failed, whatever it exits with."""
    ends = ends_of(place, tmp_path, GONE_WITHOUT_A_WORD)
    assert {name: end for name, (end, _) in ends.items()} == dict.fromkeys(
        GONE_WITHOUT_A_WORD, "session:failed"
    )


def test_a_failure_that_exits_well(place: Path, tmp_path: Path) -> None:
    """An agent that says it has failed has, and that is the reason; not how its process ended."""
    ends = ends_of(place, tmp_path, FAILS_AND_ENDS_WELL)
    assert ends == dict.fromkeys(FAILS_AND_ENDS_WELL, ("session:failed", "said_so"))


def test_noise(place: Path, tmp_path: Path) -> None:
    """Lines that mean nothing, or that somebody forged, change nothing about how it ends."""
    ends = ends_of(place, tmp_path, NOISY)
    assert {name: end for name, (end, _) in ends.items()} == dict.fromkeys(
        NOISY, "session:completed"
    )


def test_a_piece_of_30_mb(place: Path, tmp_path: Path) -> None:
    """What is told of it is bounded, and what comes behind it is told too."""
    with serve(place, tmp_path) as server:
        ids = [start(server, tmp_path, name, prompt) for name, prompt in PRINTS_MUCH.items()]
        for session_id in ids:
            events = server.until_end(session_id)
            assert events[-1].type == "session:completed"
            assert outputs(events)
            assert max(len(str(each.data)) for each in events) < MOST_TOLD


def test_what_is_taken_back(place: Path, tmp_path: Path) -> None:
    """What an agent no longer wants to know is withdrawn, and an answer to it is a conflict."""
    with serve(place, tmp_path) as server:
        ids = {name: start(server, tmp_path, name, TAKES_BACK[name]) for name in TAKES_BACK}
        for name, session_id in ids.items():
            events = server.until_end(session_id)
            assert types(events, "input:") == ["input:requested", "input:withdrawn"], name
            assert events[-1].type == "session:completed", name
            [asked] = [each.data for each in events if each.type == "input:requested"]
            path = f"/api/sessions/{session_id}/inputs/{asked['inputId']}"
            server.post(path, {"answer": asked["options"][0]}, 409)


@pytest.mark.parametrize("provider", ASKS)
def test_two_answers_at_once(place: Path, tmp_path: Path, provider: str) -> None:
    """One of them counts, whichever came first; the other is a conflict that names it."""
    prompt, *answers = ASKS[provider]
    with serve(place, tmp_path) as server:
        session_id = start(server, tmp_path, provider, prompt)
        asked = server.wait_for(session_id, "input:requested").data
        path = f"/api/sessions/{session_id}/inputs/{asked['inputId']}"
        with ThreadPoolExecutor(len(answers)) as people:
            given = list(
                people.map(lambda word: server.request("POST", path, {"answer": word}), answers)
            )
        events = server.until_end(session_id)
    assert sorted(each.status for each in given) == [200, 409]
    [taken] = [word for word, each in zip(answers, given, strict=True) if each.status == 200]
    [refused] = [each.json for each in given if each.status == 409]
    assert refused["details"]["answer"] == [taken]
    [answered] = [each.data for each in events if each.type == "input:answered"]
    assert answered["answer"] == [taken]
