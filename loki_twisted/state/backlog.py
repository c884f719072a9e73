"""What is to be told of a state directory and was not told yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from operator import itemgetter

import attrs

from loki_twisted.state.layout import ILayout


@attrs.frozen(slots=True)
class Portion:
    """
    A part of a backlog: what is told at once.

    :ivar gone: Ids of sessions whose directories have vanished.
    :ivar files: Paths of state files to read, in the order in which to tell them.
    :ivar logs: Paths of logs to read on.
    """

    gone: Sequence[str] = ()
    files: Sequence[str] = ()
    logs: Sequence[str] = ()

    def without(self, other: Portion) -> Portion:
        """What is in this one and not in another."""
        gone, files, logs = set(other.gone), set(other.files), set(other.logs)
        return Portion(
            [session_id for session_id in self.gone if session_id not in gone],
            [path for path in self.files if path not in files],
            [path for path in self.logs if path not in logs],
        )

    def __bool__(self) -> bool:
        return bool(self.gone or self.files or self.logs)


class Backlog:
    """
    Paths to be read, first come first served; each is in it once.

    Files of one session stay together, so that they are told in the order of their ranks.
    """

    def __init__(self, layout: ILayout) -> None:
        """
        Begin with nothing.

        :param layout: Knows which session a file belongs to, and what comes early.
        """
        self._layout = layout
        self._gone: dict[str, None] = {}
        self._files: dict[str | None, dict[str, int]] = {}  # with their ranks
        self._logs: dict[str, None] = {}

    def add_gone(self, session_ids: Iterable[str]) -> None:
        """Sessions have vanished. They are told before anything else."""
        self._gone.update(dict.fromkeys(session_ids))

    def add_files(self, paths: Iterable[str]) -> None:
        """Files have changed."""
        for path in paths:
            group = self._files.setdefault(self._layout.session_of(path), {})
            if path not in group:
                group[path] = self._layout.rank(path) or 0

    def add_logs(self, paths: Iterable[str]) -> None:
        """Logs have changed."""
        self._logs.update(dict.fromkeys(paths))

    def drop_file(self, path: str) -> None:
        """A file is not there any more."""
        group = self._layout.session_of(path)
        paths = self._files.get(group, {})
        paths.pop(path, None)
        if not paths:
            self._files.pop(group, None)

    def put_back(self, portion: Portion) -> None:
        """What was taken out could not be told."""
        self.add_gone(portion.gone)
        self.add_files(portion.files)
        self.add_logs(portion.logs)

    def take(self, groups: int, logs: int, files: int) -> Portion:
        """
        Take out what has waited longest.

        :param groups: Of how many sessions, at most.
        :param logs: Of how many logs, at most.
        :param files: How many files, at most. Of a session with more of them those of the lowest
            ranks come first, and the others as if they had come just now.
        """
        chosen: list[tuple[int, str]] = []
        for group in list(self._files)[:groups]:
            if len(chosen) < files:
                chosen += self._take_of(group, files - len(chosen))
        taken = list(self._logs)[:logs]
        for path in taken:
            del self._logs[path]
        gone = tuple(self._gone)
        self._gone.clear()
        in_order = sorted(chosen, key=itemgetter(0))
        return Portion(gone, tuple(path for _, path in in_order), tuple(taken))

    def _take_of(self, group: str | None, most: int) -> list[tuple[int, str]]:
        ranks = self._files.pop(group)
        found = nsmallest(most, zip(ranks.values(), ranks, strict=True))
        for _, path in found:
            del ranks[path]
        if ranks:
            self._files[group] = ranks
        return found

    @property
    def has_files(self) -> bool:
        """Whether there are state files in it."""
        return bool(self._files)

    def everything(self) -> Portion:
        """All there is, without taking it out, in no order."""
        files = [path for paths in self._files.values() for path in paths]
        return Portion(tuple(self._gone), files, tuple(self._logs))

    def __bool__(self) -> bool:
        return bool(self._gone or self._files or self._logs)
