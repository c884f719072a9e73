"""
Tokens as values: what is kept of one, and the line of a file that says it.

Of a token that we make only the SHA-256 is kept. A slow hash would add nothing: it is there to
make each guess dear where what is hashed can be guessed at all, and 256 random bits cannot. It
would only make each request dear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final, TypeVar

import attrs

from loki_twisted.access.interface import EVERY_SCOPE, Caller, Scope
from loki_twisted.model.timestamps import LATEST_MS, iso_from_ms, ms_from_iso

T = TypeVar("T")

TOKEN: Final = re.compile(r"[\x21-\x7e]{1,1024}")
"""Printable ASCII without blanks, as a header can carry it."""

SHORT_TOKEN: Final = 16
"""A token with fewer characters than this could be guessed."""

NEVER: Final = "never"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_RESERVED: Final = frozenset(("local", "policy", "loki_api_token"))
"""What stands in records for somebody else."""


@attrs.frozen(slots=True, kw_only=True)
class Token:
    """
    What is kept of a token.

    :ivar digest: Its SHA-256.
    :ivar expires_ms: From when on it is good for nothing, by the wall clock; None for never.
    :ivar is_plain: Whether the token itself stood where this was read.
    :ivar is_short: Whether it could be guessed, as far as is known.
    """

    name: str
    digest: bytes = attrs.field(repr=False)
    scopes: frozenset[Scope] = EVERY_SCOPE
    expires_ms: int | None = None
    is_plain: bool = False
    is_short: bool = False

    @property
    def caller(self) -> Caller:
        """Who shows it."""
        return Caller(self.name, self.scopes, self.digest)

    def is_over(self, now_ms: int) -> bool:
        """Whether it has expired."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


def digest_of(token: bytes) -> bytes:
    """Turn a token into what is kept of it and compared."""
    return sha256(token).digest()


def plain_token(name: str, token: str) -> Token:
    """Make a token that opens everything out of itself."""
    return Token(
        name=name,
        digest=digest_of(token.encode()),
        is_plain=True,
        is_short=len(token) < SHORT_TOKEN,
    )


def read_name(text: str) -> str:
    """Read the name of a token."""
    if not _NAME.fullmatch(text) or text.lower() in _RESERVED or text.lower().startswith("line-"):
        raise ValueError(
            "is no name for a token; take up to 64 of a-z, A-Z, 0-9, '.', '_' and '-', and not "
            "'local', 'policy', 'LOKI_API_TOKEN' or 'line-...'"
        )
    return text


def read_scopes(text: str) -> frozenset[Scope]:
    """Read scopes with commas between them."""
    try:
        return frozenset(Scope(each) for each in text.split(","))
    except ValueError:
        raise ValueError("is no list of scopes; give some of read,write,admin") from None


def read_expiry(text: str) -> int | None:
    """Read a time in UTC (a day is its beginning), or ``never``."""
    if text == NEVER:
        return None
    fault = "is no time; give one like 2027-01-31 or 2027-01-31T12:00:00Z, or never"
    try:
        milliseconds = ms_from_iso(text)
    except (ValueError, OverflowError):
        raise ValueError(fault) from None
    if not 0 <= milliseconds <= LATEST_MS:
        raise ValueError(fault)
    return milliseconds


def line_of(token: Token) -> str:
    """Write a token that is not plain as a line of a file."""
    return " ".join(
        (
            token.name,
            f"sha256:{token.digest.hex()}",
            scopes_text(token.scopes),
            expiry_text(token.expires_ms),
        )
    )


def scopes_text(scopes: Iterable[Scope]) -> str:
    """Write scopes, always in the same order."""
    given = frozenset(scopes)
    return ",".join(each.value for each in Scope if each in given)


def expiry_text(expires_ms: int | None) -> str:
    """Write when a token expires."""
    return NEVER if expires_ms is None else iso_from_ms(expires_ms)


def token_in(line: str, number: int) -> Token | None:
    """
    Read a line of a file.

    :param number: Of the line, from 1 on.
    :returns: None for a line that is empty or a comment (``#``, then a blank or nothing).
    :raises ValueError: if it is neither of them nor a token. What is wrong is said without it:
        it may be a secret.
    """
    words = line.split()
    if not words or words[0] == "#":
        return None
    if len(words) == 1:
        if not TOKEN.fullmatch(words[0]):
            raise ValueError("is no token: printable ASCII without blanks")
        return plain_token(f"line-{number}", words[0])
    if len(words) != len(("name", "digest", "scopes", "expiry")):
        raise ValueError("is no token: neither one word nor a name, a hash, scopes and an expiry")
    name, digest, scopes, expires = words
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise ValueError("holds no hash: sha256: and 64 hexadecimal digits")
    return Token(
        name=_of("name", read_name, name),
        digest=bytes.fromhex(match[1]),
        scopes=_of("scopes", read_scopes, scopes),
        expires_ms=_of("expiry", read_expiry, expires),
    )


def _of(what: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError:
        raise ValueError(f"has no right {what}") from None
