"""
Watching a tree of directories.

The rule: inotify says *where* to look, the file system says *what* is true. A notice only
marks a name as worth a look; a short, fixed time later the marked names are looked at and
compared with what was known. So it does not matter that notices come late, in pairs, for
a path that has been renamed since, or not at all after an overflow: every look makes what
is known more true, and a full look now and then makes all of it true.

What must hold for that:

- A directory is watched first and listed after: what happens in between is noticed.
- Asking twice for a watch of the same inode gives the same watch. That is how a renamed
  directory is found under its new path.
- Where the kernel gives no watch, the same full looks, once a second, do all the work.
- Each look is done in slices, so that the reactor is never held for long; a slice ends
  only where the next directory may be looked at without disturbing this one.

It converges to the truth; it does not report every state in between.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from loki_twisted.kernel.inotify import IN_Q_OVERFLOW, Notice
from loki_twisted.state.entries import Change, Entry, split
from loki_twisted.state.marks import Marks, mark
from loki_twisted.state.mounts import shared_file_system
from loki_twisted.state.survey import ROOT, Survey
from loki_twisted.state.watches import Watches

DELAY: Final = 0.01
"""Seconds between a notice and the look that it leads to; more notices do not prolong it."""

FULL_LOOK_PERIOD: Final = 30.0
"""Seconds between full looks where notices can be relied on."""

POLL_PERIOD: Final = 1.0
"""Seconds between full looks where they cannot."""

_SLICE: Final = 0.005
"""Seconds of work before the reactor has its turn; to report what it came to takes half as long."""

_CHANGES: Final = 1_000
"""So many changes are enough for a slice too: where files vanish it takes longer to report them."""

_LIMITS: Final = {
    errno.ENOSPC: "this user has no watches left (sysctl fs.inotify.max_user_watches)",
    errno.EMFILE: "this user has no inotify instances left (sysctl fs.inotify.max_user_instances)",
}


class TreeWatcher:
    """
    Watches one tree. Its root need not exist, and may go, come back and be replaced.

    Symbolic links are entries like files and are not followed, the root neither.

    :ivar root: Absolute path.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        root: str,
        watches: Watches,
        received: Callable[[Sequence[Change]], None],
        *,
        excluded: Callable[[str], bool] = lambda _: False,
        delay: float = DELAY,
    ) -> None:
        """
        Make a watcher that does nothing before :meth:`look` is called for the first time.

        :param received: Called with what has changed, in order, never with nothing.
        :param excluded: Of a relative path, whether nothing of it is to be touched. Said
            of a directory, it holds for all that is in it.
        :param delay: Seconds between a notice and the look that it leads to.
        """
        self.root = root
        self._reactor = reactor
        self._received = received
        self._delay = delay
        self._survey = Survey(root, watches, self, excluded)
        self._marked: Marks = {}  # since the last look began
        self._urgent: Marks = {}  # to be looked at in this one
        self._found: list[str] = []  # directories that this look has come upon
        self._full: list[str] | None = None  # what is left of a full look
        self._asked: list[Deferred[None]] = []  # who waits for the full look that runs
        self._asked_again: list[Deferred[None]] = []  # who waits for the one after it
        self._answered: list[Deferred[None]] = []  # who is told once the changes are
        self._is_due = False  # whether there is to be one after it
        self._work: Iterator[None] | None = None
        self._look_call: IDelayedCall | None = None
        self._slice_call: IDelayedCall | None = None
        self._full_look_call: IDelayedCall | None = None
        self._problem: str | None = None
        self._had_root = False
        self._is_stopped = False

    def look(self) -> Deferred[None]:
        """
        Look at everything now, and from the first time on watch.

        :returns: Fires when every change before this call has been reported; also when
            the watcher is stopped before.
        """
        done: Deferred[None] = Deferred()
        if self._is_stopped:
            done.callback(None)
        else:
            self._asked_again.append(done)
            self._want_full_look()
        return done

    def entries(self, directory: str) -> Mapping[str, Entry]:
        """What is known of a directory, by name; empty if it is not there."""
        return self._survey.entries(directory)

    def problems(self) -> Sequence[str]:
        """What keeps it from watching as well as it should, in sentences."""
        found = [] if self._problem is None else [self._problem]
        if os.path.islink(self.root):
            found.append(f"{self.root} is a symbolic link, and those are not followed.")
        elif not self._survey.has_root() and os.path.lexists(self.root):
            found.append(f"{self.root} is not a directory that can be looked into.")
        elif not self._survey.has_root() and self._had_root:
            found.append(f"{self.root} was removed, and is looked at when it is there again.")
        found += [
            f"{self._survey.absolute(path)} cannot be listed: {failure.strerror}."
            for path, failure in self._survey.unreadable.items()
        ]
        return found

    def stop(self) -> None:
        """End it. Nothing is reported any more. May be repeated."""
        self._is_stopped = True
        for call in (self._look_call, self._slice_call, self._full_look_call):
            if call is not None and call.active():
                call.cancel()
        self._work = None
        self._survey.close()
        waiting = self._asked + self._asked_again + self._answered
        self._asked, self._asked_again, self._answered = [], [], []
        for done in waiting:
            done.callback(None)

    # When to look

    def noticed(self, notice: Notice) -> None:
        """Take a notice: see :class:`~loki_twisted.state.watches.Holder`."""
        if self._is_stopped:
            return
        if notice.mask & IN_Q_OVERFLOW:
            self._want_full_look()
            return
        place = self._survey.place_of(notice)
        if place is None:
            return
        self._mark(*place)

    def doubt(self, path: str) -> None:
        """
        Look again at what is known, but was not found: it is told as changed, or as removed.

        A directory that was away and is back before it is looked at has not changed.
        """
        if not self._is_stopped:
            self._mark(*split(path))

    def _mark(self, directory: str, name: str | None) -> None:
        mark(self._marked, directory, name)
        if self._look_call is None:
            self._look_call = self._reactor.callLater(self._delay, self._begin_look)

    def _begin_look(self) -> None:
        self._look_call = None
        marked, self._marked = self._marked, {}
        for directory, names in marked.items():
            for name in (None,) if names is None else names:
                mark(self._urgent, directory, name)
        self._begin_work()

    def _want_full_look(self) -> None:
        self._is_due = True
        if self._full_look_call is not None:
            self._full_look_call.cancel()
            self._full_look_call = None
        self._begin_work()

    def _plan_full_look(self) -> None:
        def due() -> None:
            self._full_look_call = None
            self._want_full_look()

        if self._full_look_call is not None:
            self._full_look_call.cancel()
        period = FULL_LOOK_PERIOD if self._problem is None else POLL_PERIOD
        self._full_look_call = self._reactor.callLater(period, due)

    # Looking, in slices

    def _begin_work(self) -> None:
        if self._work is None:
            self._work = self._look()
            self._slice_call = self._reactor.callLater(0, self._slice)

    def _slice(self) -> None:
        self._slice_call = None
        until = self._reactor.seconds() + _SLICE
        with self._log.failuresHandled("looking at {root} failed", root=self.root) as looking:
            for _ in self._work or ():
                is_much = len(self._survey.changes) >= _CHANGES
                if is_much or self._reactor.seconds() >= until:
                    break
            else:
                self._work = None
        if looking.failed:
            self._give_up()
        elif self._work is None and self._problem is None and self._survey.refusal is not None:
            self._judge()
        self._report()
        if self._work is not None:
            self._slice_call = self._reactor.callLater(0, self._slice)

    def _report(self) -> None:
        self._had_root |= self._survey.has_root()
        changes, self._survey.changes = self._survey.changes, []
        answered, self._answered = self._answered, []
        if changes:
            with self._log.failuresHandled("what took changes of {root} failed", root=self.root):
                self._received(changes)
        for done in answered:
            done.callback(None)

    def _look(self) -> Iterator[None]:
        """Do all the work there is: what is new first, then what was marked, then the rest."""
        while True:
            if self._found:
                yield from self._survey.look_over(self._found.pop(), self._found, deep=False)
            elif self._urgent:
                directory = next(iter(self._urgent))
                names = self._urgent.pop(directory)
                yield from self._survey.look_at(directory, names, self._found)
            elif self._full:
                yield from self._survey.look_over(self._full.pop(), self._full, deep=True)
            elif self._full is not None:
                self._end_full_look()
            elif self._is_due:
                self._begin_full_look()
            else:
                return

    def _begin_full_look(self) -> None:
        self._is_due = False
        self._full = [ROOT]
        self._survey.refusal = None
        self._asked += self._asked_again
        self._asked_again = []

    def _end_full_look(self) -> None:
        self._full = None
        self._judge()
        self._answered += self._asked
        self._asked = []

    def _judge(self) -> None:
        """Say how well it watches, and by that when the next full look is due."""
        self._problem = self._why_poll()
        self._plan_full_look()

    def _give_up(self) -> None:
        """Begin anew later, with all that is known."""
        self._work = self._full = None
        self._found.clear()
        self._plan_full_look()

    def _why_poll(self) -> str | None:
        refusal = self._survey.refusal
        if refusal is not None:
            why = _LIMITS.get(refusal.errno or 0) or f"it cannot be watched ({refusal.strerror})"
        elif shared := shared_file_system(self.root):
            why = f"others may write to its file system ({shared}) without notice"
        else:
            return None
        return f"{self.root} is looked at every {POLL_PERIOD:g} s, because {why}."
