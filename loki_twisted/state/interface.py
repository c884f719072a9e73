"""
A state directory as the session service knows it.

A *state directory* is the ``.loki/`` of a project. It is watched as a tree;
what has changed is read and told as *sightings*: what a file says now, not what is
new about it. The difference to what was known before is the session service's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from loki_twisted.model.events import Fact
from loki_twisted.model.runs import RunFact
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import Task


@attrs.frozen(slots=True, kw_only=True)
class SessionSighting:
    """
    What ``session.json`` says. Fields that it does not say are None.

    :ivar started_at: ISO 8601 UTC with milliseconds, like ``updated_at``.
    """

    session_id: str
    status: SessionStatus | None = None
    provider: str | None = None
    prd_path: str | None = None
    started_at: str | None = None
    updated_at: str | None = None
    current_phase: str | None = None
    exit_code: int | None = None


@attrs.frozen(slots=True, kw_only=True)
class PhaseSighting:
    """What ``phase.json`` says. ``progress`` is what the file has there, a number or None."""

    session_id: str
    phase: str
    previous_phase: str | None = None
    progress: float | None = None


@attrs.frozen(slots=True)
class TasksSighting:
    """All tasks that ``tasks.json`` lists now."""

    session_id: str
    tasks: Sequence[Task]


@attrs.frozen(slots=True)
class AgentSeen:
    """One entry of the ``active`` list."""

    id: str
    type: str
    model: str | None = None
    task: str | None = None


@attrs.frozen(slots=True)
class AgentsSighting:
    """All agents that ``agents.json`` lists as active now."""

    session_id: str
    active: Sequence[AgentSeen]


@attrs.frozen(slots=True)
class CurrentSession:
    """What ``state.json`` names as the current session; None if it names none."""

    session_id: str | None


@attrs.frozen(slots=True)
class SessionGone:
    """The directory of a session is no longer there."""

    session_id: str


@attrs.frozen(slots=True, kw_only=True)
class LogLines:
    """
    New whole lines of a log file.

    :ivar session_id: None for a log that belongs to no one session.
    :ivar source: Name of the file without ``.log``.
    :ivar lines: May be empty, where there are only cursors to store.
    :ivar cursors: What to store in one transaction with what the lines became; None as a
        value removes the cursor.
    :ivar facts: What the lines mean, where they are more than lines.
    """

    session_id: str | None
    source: str
    lines: Sequence[str]
    cursors: Mapping[str, str | None]
    facts: Sequence[Fact] | None = None


@attrs.frozen(slots=True)
class Unreadable:
    """
    A file that says nothing we can use: told once for each distinct content.

    :ivar session_id: None where the file belongs to no one session.
    :ivar path: Relative to the state directory.
    :ivar reason: In words, for a log event.
    """

    session_id: str | None
    path: str
    reason: str


@attrs.frozen(slots=True)
class RunSighting:
    """
    What one file of a Loki Mode run says now.

    :ivar scope: The ``LOKI_SESSION_ID`` of the run, where the file is of one run alone.
    :ivar path: Relative to the state directory.
    :ivar fact: None if the file is gone.
    """

    scope: str | None
    path: str
    fact: RunFact | None


@attrs.frozen(slots=True)
class RunsBegin:
    """What was said of runs in this directory counts no more: all of it is told anew."""


@attrs.frozen(slots=True)
class RunsTold:
    """All that was there of runs at first has been told; from here on changes are."""


Sighting = (
    SessionSighting
    | PhaseSighting
    | TasksSighting
    | AgentsSighting
    | CurrentSession
    | SessionGone
    | LogLines
    | Unreadable
    | RunSighting
    | RunsBegin
    | RunsTold
)


class ISightingListener(Interface):
    """Who is told what a state directory says."""

    def seen(project_dir: str, sightings: Sequence[Sighting]) -> Deferred[Any]:
        """
        Take what files say now.

        :param project_dir: Absolute path of the directory that holds ``.loki/``.
        :returns: Nothing more is told of this directory until it fires. If it fails,
            the same files are read and told again, after a pause.
        """


class IStateWatcher(Interface):
    """Watches state directories."""

    def part_of_cursors(project_dir: str) -> str:
        """Say what is a part of the name of each cursor that :meth:`watch` wants to be given."""

    def watch(project_dir: str, cursors: Mapping[str, str]) -> Deferred[None]:
        """
        Begin to watch the ``.loki/`` of a directory; do nothing if it is watched already.

        It need not exist yet. What it says at first is told like any change.

        :param cursors: As last stored for its log files.
        :returns: Fires when all that was there at first has been told and taken. Fails if
            it could not be begun: then it is not watched, and may be tried again.
        """

    def settle(project_dir: str) -> Deferred[None]:
        """
        Look at a watched directory now instead of soon.

        :returns: Fires when what it said at the time of the call has been told and taken;
            at once for a directory that is not watched.
        """

    def unwatch(project_dir: str) -> None:
        """Watch it no longer. Does nothing if it is not watched."""

    def stop() -> Deferred[None]:
        """Watch nothing any longer, for the end of the server."""

    def problems() -> Sequence[str]:
        """What keeps it from watching as well as it should, in sentences."""


# Steering a run by its files


@attrs.frozen(slots=True, kw_only=True)
class LiveRun:
    """
    A run of Loki Mode whose process lives, whoever started it.

    :ivar name: The directory under ``sessions/`` that it calls its own: the id that it was started
        with. None for a run without one.
    :ivar status: What its ``autonomy-state.json`` says; None before that says anything of it.
    :ivar ignores_pause: Whether it deletes ``PAUSE`` instead of heeding it: it runs perpetually.
    :ivar takes_input: Whether it reads ``HUMAN_INPUT.md`` and not only rejects it.
    :ivar is_up: Whether it is past its start, in which it deletes all orders that it finds.
    :ivar script: Absolute path of the copy of its own program that it runs, which outlives it
        if it is killed; None if that is not known.
    """

    pid: int
    name: str | None = None
    status: str | None = None
    ignores_pause: bool = False
    takes_input: bool = True
    is_up: bool = True
    script: str | None = None


@attrs.frozen(slots=True, kw_only=True)
class Orders:
    """Which orders lie in a state directory, and what stands against them."""

    pause: bool = False
    stop: bool = False
    human_input: bool = False
    over_budget: bool = False


class InputFate(StrEnum):
    """What became of an input."""

    WAITING = "waiting"
    TAKEN = "taken"
    REJECTED = "rejected"
    TOO_LARGE = "too large"
    GONE = "gone"


@attrs.frozen(slots=True, kw_only=True)
class RunEnding:
    """
    How a run ended by what it wrote. None is what it did not say.

    :ivar status: The last one of its ``autonomy-state.json``.
    :ivar outcome: Of its ``state/completion.json``.
    :ivar brief: What that says of the error.
    :ivar is_called_off: Whether somebody wanted its end: there is a ``STOP`` file, or its
        ``loki.pid`` is gone. Who just kills it leaves its ``loki.pid``.
    """

    status: str | None = None
    outcome: str | None = None
    brief: str | None = None
    is_called_off: bool = False


class IRunControl(Interface):
    """
    Steers runs of Loki Mode by the files that they look for, and looks at these.

    Nothing is followed that is a symbolic link, and nothing is touched outside ``.loki/``. No
    signal is ever sent. All methods return soon: they look at a few small files.
    A ``project_dir`` is absolute and without symbolic links.
    """

    def live_runs(project_dir: str) -> Sequence[LiveRun]:
        """List the runs that live there, whoever started them."""

    def live_run(project_dir: str, name: str, pid: int) -> LiveRun | None:
        """
        Look at one run.

        :param name: The id that it was started with.
        :returns: None if it is not there.
        """

    def orders(project_dir: str) -> Orders:
        """Look which orders there are."""

    def request_pause(project_dir: str) -> None:
        """
        Ask the run for a pause before its next iteration.

        :raises Conflict: if something else stands in the place of the file.
        :raises StorageFailed: if it cannot be written.
        """

    def withdraw_pause(project_dir: str) -> None:
        """Ask no longer for a pause, or let a run go on. Raises as :meth:`request_pause`."""

    def request_stop(project_dir: str) -> None:
        """Ask the run to end before its next iteration. Raises as :meth:`request_pause`."""

    def give_input(project_dir: str, text: str) -> str:
        """
        Give the run a text to heed in its next iteration.

        :returns: A receipt for :meth:`fate_of_input`.
        :raises InvalidRequest: if it is larger than the run takes.
        :raises Conflict: while another one waits.
        :raises StorageFailed: if it cannot be written.
        """

    def fate_of_input(project_dir: str, receipt: str) -> tuple[InputFate, str | None]:
        """Say what became of an input, and the file that says so, relative to ``.loki/``."""

    def ending(project_dir: str, name: str, pid: int, since_ms: int) -> RunEnding | None:
        """
        Say how a run ended.

        :param since_ms: When it was started; what was written before is another run's.
        :returns: None if it wrote nothing of itself.
        """

    def clear(project_dir: str, name: str, pid: int, script: str | None) -> None:
        """Remove what a run that was killed has left and that names its process; nothing else."""
