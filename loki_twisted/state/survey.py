"""
What is known of a tree, and how looking makes it true.

Nothing here decides when to look: that is ``tree.py``. All work is done by generators
that yield after each piece, so that the caller can stop for a while; one of them must end
before the next begins.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from loki_twisted.kernel import inotify
from loki_twisted.kernel.inotify import Notice
from loki_twisted.state.entries import Change, ChangeKind, Entry, entry_of, join, split
from loki_twisted.state.watches import Holder, Watches

ROOT: Final = ""
"""The relative path of the root."""

_PIECE: Final = 128
"""Entries looked at between two yields: well under a millisecond."""

_OF_ITSELF: Final = (
    inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF | inotify.IN_UNMOUNT | inotify.IN_IGNORED
)
_COMES: Final = inotify.IN_CREATE | inotify.IN_MOVED_TO
_IN_THE_TREE: Final = (
    _COMES
    | inotify.IN_MODIFY
    | inotify.IN_ATTRIB
    | inotify.IN_CLOSE_WRITE
    | inotify.IN_MOVED_FROM
    | inotify.IN_DELETE
    | inotify.IN_DELETE_SELF
    | inotify.IN_MOVE_SELF
    | inotify.IN_ONLYDIR
    | inotify.IN_DONT_FOLLOW
    | inotify.IN_EXCL_UNLINK
)
_ABOVE_THE_TREE: Final = (
    _COMES
    | inotify.IN_MOVED_FROM
    | inotify.IN_DELETE
    | inotify.IN_DELETE_SELF
    | inotify.IN_MOVE_SELF
    | inotify.IN_ONLYDIR
)
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

_GONE: Final = (FileNotFoundError, NotADirectoryError)


class Survey:
    """
    Everything known of one tree. Symbolic links are not followed, the root neither.

    :ivar root: Absolute path.
    :ivar changes: What has changed and was not taken yet; the caller empties it.
    :ivar refusal: Why the kernel watches a part of the tree or nothing at all, or None. While
        it is set no watch is asked for; the caller resets it to try again.
    :ivar unreadable: Directories that are there but cannot be listed, and why. What was
        known of them stays.
    """

    def __init__(
        self, root: str, watches: Watches, holder: Holder, excluded: Callable[[str], bool]
    ) -> None:
        """
        Know nothing yet.

        :param holder: Holds the watches and is given their notices.
        :param excluded: Of a relative path, whether nothing of it is to be touched.
        """
        self.root = root
        self.changes: list[Change] = []
        self.refusal: OSError | None = None
        self.unreadable: dict[str, OSError] = {}
        self._watches = watches
        self._holder = holder
        self._excluded = excluded
        self._known: dict[str, dict[str, Entry]] = {}
        self._path_of_watch: dict[int, str] = {}
        self._watch_of_path: dict[str, int] = {}
        self._awaited: tuple[int, str] | None = None

    def absolute(self, path: str) -> str:
        """The absolute path of a relative one."""
        return join(self.root, path) if path else self.root

    def entries(self, directory: str) -> Mapping[str, Entry]:
        """What is known of a directory; empty if it is not known."""
        return self._known.get(directory, {})

    def has_root(self) -> bool:
        """Whether the root was there when it was last looked at."""
        return ROOT in self._known

    def close(self) -> None:
        """Give all watches back."""
        for wd in self._path_of_watch:
            self._watches.remove(wd, self._holder)
        self._path_of_watch.clear()
        self._watch_of_path.clear()
        self._await(None)

    # Where a notice points

    def place_of(self, notice: Notice) -> tuple[str, str | None] | None:
        """
        Say where a notice asks to look.

        :returns: A directory and a name in it, or None for all of the directory; None alone if
            the notice concerns nothing in the tree.
        """
        if self._awaited is not None and notice.wd == self._awaited[0]:
            concerns = notice.mask & _OF_ITSELF or os.fsdecode(notice.name) == self._awaited[1]
            if notice.mask & inotify.IN_IGNORED:
                self._awaited = None
            return (ROOT, None) if concerns else None
        directory = self._path_of_watch.get(notice.wd)
        if directory is None:
            return None
        if notice.mask & inotify.IN_IGNORED:  # the kernel has dropped the watch
            self._forget(notice.wd, directory)
        if not notice.mask & _OF_ITSELF:
            return directory, os.fsdecode(notice.name) or None
        return (ROOT, None) if directory == ROOT else split(directory)

    # Looking

    def look_at(
        self, directory: str, names: Iterable[str] | None, found: list[str]
    ) -> Iterator[None]:
        """
        Look at what was marked.

        :param names: What to look at; None for the whole directory.
        :param found: Directories below that are to be looked at next are put here.
        """
        known = self._known.get(directory)
        if names is None or known is None:
            yield from self.look_over(directory, found, deep=False)
            return
        for name in names:
            path = join(directory, name)
            if self._excluded(path):
                continue
            before = known.get(name)
            try:
                after = entry_of(os.lstat(self.absolute(path)))
            except _GONE:
                if before is not None:
                    del known[name]
                    yield from self._remove(path, before)
                continue
            except OSError:
                continue  # what cannot be looked at is told when its directory is listed
            known[name] = after
            # A notice is reason enough: on older kernels two writes can have the same time.
            yield from self._compare(path, before, after, found, deep=False, touched=True)
        yield

    def look_over(self, directory: str, found: list[str], *, deep: bool) -> Iterator[None]:
        """
        Look at a whole directory.

        :param found: Directories below that are to be looked at next are put here.
        :param deep: Put all directories there, not only those that may have changed.
        """
        entries: dict[str, Entry] = {}
        try:
            # Watched first, listed after: nothing falls between.
            if directory == ROOT:
                self._watch_above()
            self._watch(directory)
            yield from self._read(directory, entries)
        except _GONE:
            yield from self._lost(directory, found)
            return
        except OSError as failure:
            self.unreadable[directory] = failure
            return
        self.unreadable.pop(directory, None)
        before = self._known.get(directory, {})
        self._known[directory] = entries
        for count, name in enumerate(before.keys() - entries.keys(), 1):
            yield from self._remove(join(directory, name), before[name])
            if count % _PIECE == 0:
                yield
        for count, (name, entry) in enumerate(entries.items(), 1):
            path = join(directory, name)
            yield from self._compare(path, before.get(name), entry, found, deep=deep)
            if count % _PIECE == 0:
                yield
        yield

    def _read(self, directory: str, entries: dict[str, Entry]) -> Iterator[None]:
        descriptor = os.open(self.absolute(directory), _LIST)
        try:
            with os.scandir(descriptor) as listing:
                for count, item in enumerate(listing, 1):
                    if not self._excluded(join(directory, item.name)):
                        with suppress(FileNotFoundError):
                            entries[item.name] = entry_of(item.stat(follow_symlinks=False))
                    if count % _PIECE == 0:
                        yield
        finally:
            os.close(descriptor)

    def _compare(
        self,
        path: str,
        before: Entry | None,
        after: Entry,
        found: list[str],
        *,
        deep: bool,
        touched: bool = False,
    ) -> Iterator[None]:
        if before is None:
            pass
        elif before.is_directory and after.is_directory and before.inode == after.inode:
            unwatched = path not in self._watch_of_path and self.refusal is None
            if deep or unwatched or path not in self._known:
                found.append(path)
            return
        elif before.is_directory or after.is_directory:
            yield from self._remove(path, before)
        else:
            if touched or before != after:
                self.changes.append(Change(ChangeKind.CHANGED, path, False))
            return
        self.changes.append(Change(ChangeKind.ADDED, path, after.is_directory))
        if after.is_directory:
            found.append(path)

    def _remove(self, path: str, entry: Entry) -> Iterator[None]:
        if entry.is_directory:
            yield from self._drop(path)
        self.changes.append(Change(ChangeKind.REMOVED, path, entry.is_directory))

    def _drop(self, top: str) -> Iterator[None]:
        """Forget what is in a directory, deepest first."""
        order, stack = [], [top]
        while stack:
            directory = stack.pop()
            order.append(directory)
            known = self._known.get(directory, {})
            stack += [join(directory, n) for n, entry in known.items() if entry.is_directory]
        for directory in reversed(order):
            wd = self._watch_of_path.get(directory)
            if wd is not None:
                self._forget(wd, directory)
                self._watches.remove(wd, self._holder)
            self.unreadable.pop(directory, None)
            for count, (name, entry) in enumerate(self._known.pop(directory, {}).items(), 1):
                path = join(directory, name)
                self.changes.append(Change(ChangeKind.REMOVED, path, entry.is_directory))
                if count % _PIECE == 0:
                    yield
            yield

    def _lost(self, directory: str, found: list[str]) -> Iterator[None]:
        # Its own name is a matter of its parent, which is looked at too.
        yield from self._drop(directory)
        if directory == ROOT:
            self._await_root(found)

    # Watches

    def _watch(self, directory: str) -> None:
        if self.refusal is not None:
            return
        try:
            wd = self._watches.add(self.absolute(directory), _IN_THE_TREE, self._holder)
        except (*_GONE, PermissionError):
            raise
        except OSError as failure:
            self.refusal = failure
            return
        previous = self._watch_of_path.get(directory)
        if previous is not None and previous != wd:  # another directory took its place
            self._forget(previous, directory)
            self._watches.remove(previous, self._holder)
        renamed = self._path_of_watch.get(wd)
        if renamed is not None and renamed != directory:
            del self._watch_of_path[renamed]
        self._path_of_watch[wd] = directory
        self._watch_of_path[directory] = wd

    def _forget(self, wd: int, directory: str) -> None:
        del self._path_of_watch[wd]
        del self._watch_of_path[directory]

    def _watch_above(self) -> None:
        """
        Have notice of the root's end.

        It says nothing itself when it is removed, as long as a file that was in it is held open.
        """
        if self.refusal is not None:
            return
        above, name = os.path.split(self.root)
        try:
            wd = self._watches.add(above, _ABOVE_THE_TREE, self._holder)
        except (*_GONE, PermissionError):
            return  # a root that is there all the same is looked at now and then
        except OSError as failure:
            self.refusal = failure
            return
        self._await((wd, name))

    def _await_root(self, found: list[str]) -> None:
        """Have notice of the root's coming, or of the next directory on the way to it."""
        path = self.root
        while self.refusal is None and (above := os.path.dirname(path)) != path:
            try:
                wd = self._watches.add(above, _ABOVE_THE_TREE, self._holder)
            except _GONE:
                path = above
                continue
            except OSError as failure:
                self.refusal = failure
                return
            self._await((wd, os.path.basename(path)))
            if not _is_directory(path, follow=path != self.root):
                return
            # It came before it was awaited.
            if path == self.root:
                found.append(ROOT)
                return
            path = self.root

    def _await(self, awaited: tuple[int, str] | None) -> None:
        if self._awaited is not None and (awaited is None or self._awaited[0] != awaited[0]):
            self._watches.remove(self._awaited[0], self._holder)
        self._awaited = awaited


def _is_directory(path: str, *, follow: bool) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path, follow_symlinks=follow).st_mode)
    except OSError:
        return False
