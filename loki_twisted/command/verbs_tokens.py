"""The verb ``lokictl token``: it works on a file of tokens, and asks no server."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from loki_twisted.access.interface import Scope
from loki_twisted.access.token_file import (
    TokenFileRefused,
    change_tokens,
    read_tokens,
    tokens_of,
)
from loki_twisted.access.tokens import (
    NEVER,
    Token,
    digest_of,
    expiry_text,
    line_of,
    read_expiry,
    read_name,
    read_scopes,
    scopes_text,
    token_in,
)
from loki_twisted.command.arguments import USAGE_EXIT
from loki_twisted.command.options import new_token
from loki_twisted.model.timestamps import LATEST_MS, iso_from_ms
from loki_twisted.model.wire import Shape

T = TypeVar("T")

REFUSED_EXIT: Final = 1

_DEFAULT_SCOPES: Final = "read,write"
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([dhm])", re.ASCII)
_MS_OF_UNIT: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000}


class KnownToken(Shape, frozen=True, kw_only=True):
    """
    A token as it is told to programs.

    :ivar token: Itself, where it was just made; it is told nowhere else.
    """

    name: str
    scopes: list[str]
    expires_at: str | None
    expired: bool
    token: str | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, token: Token, now_ms: int) -> KnownToken:
        """Say what is known of a token that has been read."""
        return cls(
            name=token.name,
            scopes=[each.value for each in Scope if each in token.scopes],
            expires_at=None if token.expires_ms is None else iso_from_ms(token.expires_ms),
            expired=token.is_over(now_ms),
        )


class KnownTokens(Shape, frozen=True):
    """The tokens of a file, in their order."""

    tokens: list[KnownToken]


class TakenBack(Shape, frozen=True):
    """A token that is good for nothing any more."""

    name: str
    message: str


def manage_tokens(given: argparse.Namespace) -> int:
    """Create, list or revoke tokens. What is made is printed this once."""
    try:
        if not given.file:
            raise ValueError("--file is needed: the one of loki serve --token-file")
        if (given.name is None) != (given.action == "list"):
            raise ValueError("NAME is needed to create and to revoke, and nowhere else")
        exit_code: int = _ACTIONS[given.action](given)
    except (TokenFileRefused, ValueError) as error:
        print(f"lokictl token: {error}", file=sys.stderr)
        return USAGE_EXIT if isinstance(error, ValueError) else REFUSED_EXIT
    return exit_code


def _create(given: argparse.Namespace) -> int:
    secret = new_token()
    made = Token(
        name=_argument("NAME", read_name, given.name),
        digest=digest_of(secret.encode()),
        scopes=_argument("--scopes", read_scopes, given.scopes or _DEFAULT_SCOPES),
        expires_ms=_expiry(given.expires or NEVER, _now_ms()),
    )

    def add(lines: list[str]) -> Sequence[str]:
        if any(each.name == made.name for each in tokens_of(given.file, lines)):
            raise TokenFileRefused(f"there is a token {made.name!r} already; revoke it first")
        return [*lines, line_of(made)]

    change_tokens(given.file, add)
    if given.json:
        known = KnownToken.of(made, _now_ms())
        return _print_json(msgspec.structs.replace(known, token=secret))
    print(secret)
    print("This is the only time that the token is shown.", file=sys.stderr)
    return 0


def _list(given: argparse.Namespace) -> int:
    now = _now_ms()
    tokens = read_tokens(given.file)
    if given.json:
        return _print_json(KnownTokens([KnownToken.of(each, now) for each in tokens]))
    rows = [("NAME", "SCOPES", "EXPIRES")]
    for each in tokens:
        expiry = expiry_text(each.expires_ms) + (" (expired)" if each.is_over(now) else "")
        rows.append((each.name, scopes_text(each.scopes), expiry))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    return 0


def _revoke(given: argparse.Namespace) -> int:
    def remove(lines: list[str]) -> Sequence[str]:
        by_name = {each.name: each.digest for each in tokens_of(given.file, lines)}
        gone = by_name.get(given.name)
        if gone is None:
            raise TokenFileRefused(f"there is no token {given.name!r}; see: lokictl token list")
        held = [(line, token_in(line, number)) for number, line in enumerate(lines, 1)]
        return [line for line, token in held if token is None or token.digest != gone]

    change_tokens(given.file, remove)
    done = TakenBack(given.name, f"The token {given.name} is taken back.")
    if given.json:
        return _print_json(done)
    print(done.message)
    return 0


def _print_json(told: msgspec.Struct) -> int:
    print(msgspec.json.encode(told).decode())
    return 0


_ACTIONS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "create": _create,
    "list": _list,
    "revoke": _revoke,
}


def _expiry(text: str, now_ms: int) -> int | None:
    match = _DURATION.fullmatch(text)
    if match is None:
        expires_ms = _argument("--expires", _read_expiry, text)
    else:
        expires_ms = now_ms + int(match[1]) * _MS_OF_UNIT[match[2]]
    if expires_ms is not None and not now_ms < expires_ms <= LATEST_MS:
        raise ValueError(f"--expires: {text!r} is no time to come")
    return expires_ms


def _read_expiry(text: str) -> int | None:
    try:
        return read_expiry(text)
    except ValueError:
        raise ValueError("is no time; give one like 30d, 12h, 15m, 2027-01-31 or never") from None


def _argument(where: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{where}: {text!r} {error}") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
