"""Tests of ``lokictl token``."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from loki_twisted.access.interface import EVERY_SCOPE, Scope
from loki_twisted.access.keyring import Keyring
from loki_twisted.access.token_file import read_tokens
from loki_twisted.access.tokens import digest_of
from loki_twisted.command.lokictl import main

DAY_MS = 86_400_000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file of tokens is to be; nothing of the environment counts."""
    for name in ("LOKI_API_TOKEN", "LOKI_URL", "LOKI_DASHBOARD_PORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "tokens"


def run(path: Path, *words: str) -> int:
    """Run the verb on a file."""
    return main(["token", *words, "--file", str(path)])


@pytest.mark.threat("T12")
def test_a_token_is_printed_once_and_kept_as_a_hash(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is all that goes to the standard output; of it the file has nothing but the hash."""
    assert run(path, "create", "ci") == 0
    out, err = capsys.readouterr()
    secret = out.rstrip("\n")
    assert len(secret) >= 43
    assert secret not in err
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (made,) = read_tokens(str(path))
    assert (made.name, made.digest) == ("ci", digest_of(secret.encode()))
    assert (made.scopes, made.expires_ms) == ({Scope.READ, Scope.WRITE}, None)
    caller = Keyring([made]).find(secret.encode())
    assert caller is not None


def test_each_token_is_another_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """256 random bits."""
    for number in range(5):
        assert run(path, "create", f"token-{number}") == 0
    assert len(set(capsys.readouterr().out.split())) == 5


@pytest.mark.parametrize(
    ("text", "days"), [("30d", 30), ("12h", 0.5), ("90m", 0.0625), ("never", None)]
)
def test_a_token_may_expire(path: Path, text: str, days: float | None) -> None:
    """So long from now."""
    before = time.time_ns() // 1_000_000
    assert run(path, "create", "ci", "--expires", text, "--scopes", "admin,read,write") == 0
    after = time.time_ns() // 1_000_000
    (made,) = read_tokens(str(path))
    assert made.scopes == EVERY_SCOPE
    if days is None:
        assert made.expires_ms is None
    else:
        assert made.expires_ms is not None
        assert before <= made.expires_ms - days * DAY_MS <= after


def test_tokens_are_listed_without_what_is_secret(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names, scopes and expiries; neither a token nor a hash."""
    path.write_text(f"# mine\nplain-secret\nold sha256:{'0' * 64} read 2020-01-01\n")
    path.chmod(0o600)
    assert run(path, "list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAME    SCOPES            EXPIRES",
        "line-2  read,write,admin  never",
        "old     read              2020-01-01T00:00:00.000Z (expired)",
    ]


def test_a_token_is_taken_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its line goes and all others stay as they are: comments, plain tokens, other names."""
    assert run(path, "create", "ci") == 0
    lines = ["# mine", "plain-secret", "", path.read_text().rstrip("\n"), "plain-secret"]
    path.write_text("\n".join(lines) + "\n")
    assert run(path, "create", "other") == 0
    last = path.read_text().splitlines()[-1]
    assert run(path, "revoke", "ci") == 0
    assert path.read_text().splitlines() == [*lines[:3], lines[4], last]
    assert run(path, "revoke", "line-2") == 0
    assert path.read_text().splitlines() == ["# mine", "", last]
    assert "taken back" in capsys.readouterr().out


def test_as_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs are told the same, each time as one object; the token itself when it is made."""

    def told(*words: str) -> Any:
        assert run(path, *words, "--json") == 0
        return json.loads(capsys.readouterr().out)

    path.write_text(f"old sha256:{'0' * 64} read 2020-01-01\n")
    path.chmod(0o600)
    made = told("create", "ci", "--expires", "2099-01-01")
    assert digest_of(made.pop("token").encode()) == read_tokens(str(path))[1].digest
    assert made == {
        "name": "ci",
        "scopes": ["read", "write"],
        "expiresAt": "2099-01-01T00:00:00.000Z",
        "expired": False,
    }
    old = {"name": "old", "scopes": ["read"], "expiresAt": "2020-01-01T00:00:00.000Z"}
    assert told("list") == {"tokens": [{**old, "expired": True}, made]}
    assert told("revoke", "ci") == {"name": "ci", "message": "The token ci is taken back."}


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("create", "ci"), 1, "there is a token 'ci' already"),
        (("revoke", "cd"), 1, "there is no token 'cd'"),
        (("create",), 2, "NAME is needed"),
        (("revoke",), 2, "NAME is needed"),
        (("list", "ci"), 2, "NAME is needed"),
        (("create", "a b"), 2, "is no name for a token"),
        (("create", "local"), 2, "is no name for a token"),
        (("create", "cd", "--scopes", "all"), 2, "is no list of scopes"),
        (("create", "cd", "--expires", "soon"), 2, "is no time"),
        (("create", "cd", "--expires", "2020-01-01"), 2, "is no time to come"),
        (("create", "cd", "--expires", "9999999d"), 2, "is no time"),
    ],
)
def test_what_is_wrong_changes_nothing(
    path: Path,
    words: tuple[str, ...],
    code: int,
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line says what, nothing is printed that could be taken for a token."""
    path.write_text(f"ci sha256:{'0' * 64} read never\n")
    path.chmod(0o600)
    before = path.read_bytes()
    assert run(path, *words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lokictl token: ")
    assert complaint in err
    assert err.count("\n") == 1
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["tokens"]


def test_a_file_that_others_can_read_is_not_touched(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever made it so has to see to it first."""
    path.write_text("plain-secret\n")
    path.chmod(0o644)
    for words in (("list",), ("create", "ci"), ("revoke", "line-1")):
        assert run(path, *words) == 1
        assert "chmod 600" in capsys.readouterr().err
    assert path.read_text() == "plain-secret\n"


def test_the_file_has_to_be_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is none by default: a token that no server reads is no token."""
    assert main(["token", "list"]) == 2
    assert "--file is needed" in capsys.readouterr().err
