"""
What the listener of a state directory knows already, and so what there is to tell it.

No I/O but for logs that got new names; the reading is done by ``reading.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loki_twisted.state.backlog import Portion
from loki_twisted.state.entries import join, split, text_of
from loki_twisted.state.files import Flaw, Reading
from loki_twisted.state.flaws import Flaws
from loki_twisted.state.held import HeldLogs
from loki_twisted.state.interface import (
    LogLines,
    RunsBegin,
    RunSighting,
    RunsTold,
    SessionGone,
    Sighting,
    Unreadable,
)
from loki_twisted.state.layout import ILayout
from loki_twisted.state.logs import SUFFIX, LogOrder, LogReading
from loki_twisted.state.messages import INTRODUCES, Introduction, Message
from loki_twisted.state.reading import Errand, Harvest
from loki_twisted.state.trails import Trails
from loki_twisted.state.tree import TreeWatcher
from loki_twisted.state.whereabouts import Whereabouts


class Memory:
    """
    Compares what files say with what was told.

    :ivar flaws: The files that cannot be used.
    """

    def __init__(
        self,
        tree: TreeWatcher,
        layout: ILayout,
        trails: Trails,
        held: HeldLogs,
    ) -> None:
        self.flaws = Flaws()
        self._tree = tree
        self._layout = layout
        self._trails = trails
        self._held = held
        self._whereabouts = Whereabouts(tree.root)
        self._marks: dict[str, str] = {}
        self._from_end: set[str] = set()
        self._changed: set[str] = set()
        self._runs = Introduction.NEEDED

    # What is known

    def begin_logs_at_end(self, paths: Sequence[str]) -> None:
        """Take what is in these logs for known."""
        self._from_end.update(paths)

    def changed(self, path: str) -> None:
        """Note that a path has changed, perhaps while it is being read and told."""
        self._changed.add(path)

    def removed(self, path: str) -> None:
        """Note that a state file is not there."""
        self._changed.add(path)
        self._marks.pop(path, None)
        self.flaws.forget(path)

    def confirm(self, message: Message) -> None:
        """Note that a message was taken."""
        for path, mark in message.marks.items():
            if mark is None or path in self._changed:
                # It may be again what it was before this was told.
                self._marks.pop(path, None)
            else:
                self._marks[path] = mark
        for path, mark in message.warned:
            self.flaws.told(path, mark)
        self._runs = next(
            (INTRODUCES[type(s)] for s in reversed(message.sightings) if type(s) in INTRODUCES),
            self._runs,
        )
        self._trails.confirm(message.logs, message.cursors)
        for reading in message.logs:
            if reading.problem is None:
                self._from_end.discard(reading.path)
            if reading.position is None:
                self._held.forget(self._tree.root, reading.path)

    # What is to be read, and told

    def errand(self, portion: Portion) -> Errand:
        """Say what is to be read for a portion of the backlog."""
        self._changed.clear()
        renamed = self._trails.rename(portion.logs, self._whereabouts)
        # Names that files have left come after those that they have got.
        logs = sorted(portion.logs, key=lambda path: path not in renamed)
        names = _NamesOfFiles(self._tree)
        return Errand(self._tree.root, portion.files, [self._order(path, names) for path in logs])

    def messages(
        self, portion: Portion, harvest: Harvest, now: float, *, has_more: bool
    ) -> Sequence[Message]:
        """
        Say what there is to tell of a portion after it was read, and in which order.

        Each log that has new lines is told by itself: lines have no second chance to be told
        only once, unlike what files say.

        :param now: The reactor's time.
        :param has_more: Whether other state files wait to be read.
        """
        has_more = has_more or len(harvest.files) < len(portion.files)
        cursors = self._trails.after(harvest.logs)
        logs = [self._of_log(log, cursors.pop(log.path, {}), now) for log in harvest.logs]
        quiet = [message for message in logs if not message.sightings]
        rest = {name: text for message in quiet for name, text in message.cursors.items()}
        if self._from_end <= {reading.path for reading in harvest.logs}:
            rest.update(self._trails.seen())
        last = Message(
            Portion(logs=[log.path for message in quiet for log in message.logs]),
            [LogLines(session_id=None, source="", lines=(), cursors=rest)] if rest else (),
            logs=[log for message in quiet for log in message.logs],
            cursors=rest,
        )
        told = [message for message in logs if message.sightings]
        return [self._of_files(portion, harvest.files, now, has_more=has_more), *told, last]

    def without_premature(self, harvest: Harvest) -> Harvest:
        """Leave out logs that were renamed while they were read, to be read again."""
        return Harvest(harvest.files, self._trails.sound(harvest.logs, self._whereabouts))

    def not_found(self, harvest: Harvest) -> Sequence[str]:
        """Say what was not there when it was read, as far as it is known to be there."""
        missing = [file.path for file in harvest.files if file.flaw is Flaw.MISSING]
        missing += [log.path for log in harvest.logs if log.is_missing]
        places = ((path, *split(path)) for path in missing)
        return [path for path, above, name in places if name in self._tree.entries(above)]

    def unread(self, portion: Portion, harvest: Harvest) -> Portion:
        """Say what of a portion was not reached."""
        reached = {log.path for log in harvest.logs}
        logs = [path for path in portion.logs if path not in reached]
        return Portion(files=portion.files[len(harvest.files) :], logs=logs)

    @property
    def must_introduce(self) -> bool:
        """Whether there is something to tell even if no file says anything."""
        return self._trails.is_new and not self._from_end

    def _of_files(
        self, portion: Portion, files: Sequence[Reading], now: float, *, has_more: bool
    ) -> Message:
        sightings: list[Sighting] = [SessionGone(session_id) for session_id in portion.gone]
        warned: list[tuple[str, str]] = []
        for reading in files:
            said = self._said(reading, now)
            sightings += said
            if any(isinstance(sighting, Unreadable) for sighting in said):
                warned.append((reading.path, reading.mark))
        cursors = self._of_sessions(portion, files)
        if cursors:
            sightings.append(LogLines(session_id=None, source="", lines=(), cursors=cursors))
        return Message(
            Portion(portion.gone, [reading.path for reading in files]),
            self._introduced(sightings, has_more=has_more),
            marks={
                reading.path: reading.mark if reading.flaw is None else None
                for reading in files
                if reading.flaw in {None, Flaw.MISSING}
            },
            warned=warned,
            cursors=cursors,
        )

    def _introduced(self, sightings: list[Sighting], *, has_more: bool) -> Sequence[Sighting]:
        """Say where what there is of runs at first begins and ends."""
        runs = self._runs
        if runs is Introduction.NEEDED and any(isinstance(s, RunSighting) for s in sightings):
            sightings.insert(0, RunsBegin())
            runs = Introduction.BEGUN
        if runs is Introduction.BEGUN and not has_more:
            sightings.append(RunsTold())
        return sightings

    def _of_sessions(self, portion: Portion, files: Sequence[Reading]) -> dict[str, str | None]:
        """What is to be stored of which sessions have directories."""
        there = (
            self._layout.session_of(file.path) for file in files if file.flaw is not Flaw.MISSING
        )
        known = {session_id for session_id in there if session_id is not None}
        return self._trails.after_sessions(known, portion.gone)

    def sessions_without_directory(self) -> Sequence[str]:
        """Sessions of which there is nothing any more, although there was when last told of."""
        missing = self._trails.sessions()
        directories = [""]
        while missing and directories:
            directory = directories.pop()
            for name, entry in self._tree.entries(directory).items():
                path = join(directory, name)
                missing.discard(self._layout.session_of(path) or "")
                if entry.is_directory:
                    directories.append(path)
        return sorted(missing)

    def _said(self, reading: Reading, now: float) -> Sequence[Sighting]:
        """What is new about a state file."""
        if reading.flaw is None:
            self.flaws.heal(reading.path)
            if self._marks.get(reading.path) == reading.mark:
                return ()
            if not self.flaws.was_told(reading.path, reading.mark):
                return reading.sightings
            return [said for said in reading.sightings if not isinstance(said, Unreadable)]
        if reading.flaw is Flaw.MISSING:
            self.flaws.heal(reading.path)
            return self._layout.gone(reading.path)
        if not self.flaws.note(reading.path, reading.mark, now):
            return ()
        return [self._unreadable(reading.path, reading.reason)]

    def _of_log(self, log: LogReading, cursors: Mapping[str, str | None], now: float) -> Message:
        portion = Portion(logs=[log.path])
        if log.problem is not None:
            if not self.flaws.note(log.path, log.problem, now):
                return Message(portion, logs=[log])
            said = self._unreadable(log.path, log.problem)
            return Message(portion, [said], warned=[(log.path, log.problem)], logs=[log])
        self.flaws.heal(log.path)
        if not log.lines:
            return Message(portion, logs=[log], cursors=cursors)
        session_id = self._layout.session_of(log.path)
        # A session may have nothing but logs.
        there = {session_id} if session_id is not None else ()
        cursors = {**cursors, **self._trails.after_sessions(there, ())}
        lines = LogLines(
            session_id=session_id,
            source=text_of(split(log.path)[1].removesuffix(SUFFIX)),
            lines=log.lines,
            cursors=cursors,
            facts=self._layout.facts(log.path, log.lines),
        )
        return Message(portion, [lines], logs=[log], cursors=cursors)

    def _unreadable(self, path: str, reason: str) -> Unreadable:
        return Unreadable(self._layout.session_of(path), text_of(path), reason)

    def _order(self, path: str, names: _NamesOfFiles) -> LogOrder:
        position = self._trails.position(path)
        if position is None:
            return LogOrder(path, from_end=path in self._from_end)
        directory, own_name = split(path)
        own = self._tree.entries(directory).get(own_name)
        moved_to = None
        if own is None or own.inode != position.ino:
            paths = (join(directory, name) for name in names.of(directory, position.ino))
            moved_to = next((each for each in paths if not self._is_log(each)), None)
        return LogOrder(path, position, moved_to=moved_to)

    def _is_log(self, path: str) -> bool:
        return path.endswith(SUFFIX) or self._layout.is_log(path)


class _NamesOfFiles:
    """What files are called now, by inode. Each directory is looked through once."""

    def __init__(self, tree: TreeWatcher) -> None:
        self._tree = tree
        self._found: dict[str, dict[int, list[str]]] = {}

    def of(self, directory: str, inode: int) -> Sequence[str]:
        """The names of a file in a directory."""
        if directory not in self._found:
            found = self._found[directory] = {}
            for name, entry in self._tree.entries(directory).items():
                found.setdefault(entry.inode, []).append(name)
        return self._found[directory].get(inode, ())
