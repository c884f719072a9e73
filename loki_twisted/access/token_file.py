"""
Files of tokens: read by the server, changed by ``lokictl token``.

A file is changed by putting another one in its place, so that whoever reads it sees all of the one
or all of the other. Who changes it holds a lock on its directory: that one stays when files go.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from loki_twisted.access.tokens import Token, token_in
from loki_twisted.model.errors import LokiError

MOST_BYTES: Final = 256 * 1024
MOST_TOKENS: Final = 1000
"""Each one is compared with what a request shows."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_ROOT: Final = 0

Lines = Sequence[str]


class TokenFileRefused(LokiError):
    """A file of tokens cannot be used. The message is one line, and holds no token."""


def read_tokens(path: str) -> tuple[Token, ...]:
    """
    Read all tokens of a file.

    :returns: In the order of the file; the same plain token twice counts once.
    :raises TokenFileRefused: if it cannot be read, if other users could, or if any line is wrong.
    """
    return tokens_of(path, read_lines(path))


def tokens_of(path: str, lines: Lines) -> tuple[Token, ...]:
    """
    Make the tokens of the lines of a file.

    :raises TokenFileRefused: if any line is wrong, or there are two of a name or too many.
    """
    by_digest: dict[bytes, Token] = {}
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        try:
            token = token_in(line, number)
        except ValueError as error:
            raise TokenFileRefused(f"{path}: line {number} {error}.") from None
        if token is None or (token.is_plain and token.digest in by_digest):
            continue
        if token.name in names or token.digest in by_digest:
            raise TokenFileRefused(f"{path}: line {number} is the second of a name or a token.")
        names.add(token.name)
        by_digest[token.digest] = token
    if len(by_digest) > MOST_TOKENS:
        raise TokenFileRefused(f"{path}: holds more than {MOST_TOKENS} tokens.")
    return tuple(by_digest.values())


def read_lines(path: str) -> list[str]:
    """
    Read the lines of a file that only its owner may read.

    :raises TokenFileRefused: if it is anything else.
    """
    try:
        with _opened(path) as handle:
            _refuse_strangers(path, os.fstat(handle))
            with open(handle, "rb", closefd=False) as file:
                content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TokenFileRefused(f"{path}: cannot be read: {error.strerror}.") from None
    if len(content) > MOST_BYTES:
        raise TokenFileRefused(f"{path}: is longer than {MOST_BYTES} bytes.")
    try:
        return content.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise TokenFileRefused(f"{path}: cannot be read: not UTF-8.") from None


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    # Not to wait for somebody to write into what is a pipe.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield handle
    finally:
        os.close(handle)


def _refuse_strangers(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise TokenFileRefused(f"{path}: cannot be read: no regular file.")
    if status.st_uid not in {os.geteuid(), _ROOT}:
        raise TokenFileRefused(f"{path}: belongs to user {status.st_uid}, not to us.")
    if status.st_mode & _OTHERS:
        raise TokenFileRefused(f"{path}: may be read by other users; chmod 600 takes that away.")


def change_tokens(path: str, change: Callable[[list[str]], Lines]) -> None:
    """
    Change the lines of a file, all or nothing, one at a time. A file that is not there is made.

    :param change: Given the lines that there are, makes those that there are to be. What it raises
        is raised, and nothing is changed.
    :raises TokenFileRefused: if the file cannot be used or written, or would be wrong.
    """
    real = os.path.realpath(path)  # a link goes on to lead to it
    try:
        with _locked(os.path.dirname(real)) as directory:
            there = read_lines(real) if os.path.lexists(real) else []
            lines = list(change(there[:-1] if there[-1:] == [""] else there))
            tokens_of(path, lines)
            _replace(real, "".join(f"{line}\n" for line in lines).encode("utf-8"), directory)
    except OSError as error:
        raise TokenFileRefused(f"{path}: cannot be written: {error.strerror}.") from None


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[int]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _replace(path: str, content: bytes, directory: int) -> None:
    aside = f"{path}.{os.getpid()}.new"
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb") as file:
            os.fchmod(handle, 0o600)  # whatever the umask took away
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
    os.fsync(directory)
