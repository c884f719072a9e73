"""
Recordings of Loki Mode: reading them, playing them into a directory, changing them.

``data/run*/timeline.jsonl`` holds every change below the ``.loki/`` of one run of the real program
(9.22.12), in order, as it was seen from outside, with a stand-in for its provider:

=========================  ==================================================================
run1-simple                two iterations, and it completes
run3-pause-human-stop      a pause, human input, going on, and ``loki stop``
run4-budget                the budget is exceeded: it pauses itself, twice, and is stopped
run4-fail                  the provider fails until no retry is left
run4-kill9                 SIGKILL, and another run after it, up to its limit of iterations
run5-prov-codex            the codex provider, which says nothing of its costs
=========================  ==================================================================
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

RECORDINGS = Path(__file__).parent / "data"
NAMES = sorted(path.parent.name for path in RECORDINGS.glob("*/timeline.jsonl"))


@attrs.frozen(kw_only=True)
class Write:
    """
    One change below ``.loki/``.

    :ivar operation: ``create``, ``modify`` (in place), ``rename`` (from a temporary name over it),
        ``append``, ``delete``, or ``move`` (of the file whose name this one's begins with).
    :ivar data: What the file holds then; of an append, what is added. None for a directory.
    """

    at_ms: int
    path: str
    operation: str
    data: bytes | None = None

    def carry_out(self, root: Path) -> None:
        """Change the files as the program did."""
        path = root / self.path
        if self.operation == "delete":
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            return
        if self.operation == "move":
            os.replace(path.with_suffix(""), path)
            return
        if self.data is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.operation == "rename":
            temporary = path.with_name(f".{path.name}.being-written")
            temporary.write_bytes(self.data)
            os.replace(temporary, path)
        else:
            with path.open("ab" if self.operation == "append" else "wb") as file:
                file.write(self.data)


def recorded(name: str) -> list[Write]:
    """All writes of a recording."""
    text = (RECORDINGS / name / "timeline.jsonl").read_text(encoding="utf-8")
    sizes: dict[str, int] = {}
    return [_write(json.loads(line), sizes) for line in text.splitlines()]


def _write(row: Mapping[str, Any], sizes: dict[str, int]) -> Write:
    path, operation = row["path"], row["op"]
    content, size = row.get("content"), row.get("size", 0)
    known = sizes.get(path, 0)
    data: bytes | None
    if operation == "delete":
        sizes.pop(path, None)
        return Write(at_ms=row["t_ms"], path=path, operation=operation)
    if row.get("dir"):
        data = None
    elif row.get("content_is") == "new lines only":
        data = b"".join(json.dumps(line).encode() + b"\n" for line in content)
        operation = "append"
    elif content is None and path.endswith(".log") and operation == "modify" and size > known:
        data, operation = filler(size - known), "append"
    elif content is None:
        data = filler(size)
    else:
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    sizes[path] = size
    return Write(at_ms=row["t_ms"], path=path, operation=operation, data=data)


def filler(size: int) -> bytes:
    """Text of this size in whole lines, where nobody knows what was there."""
    return (b"." * 79 + b"\n") * (size // 80) + (
        b"." * (size % 80 - 1) + b"\n" if size % 80 else b""
    )


def play(writes: Sequence[Write], root: Path, speed: float | None) -> None:
    """
    Write everything in order. Blocks.

    :param speed: So many times as fast as it was; None for as fast as the disk takes it.
    """
    began = time.monotonic()
    for write in writes:
        if speed is not None:
            wait = began + write.at_ms / 1000 / speed - time.monotonic()
            if wait > 0:
                time.sleep(wait)
        write.carry_out(root)


def mutated(writes: Sequence[Write], seed: int, share: float = 0.1) -> list[Write]:
    """Lose, repeat and tear some of the writes, always the same for a seed; the last stay whole."""
    chance = random.Random(seed)
    last = {write.path: number for number, write in enumerate(writes)}
    found: list[Write] = []
    for number, write in enumerate(writes):
        found += _mutations(write, chance, share, is_last=last[write.path] == number)
    return found


def _mutations(
    write: Write, chance: random.Random, share: float, *, is_last: bool
) -> Iterator[Write]:
    if write.operation in {"append", "delete", "move"}:
        yield write
        return
    can_be_lost = write.data is not None and not is_last
    fate = chance.random() / share
    if can_be_lost and fate < 0.3:
        return
    if write.data and fate < 0.6:
        torn = write.data[: chance.randrange(len(write.data))]
        yield attrs.evolve(write, data=torn, operation="modify")
    yield write
    if fate < 1.0:
        yield write
