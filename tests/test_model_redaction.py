"""Secrets in text: what is taken out, what stays, and that nothing is left over."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loki_twisted.model.events import Fact
from loki_twisted.model.redaction import MASK, Redactor, redact
from loki_twisted.model.tasks import Task, TaskStatus

CONSOLE = Path(__file__).parent / "data" / "run1-simple" / "console.jsonl"

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXZhbHVl"
SECRETS = {
    "sk-proj-abcdefghijklmnopqrstuvwx": MASK,
    "sk-ant-api03-abcdefghijklmnopqrst_uv-AA": MASK,
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": MASK,
    "github_pat_11AAAAAAA0abcdefghijkl_mnopqrst": MASK,
    "glpat-abcdefghijklmnopqrst": MASK,
    "xoxb-123456789012-abcdefghijkl": MASK,
    "AKIAIOSFODNN7EXAMPLE": MASK,
    "AIzaSyA1234567890abcdefghijklmnopqrstuv": MASK,
    JWT: MASK,
    "ANTHROPIC_API_KEY=abc": f"ANTHROPIC_API_KEY={MASK}",
    "GITHUB_TOKEN='two words'": f"GITHUB_TOKEN={MASK}",
    "DB_PASSWORD=p4ss/w0rd": f"DB_PASSWORD={MASK}",
    "AWS_SECRET=x+y/z==": f"AWS_SECRET={MASK}",
    "api_key=0123456789": f"api_key={MASK}",
    '"password": "correct horse"': f'"password": {MASK}',
    '"accessToken":"0123456789"': f'"accessToken":{MASK}',
    "Authorization: Bearer abc123def456": f"Authorization: Bearer {MASK}",
    "authorization: basic dXNlcjpwYXNzd29yZA==": f"authorization: basic {MASK}",
    "https://me:hunter2@example.org/x": f"https://me:{MASK}@example.org/x",
    "postgres://app:s3cret@db:5432/app": f"postgres://app:{MASK}@db:5432/app",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": MASK,
    "-----BEGIN OPENSSH PRIVATE KEY-----": MASK,
    "API key ANTHROPIC_API_KEY: fake-key...-000 (26 chars)": (
        f"API key ANTHROPIC_API_KEY: {MASK} (26 chars)"
    ),
}

ORDINARY = [
    "",
    "Reading src/tokens.py, 1200 tokens so far",
    "sorted(names, key=len)",
    "token = next(tokens)",
    "class Token(Enum): KEY = 1",
    "the secret of good soup",
    "Bearer authentication is used",
    "https://example.org:8080/path@v1",
    "git clone git@github.com:owner/name.git",
    "risk-averse-and-task-oriented-people",
    "3f786850e387550fdab836ed7e6dc881de23001b",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "waiting ... done (3 chars)",
    "MAX_TOKENS=64000",
    "[Tool: TodoWrite] 2 items",
]

PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [*SECRETS, *ORDINARY, "KEY=", "token=", "Bearer ", "a://a:", "@", "sk-", '"', "..."]
        ),
        st.text(alphabet="aK=:/@\"' .-_*\n9", max_size=12),
    ),
    max_size=8,
)


@pytest.mark.parametrize(("text", "expected"), SECRETS.items(), ids=lambda text: text[:20])
def test_each_form_of_a_secret_is_taken_out(text: str, expected: str) -> None:
    """The secret is gone, whatever stands around it, and what names it stays."""
    assert redact(text) == expected
    assert redact(f"said: {text}") == f"said: {expected}"
    assert expected in redact(f"{text} and more")


def test_a_line_of_a_private_key() -> None:
    """It is one by its length and its letters; a digest of the same length is not."""
    assert redact("MIIEpAIBAAKCAQEA75TLeP0jUMvDTiKuK4wLWfKiwlYGRZR0B0eBtCrVrP2E4ovi") == MASK


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Not even a copy is made."""
    assert redact(text) is text


def test_a_real_console_stays_as_it_is_but_for_the_key_it_shows() -> None:
    """In a whole run of Loki Mode only the line that shows a key is changed."""
    lines = [json.loads(line)["line"] for line in CONSOLE.read_text("utf-8").splitlines()]
    changed = [line for line in lines if redact(line) != line]
    assert all("API key" in line for line in changed)
    assert len(lines) > 100


@given(PIECES.map("".join))
@example("KEY=***")
@example("secret='9'9sk-proj-abcdefghijklmnopqrstuvwx")
@example('token=TOKEN="sk-proj-abcdefghijklmnopqrstuvwx')
@example("sk-proj-abcdefghijklmnopqrstuvwx...sk-proj-abcdefghijklmnopqrstuvwx (3 chars)")
@example("Bearer GITHUB_TOKEN='two words'&sk-proj-abcdefghijklmnopqrstuvwx")
@example("""a://me:KEY="x y"@host""")
def test_redacting_ends(text: str) -> None:
    """What is redacted is no longer than it was, and redacting it again changes nothing."""
    once = redact(text)
    assert len(once) <= len(text)
    assert redact(once) == once


@given(st.sampled_from(sorted(SECRETS)), st.text(max_size=40), st.text(max_size=40))
def test_no_secret_survives_between_any_texts(secret: str, before: str, after: str) -> None:
    """A secret that stands alone is found whatever text is before and behind it."""
    assert secret not in redact(f"{before} {secret} {after}")


def test_values_of_the_environment() -> None:
    """Values of variables with such names go, as they are and as Loki Mode shows them."""
    redactor = Redactor(
        {
            "MY_API_KEY": "correct-horse-battery",
            "OTHER_TOKEN": "short",
            "TOKEN_FILE": "/run/secrets/token",
            "MAX_OUTPUT_TOKENS": "1234567890",
            "EDITOR": "emacs-nox",
        }
    )
    assert redactor.text("x=correct-horse-battery;") == f"x={MASK};"
    assert redactor.text("key correct-...tery is set") == f"key {MASK} is set"
    for plain in ("short", "/run/secrets/token", "1234567890", "emacs-nox"):
        assert redactor.text(plain) is plain


def test_the_texts_of_a_fact() -> None:
    """They are redacted at any depth; a fact without secrets is the same object."""
    redactor = Redactor({})
    harmless = Fact("log:info", {"level": "info", "message": "ready", "context": {"n": [1, "a"]}})
    assert redactor.fact(harmless) is harmless
    fact = Fact("log:info", {"message": "ok", "context": {"list": ["A_KEY=abc", 1]}})
    assert redactor.fact(fact).data == {"message": "ok", "context": {"list": ["A_KEY=***", 1]}}
    assert fact.data["context"] == {"list": ["A_KEY=abc", 1]}


def test_values_of_every_kind() -> None:
    """Structs and attrs classes are redacted too, and all else is given back as it is."""
    redactor = Redactor({})
    task = Task(id="1", session_id="s", title="A_KEY=abc", status=TaskStatus.PENDING)
    seen = TasksOf([task, 1], "x")
    redacted = redactor.value(seen)
    assert redacted == TasksOf([msgspec.structs.replace(task, title="A_KEY=***"), 1], "x")
    assert redactor.value(redacted) is redacted
    for other in (None, 1.5, b"A_KEY=abc", TaskStatus.PENDING, ("a", "b")):
        assert redactor.value(other) is other


@attrs.frozen
class TasksOf:
    """Something with texts inside."""

    tasks: list[object]
    name: str
