"""Tests of :mod:`loki_twisted.access.tokens`, of their file and of the keyring."""

from __future__ import annotations

import errno
import hmac
import os
import stat
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from loki_twisted.access import token_file
from loki_twisted.access.interface import EVERY_SCOPE, LOCAL, IKeyring, Scope
from loki_twisted.access.keyring import Keyring
from loki_twisted.access.token_file import (
    MOST_BYTES,
    MOST_TOKENS,
    TokenFileRefused,
    change_tokens,
    read_tokens,
)
from loki_twisted.access.token_watch import TokenWatch
from loki_twisted.access.tokens import (
    Token,
    digest_of,
    expiry_text,
    line_of,
    plain_token,
    read_expiry,
    read_name,
    token_in,
)
from loki_twisted.model.timestamps import LATEST_MS

DIGEST = digest_of(b"a-right-token")
HEX = "sha256:" + DIGEST.hex()
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True).filter(
    lambda name: (
        name.lower() not in {"local", "policy", "loki_api_token"}
        and not name.lower().startswith("line-")
    )
)
REFUSALS = (
    "is no token: printable ASCII without blanks",
    "is no token: neither one word nor a name, a hash, scopes and an expiry",
    "holds no hash: sha256: and 64 hexadecimal digits",
    "has no right name",
    "has no right scopes",
    "has no right expiry",
)
TOKENS = st.builds(
    Token,
    name=NAMES,
    digest=st.binary(min_size=32, max_size=32),
    scopes=st.sets(st.sampled_from(Scope), min_size=1).map(frozenset),
    expires_ms=st.none() | st.integers(0, LATEST_MS),
)


def written(path: Path, *lines: str, mode: int = 0o600) -> str:
    """Write a file of tokens; gives its path."""
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(mode)
    return str(path)


# Lines


@given(TOKENS)
def test_a_line_says_all_of_a_token(token: Token) -> None:
    """What is written of a token is read as the same again."""
    assert token_in(line_of(token), 7) == token


@pytest.mark.threat("T12")
@given(st.text())
def test_no_line_is_repeated_by_its_refusal(line: str) -> None:
    """Any line is a token, or nothing, or refused with words of ours: it may be a secret."""
    try:
        token = token_in(line, 3)
    except ValueError as error:
        said = str(error)
    else:
        assert token is None or token.is_plain or token_in(line_of(token), 3) == token
        return
    assert said in REFUSALS


def test_the_old_form_is_a_token_for_everything() -> None:
    """One word on a line is the token itself, with all scopes and without an end."""
    token = token_in("  s3cret-of-old  ", 4)
    assert token is not None
    assert (token.name, token.scopes, token.expires_ms) == ("line-4", EVERY_SCOPE, None)
    assert token.digest == sha256(b"s3cret-of-old").digest()
    assert "s3cret" not in repr(token)


@pytest.mark.parametrize("line", ["", "   ", "#", "# a comment of several words"])
def test_empty_lines_and_comments_say_nothing(line: str) -> None:
    """They may stand anywhere."""
    assert token_in(line, 1) is None


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("two words", "is no token"),
        (f"ci {HEX} read", "is no token"),
        (f"ci {HEX} read never more", "is no token"),
        ("gr\u00fcn", "is no token"),
        ("x" * 1025, "is no token"),
        (f"ci {HEX[:-1]} read never", "holds no hash"),
        (f"ci {HEX.upper()} read never", "holds no hash"),
        (f"ci md5:{'0' * 64} read never", "holds no hash"),
        (f"ci {HEX} all never", "has no right scopes"),
        (f"ci {HEX} read,,write never", "has no right scopes"),
        (f"ci {HEX} READ never", "has no right scopes"),
        (f"ci {HEX} read tomorrow", "has no right expiry"),
        (f"ci {HEX} read 1969-12-31", "has no right expiry"),
        (f"local {HEX} read never", "has no right name"),
        (f"Policy {HEX} read never", "has no right name"),
        (f"line-3 {HEX} read never", "has no right name"),
        (f"../ci {HEX} read never", "has no right name"),
        (f"{'n' * 65} {HEX} read never", "has no right name"),
    ],
)
def test_wrong_lines_are_refused(line: str, fault: str, tmp_path: Path) -> None:
    """A file with a line that is neither form is refused whole, in one line that names the line."""
    path = written(tmp_path / "tokens", "# mine", line)
    with pytest.raises(TokenFileRefused, match=r"^[^\n]+$") as refused:
        read_tokens(path)
    assert f"{path}: line 2 {fault}" in str(refused.value)
    assert DIGEST.hex() not in str(refused.value)


@pytest.mark.parametrize("text", ["", "a b", "_a", "x" * 65, "local", "LOKI_API_TOKEN", "Line-1"])
def test_names_that_stand_for_somebody_else_are_refused(text: str) -> None:
    """No token can be called as those are who need none, or what is in no file."""
    with pytest.raises(ValueError, match="is no name for a token"):
        read_name(text)


def test_expiries_are_in_utc() -> None:
    """A day is its first moment; with an offset it is that moment."""
    assert read_expiry("2027-01-31") == read_expiry("2027-01-31T01:00:00+01:00")
    assert expiry_text(read_expiry("2027-01-31")) == "2027-01-31T00:00:00.000Z"
    assert read_expiry("never") is None


# Files


def test_a_file_may_hold_both_forms(tmp_path: Path) -> None:
    """Named tokens and plain ones, in their order; the same plain one twice counts once."""
    path = written(
        tmp_path / "tokens", "plain-token", f"ci {HEX} write,read 2027-01-31", "plain-token"
    )
    plain, named = read_tokens(path)
    assert plain == plain_token("line-1", "plain-token")
    assert (named.name, named.scopes) == ("ci", {Scope.READ, Scope.WRITE})


@pytest.mark.parametrize(
    "lines",
    [
        (f"ci {HEX} read never", f"ci sha256:{'0' * 64} read never"),
        (f"ci {HEX} read never", f"cd {HEX} write never"),
        ("a-right-token", f"cd {HEX} read never"),
    ],
)
def test_two_of_a_name_or_a_token_are_refused(lines: tuple[str, ...], tmp_path: Path) -> None:
    """Nobody could say which of the two counts."""
    with pytest.raises(TokenFileRefused, match="line 2 is the second"):
        read_tokens(written(tmp_path / "tokens", *lines))


@pytest.mark.threat("T34")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o644])
def test_a_file_that_others_can_open_is_refused(mode: int, tmp_path: Path) -> None:
    """Who can read it has the plain tokens, and who can write it opens all."""
    with pytest.raises(TokenFileRefused, match="may be read by other users; chmod 600"):
        read_tokens(written(tmp_path / "tokens", "a-token", mode=mode))


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe without a writer, a directory and nothing at all are each one line."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "directory").mkdir()
    for name, fault in (("pipe", "no regular file"), ("directory", ""), ("none", "No such file")):
        open_before = os.listdir("/proc/self/fd")
        with pytest.raises(TokenFileRefused, match=f"cannot be read: .*{fault}"):
            read_tokens(str(tmp_path / name))
        assert os.listdir("/proc/self/fd") == open_before


def test_a_file_is_bounded(tmp_path: Path) -> None:
    """Each token costs a comparison for each request."""
    with pytest.raises(TokenFileRefused, match="more than 1000 tokens"):
        read_tokens(written(tmp_path / "many", *(f"token-{n}" for n in range(MOST_TOKENS + 1))))
    with pytest.raises(TokenFileRefused, match="is longer than"):
        read_tokens(written(tmp_path / "long", "#" + " " * MOST_BYTES))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "bytes").chmod(0o600)
    with pytest.raises(TokenFileRefused, match="not UTF-8"):
        read_tokens(str(tmp_path / "bytes"))


def test_changing_makes_a_private_file_whatever_the_umask(tmp_path: Path) -> None:
    """A new file and one that replaces another are 0600; nothing else is left beside them."""
    path = tmp_path / "tokens"
    before = os.umask(0)
    try:
        for word in ("first", "second"):
            change_tokens(str(path), lambda lines, word=word: [*lines, word])  # type: ignore[misc]
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert path.read_text() == "first\nsecond\n"
    assert os.listdir(tmp_path) == ["tokens"]


def test_a_change_that_would_be_wrong_changes_nothing(tmp_path: Path) -> None:
    """The file stays byte for byte, with its comments, and nothing is left beside it."""
    path = written(tmp_path / "tokens", "# mine", f"ci {HEX} read never")
    before = Path(path).read_bytes()
    with pytest.raises(TokenFileRefused, match="line 3 is the second"):
        change_tokens(path, lambda lines: [*lines, f"ci sha256:{'0' * 64} read never"])
    with pytest.raises(TokenFileRefused, match="cannot be written: No such file"):
        change_tokens(str(tmp_path / "none" / "tokens"), list)
    assert Path(path).read_bytes() == before
    assert os.listdir(tmp_path) == ["tokens"]


def test_a_link_goes_on_to_lead_to_the_file(tmp_path: Path) -> None:
    """What is changed is the file that it leads to."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "tokens").symlink_to("etc/tokens")
    change_tokens(str(tmp_path / "tokens"), lambda lines: [*lines, "a-token"])
    assert (tmp_path / "tokens").is_symlink()
    assert (tmp_path / "etc" / "tokens").read_text() == "a-token\n"


def test_changes_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Each of many who add a token at once finds those of the others."""
    path = str(tmp_path / "tokens")
    ready = threading.Barrier(8)

    def add(number: int) -> None:
        ready.wait(30)
        for each in range(5):
            word = f"token-{number}-{each}"
            change_tokens(path, lambda lines, word=word: [*lines, word])  # type: ignore[misc]

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(read_tokens(path)) == 40


# The keyring


@pytest.mark.threat("T11")
def test_a_keyring_finds_who_shows_a_token() -> None:
    """By the whole token alone: none that is longer, shorter or near it."""
    keyring = Keyring([plain_token("one", "a-right-token"), plain_token("two", "another")])
    assert verifyObject(IKeyring, keyring)
    found = keyring.find(b"a-right-token")
    assert found is not None
    assert (found.name, found.scopes) == ("one", EVERY_SCOPE)
    for wrong in (b"", b"a-right-toke", b"a-right-token ", b"A-right-token", DIGEST, HEX.encode()):
        assert keyring.find(wrong) is None


@pytest.mark.threat("T11", "B27")
@pytest.mark.parametrize("shown", [b"token-0", b"token-9", b"xoken-0", b"token-x", b"", b"x" * 999])
def test_every_token_is_compared_whatever_is_shown(
    shown: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hashes of one length, in constant time, all of them: the time tells nothing of any."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    keyring = Keyring([plain_token(f"name-{n}", f"token-{n}") for n in range(10)])
    monkeypatch.setattr(hmac, "compare_digest", compare)
    keyring.find(shown)
    assert compared == [(32, 32)] * 10


def test_a_token_is_good_until_it_expires() -> None:
    """At its last millisecond it opens, at the next it does not, and who came in by it goes."""
    now = [999]
    token = Token(name="ci", digest=DIGEST, scopes=frozenset({Scope.READ}), expires_ms=1000)
    keyring = Keyring([token], lambda: now[0])
    caller = keyring.find(b"a-right-token")
    assert caller is not None
    assert keyring.stands(caller)
    now[0] = 1000
    assert keyring.find(b"a-right-token") is None
    assert not keyring.stands(caller)


def test_who_comes_by_a_token_goes_with_it() -> None:
    """A token that is gone or has other scopes is not the one that was shown; names may change."""
    keyring = Keyring([Token(name="ci", digest=DIGEST)])
    caller = keyring.find(b"a-right-token")
    assert caller is not None
    keyring.replace([Token(name="cd", digest=DIGEST, expires_ms=LATEST_MS)])
    assert keyring.stands(caller)
    for other in (
        [],
        [Token(name="ci", digest=digest_of(b"rotated"))],
        [Token(name="ci", digest=DIGEST, scopes=frozenset({Scope.READ}))],
    ):
        keyring.replace(other)
        assert not keyring.stands(caller)
    assert keyring.stands(LOCAL)


def test_where_there_was_a_token_one_that_is_shown_has_to_be_right() -> None:
    """When the last one is taken back, a wrong one is not as good as none."""
    keyring = Keyring()
    assert not keyring.asks
    keyring.replace([plain_token("one", "a-right-token")])
    keyring.replace([])
    assert keyring.asks


# What changes in a file


class Watched:
    """A file of tokens that is watched, on a clock that stands still."""

    def __init__(self, path: Path, *lines: str) -> None:
        self.path = path
        written(path, *lines)
        self.clock = Clock()
        self.settled = 0
        self.keyring = Keyring()
        self.watch = TokenWatch(self.clock, str(path), self.keyring, self._settle)
        self.watch.load()
        self.watch.start()

    def _settle(self) -> None:
        self.settled += 1

    def opens(self, token: bytes) -> bool:
        """Whether a token is good now."""
        return self.keyring.find(token) is not None


def test_a_change_is_taken_up_when_it_is_complete(tmp_path: Path) -> None:
    """Within two looks of a file that stays as it is, and not while it is still written."""
    watched = Watched(tmp_path / "tokens", "first-token")
    written(watched.path, "half")
    watched.clock.advance(1)
    written(watched.path, "half", "second-token")
    watched.clock.advance(1)
    assert (watched.opens(b"first-token"), watched.opens(b"half")) == (True, False)
    watched.clock.advance(1)
    assert (watched.opens(b"first-token"), watched.opens(b"second-token")) == (False, True)
    watched.watch.stop()
    assert watched.clock.getDelayedCalls() == []


def test_a_reload_takes_up_what_there_is_at_once(tmp_path: Path) -> None:
    """It does not wait for the next look, and who has lost a token is looked for."""
    watched = Watched(tmp_path / "tokens", "first-token")
    written(watched.path, "second-token")
    watched.watch.reload()
    assert watched.opens(b"second-token")
    assert watched.settled == 1


@pytest.mark.parametrize("trouble", ["gone", "open", "wrong"])
def test_a_file_that_becomes_wrong_locks_nobody_out(trouble: str, tmp_path: Path) -> None:
    """The tokens of before stay, it is told, and over when the file is right again."""
    watched = Watched(tmp_path / "tokens", "first-token")
    if trouble == "gone":
        watched.path.unlink()
    elif trouble == "open":
        written(watched.path, "second-token", mode=0o644)
    else:
        written(watched.path, "second-token of mine")
    for _ in range(3):
        watched.clock.advance(1)
    assert watched.opens(b"first-token")
    told = watched.watch.problem()
    assert told is not None
    assert told.startswith(f"The tokens are those of before: {watched.path}: ")
    written(watched.path, "third-token")
    for _ in range(2):
        watched.clock.advance(1)
    assert watched.watch.problem() is None
    assert (watched.opens(b"first-token"), watched.opens(b"third-token")) == (False, True)


def test_what_could_not_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a descriptor left nobody reads a file, which is then as it was: a token is gone."""
    watched = Watched(tmp_path / "tokens", "first-token")

    def failing(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    written(watched.path, "second-token")
    with monkeypatch.context() as patched:
        patched.setattr(token_file.os, "open", failing)
        watched.clock.pump([1] * 4)
        told = watched.watch.problem()
        assert told is not None
        assert "Too many open files" in told
    watched.clock.advance(1)
    assert watched.watch.problem() is None
    assert (watched.opens(b"first-token"), watched.opens(b"second-token")) == (False, True)
    assert watched.settled == 5


def test_expiry_is_looked_for_every_second_also_without_a_file() -> None:
    """Nothing has to change for a token to expire."""
    clock, settled = Clock(), []
    watch = TokenWatch(clock, None, Keyring(), lambda: settled.append(clock.seconds()))
    watch.start()
    clock.pump([1, 1, 1])
    assert settled == [1.0, 2.0, 3.0]
    watch.reload()
    assert len(settled) == 4
    watch.stop()
    watch.stop()
