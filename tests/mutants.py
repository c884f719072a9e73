"""Ways in which the file of a log can be damaged: functions of a path and of chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from random import Random

import apsw

from loki_twisted.log.schema import VERSION

Mutation = Callable[[Path, Random], None]

PAGE = 4096


def cut(path: Path, chance: Random) -> None:
    """Lose the end, from any byte on."""
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data))])


def flip(path: Path, chance: Random) -> None:
    """Change 1 to 64 bytes anywhere."""
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 64)):
        data[chance.randrange(len(data))] ^= chance.randint(1, 255)
    path.write_bytes(data)


def zero_a_page(path: Path, chance: Random) -> None:
    """Lose all of a page."""
    data = bytearray(path.read_bytes())
    start = chance.randrange(len(data) // PAGE) * PAGE
    data[start : start + PAGE] = bytes(PAGE)
    path.write_bytes(data)


def lose_the_wal(path: Path, chance: Random) -> None:
    """Lose the write-ahead log."""
    path.with_name(f"{path.name}-wal").unlink(missing_ok=True)


def swap_the_wal(path: Path, chance: Random) -> None:
    """Have bytes of no meaning for a write-ahead log."""
    path.with_name(f"{path.name}-wal").write_bytes(chance.randbytes(3 * PAGE))


def flip_the_wal(path: Path, chance: Random) -> None:
    """Change bytes of the write-ahead log, if there are any."""
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        flip(wal, chance)


def empty(path: Path, chance: Random) -> None:
    """Lose all of it."""
    path.write_bytes(b"")


def text(path: Path, chance: Random) -> None:
    """Have a text in its place."""
    path.write_text("Dear diary, " * chance.randint(1, 2000), "utf-8")


def directory(path: Path, chance: Random) -> None:
    """Have a directory in its place."""
    path.unlink()
    path.mkdir()


def newer(path: Path, chance: Random) -> None:
    """Have it of a later version."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("user_version", VERSION + chance.randint(1, 9))
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def foreign(path: Path, chance: Random) -> None:
    """Have the database of another program in its place."""
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE theirs(x); INSERT INTO theirs VALUES (1)")


DAMAGES: Mapping[str, Mutation] = {
    each.__name__: each
    for each in (
        *(cut, flip, zero_a_page, lose_the_wal, swap_the_wal, flip_the_wal, empty, text),
        *(directory, newer, foreign),
    )
}
REFUSED = frozenset({"directory", "newer", "foreign"})
"""What is not ours, or not ours yet, stays as it is, and no server starts."""
