"""
Following log files: each complete line once, whatever becomes of the file.

A :class:`~loki_twisted.state.held.Position` says where in which file reading goes on. It is
stored with what the lines became, so it is true over crashes. The file that it means is
known by its inode, its first bytes and the bytes before the place.

==========================  =====================================================
what happens to the file    what is read
==========================  =====================================================
it grows                    what is new, up to the last line end
it is truncated, or         from its beginning; what was not read before is lost
written anew in place
it is renamed               (to a name that is no log) the rest of it, wherever it lies in its
                            directory, until a new file of its old name has content
it is renamed               (to another log) the rest of it under its new name
it is deleted               the rest of it, if the server was running
it is replaced by its own   on from the same line: Loki Mode cuts its logs so. At least 4 KiB
end                         that were read must be kept, else all of it is read
it is moved out, and back   on from the same line, under any name
it appears                  all of it
it is there when a          what comes after that
project is first seen
==========================  =====================================================

The rest is not lost to a running server because it holds the files that it follows last
open. Everything here that touches files may block and is called in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import attrs

from loki_twisted.state.files import open_beneath
from loki_twisted.state.held import HeldLogs, LogFile, Position, maybe_log
from loki_twisted.state.lines import MAX_LINE, cut_lines

SUFFIX: Final = ".log"
"""How the name of a log ends."""

READ_SIZE: Final = 256 * 1024
"""The most bytes of one read."""

READ_LINES: Final = 2_000
"""The most lines of one read: each becomes an event, and costs the reactor some microseconds."""

_KEPT_SEARCH: Final = 2 * 1024 * 1024
_KEPT_PROBE: Final = 256
_KEPT_TRIES: Final = 16
_KEPT_AT_LEAST: Final = 4096
"""With fewer bytes in common, it may be chance that one file begins as the other ends."""


@attrs.frozen(slots=True)
class LogOrder:
    """
    Ask for the next lines of a log.

    :ivar path: Relative to the state directory.
    :ivar position: As of the last reading; None if it was not read before.
    :ivar from_end: For a log that was not read before: begin behind its last line.
    :ivar moved_to: Where the file of the position may lie, if not at ``path``; None if
        nobody knows.
    """

    path: str
    position: Position | None = None
    from_end: bool = False
    moved_to: str | None = None


@attrs.frozen(slots=True)
class LogReading:
    """
    The next lines of a log.

    :ivar position: Where to go on; None if there is nothing left to follow.
    :ivar has_more: Whether it is worth reading on at once.
    :ivar size: How many bytes were read.
    :ivar left: Where reading ended in the file that had the name before, if another has it now.
    :ivar lost: The position before, if its file is neither held nor to be found here.
    :ivar is_missing: Whether no file had the name.
    :ivar problem: Why it could not be read now; the position is that of before then.
    """

    path: str
    lines: Sequence[str]
    position: Position | None
    has_more: bool = False
    size: int = 0
    left: Position | None = None
    lost: Position | None = None
    is_missing: bool = False
    problem: str | None = None


def read_log(root: str, order: LogOrder, held: HeldLogs, limit: int = READ_SIZE) -> LogReading:
    """
    Read the next lines of a log.

    It may be repeated with the same order, for example because what was read could not be
    stored: so a file that came to its end stays held until it is forgotten, or until a
    later order is about the file after it.

    :param root: Absolute path of the state directory.
    :param held: Where the file is held open until the next time.
    :param limit: The most bytes to read; a little more than a line at least.
    """
    before = held.take(root, order.path)
    opened = [before]
    follow = before
    try:
        current = maybe_log(root, order.path)
        opened.append(current)
        if before is None or (order.position is not None and before.ino != order.position.ino):
            before = _moved(root, order, current) or before
        opened.append(before)
        reading, follow = _read(root, order, before, current, max(limit, MAX_LINE + 1))
        if current is None:
            reading = attrs.evolve(reading, is_missing=True)
    except OSError as failure:
        reason = f"cannot be read: {failure.strerror}"
        reading = LogReading(order.path, (), order.position, problem=reason)
    finally:
        for file in {file for file in opened if file is not None and file is not follow}:
            file.close()
    if follow is not None:
        held.keep(root, order.path, follow)
    return reading


def _moved(root: str, order: LogOrder, current: LogFile | None) -> LogFile | None:
    """Open the file of a position where it may lie now, if not under its own name."""
    if order.position is None or order.moved_to is None:
        return None
    if current is not None and current.ino == order.position.ino:
        return None
    return maybe_log(root, order.moved_to)


def _read(
    root: str, order: LogOrder, before: LogFile | None, current: LogFile | None, limit: int
) -> tuple[LogReading, LogFile | None]:
    """
    Find out what became of a log, and read on.

    :param before: The file that was followed, if it is still open.
    :param current: The file that has its name now.
    :returns: What was read, and the file to hold until the next time.
    """
    position = order.position
    if position is None:
        return _begin(order.path, current, limit, from_end=order.from_end)
    if current is not None and current.ino == position.ino:
        offset = position.offset if current.still_has(position) else 0
        return _advance(order.path, current, offset, limit), current
    # Its name stands for another file now, or for none.
    if before is None or before.ino != position.ino:
        return _begin_other(order.path, position, current, limit)
    if not before.still_has(position):
        return _begin(order.path, current, limit, from_end=False)
    if current is None or not current.size:
        rest = _read_rest(order.path, before, position.offset, limit, current is not None)
        return rest, before
    return _change_over(root, order.path, before, current, position.offset, limit), before


def _begin(
    path: str, file: LogFile | None, limit: int, *, from_end: bool
) -> tuple[LogReading, LogFile | None]:
    if file is None:
        return LogReading(path, (), None), None
    if from_end:
        return LogReading(path, (), file.position_at(_end_of_lines(file))), file
    return _advance(path, file, 0, limit), file


def _begin_other(
    path: str, position: Position, current: LogFile | None, limit: int
) -> tuple[LogReading, LogFile | None]:
    """Begin with the file that has a log's name now; the one of the position is not to be had."""
    kept_to = None if current is None else current.kept_to(position)
    if current is not None and kept_to is not None:
        return _advance(path, current, kept_to, limit), current
    reading, follow = _begin(path, current, limit, from_end=False)
    return attrs.evolve(reading, lost=position), follow


def _advance(
    path: str, file: LogFile, offset: int, limit: int, *, is_all: bool = False
) -> LogReading:
    data = file.read(limit, offset)
    has_more = len(data) == limit
    is_all = is_all and not has_more
    lines, used = cut_lines(data, is_all=is_all, most=READ_LINES)
    left = len(data) - used
    has_more = has_more or left > MAX_LINE or data.find(b"\n", used) >= 0 or (is_all and left > 0)
    return LogReading(path, lines, file.position_at(offset + used), has_more, len(data))


def _read_rest(path: str, file: LogFile, offset: int, limit: int, has_heir: bool) -> LogReading:
    """Read on in a file that lost its name, until there is another with something in it."""
    is_last = file.is_deleted and not has_heir
    reading = _advance(path, file, offset, limit, is_all=is_last)
    return attrs.evolve(reading, position=None) if is_last and not reading.has_more else reading


def _change_over(
    root: str, path: str, before: LogFile, current: LogFile, offset: int, limit: int
) -> LogReading:
    """Read a file to its end, then begin with the one that has its name now."""
    reading = _advance(path, before, offset, limit)
    if reading.has_more or reading.position is None:
        return reading
    offset = reading.position.offset
    kept_from = _kept_from(before, current)
    if kept_from is not None and kept_from <= offset:
        begin, lines = offset - kept_from, list(reading.lines)
    else:
        last = before.read(limit, offset)
        rest, used = cut_lines(last, is_all=bool(last) and _is_put_away(root, path, before))
        begin, lines, offset = 0, [*reading.lines, *rest], offset + used
    return LogReading(
        path,
        lines,
        current.position_at(begin),
        has_more=True,
        size=reading.size,
        left=before.position_at(offset),
    )


def _is_put_away(root: str, path: str, file: LogFile) -> bool:
    """
    Whether the last line of a file that lost its name is told without its end.

    That is so if it is deleted, or has a name beside its old one that is no log. Else it may be
    a log under another name, where the line is told when it is whole.
    """
    if file.is_deleted:
        return True
    try:
        directory = open_beneath(root, path.rpartition("/")[0] or ".")
    except OSError:
        return False  # it has moved, and the file perhaps with it
    try:
        with os.scandir(directory) as listing:
            return any(
                not entry.name.endswith(SUFFIX)
                and entry.stat(follow_symlinks=False).st_ino == file.ino
                for entry in listing
            )
    except FileNotFoundError:
        return False  # a name that is gone again
    finally:
        os.close(directory)


def _kept_from(before: LogFile, current: LogFile) -> int | None:
    """
    Find where in an old file the new one begins, if it begins with the end of the old.

    :returns: None if it does not, or if it is a copy of the whole.
    """
    start = max(0, before.size - _KEPT_SEARCH)
    old = before.read(_KEPT_SEARCH, start)
    new = current.read(len(old), 0)
    at = -1
    for _ in range(_KEPT_TRIES):
        at = old.find(new[:_KEPT_PROBE], at + 1)
        if at < 0 or len(old) - at < _KEPT_AT_LEAST:
            return None
        if start + at > 0 and new.startswith(old[at:]):
            return start + at
    return None


def _end_of_lines(file: LogFile) -> int:
    """Find the end of the last whole line; the end of the file where that is too far away."""
    size = file.size
    start = max(0, size - MAX_LINE)
    last = file.read(MAX_LINE, start).rfind(b"\n")
    if last >= 0:
        return start + last + 1
    return size if start else 0
