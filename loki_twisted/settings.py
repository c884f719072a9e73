"""
What a server is told when it starts.

A :class:`Settings` is made once, from options and environment
(``command/options.py``) or by whoever embeds the server, and never changes.
Only :func:`holds_state_of_ours` looks at the machine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from loki_twisted.model.errors import LokiError

DEFAULT_PORT: Final = 57374
LOCALHOST: Final = "localhost"

STATE_DIRECTORY: Final = ".loki"
"""Name of the directory that holds the state of a project's agents."""


class InvalidSettings(LokiError):
    """The server cannot be started with these settings. The message is one line."""


@attrs.frozen(slots=True, kw_only=True)
class Settings:
    """
    Everything that can be chosen about a server.

    :ivar loki_dir: Absolute path of the directory that holds ``.loki/``; relative
        project directories of requests are relative to it.
    :ivar data_dir: Absolute path of the server's own directory: log, lock, files of keepers.
    :ivar host: Name or address to listen on; ``localhost`` is both loopback addresses.
    :ivar port: TCP port; 0 for any that is free.
    :ivar listen: Endpoint descriptions as of ``twisted.internet.endpoints``; where
        there are any, ``host`` and ``port`` are not listened on.
    :ivar cors: Whether pages of other origins may use the API at all.
    :ivar cors_origins: Exact origins (``https://example.com``) that may beside loopback ones.
    :ivar allowed_hosts: Names in a ``Host`` header that stand for this server beside its own.
    :ivar auth: Whether requests need a token where one is set.
    :ivar tokens: Any one of them opens the API, all of it.
    :ivar token_file: Absolute path of a file of tokens, each for what stands there; the server
        takes up what changes in it.
    :ivar max_sessions: How many sessions may run at once.
    :ivar max_per_provider: Providers by name, each with how many of them may be of it; those of
        others have no limit of their own.
    :ivar max_per_project: How many of them in one project directory.
    :ivar max_queued: How many more may wait for their turn.
    :ivar allow_commands: Whether requests may name any program to be run.
    :ivar project_roots: Absolute paths of directories in and under which agents may work.
    :ivar replay: Absolute path of a recording that is played when the server begins, in a session
        of its own.
    :ivar replay_speed: How many times as fast; 0 is without any wait.
    :ivar debug: Whether errors and logs tell everything.
    :ivar access_log: Whether each request is logged.
    :ivar log_format: How a program of ours writes its log: ``text`` or ``json``, an object a line.
    :ivar drain_seconds: How long requests and streams under way have when the server ends.
    :ivar grace_seconds: How long an agent that is told to stop has before it is killed.
    :ivar limit_memory_mb: How many megabytes (of 1,000,000 bytes) of address space each process of
        an agent may have; None or 0 for any number, as with the next two.
    :ivar limit_processes: How many processes this user may have, for an agent to start one more.
    :ivar limit_file_mb: How many megabytes each file may have that an agent writes.
    :ivar on_unanswered: What becomes of an agent's question that nobody answers in time: ``deny``,
        ``allow`` or ``wait``.
    :ivar input_seconds: How long such a question waits before it is denied or allowed; None or 0
        for ever, as always with ``wait``.
    :ivar stall_seconds: After how long a silence of an agent is told; None or 0 for never.
    :ivar retain_events: How many events the log keeps; None or 0 for all. A session that runs
        keeps its last 1,000 beyond this and the next two.
    :ivar retain_days: How many days it keeps them; None or 0 for ever.
    :ivar retain_mb: How many megabytes (of 1,000,000 bytes) its database may have; None or 0 for
        any number.
    """

    loki_dir: str
    data_dir: str = attrs.field()
    host: str = LOCALHOST
    port: int = DEFAULT_PORT
    listen: tuple[str, ...] = ()
    cors: bool = True
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    auth: bool = True
    tokens: tuple[str, ...] = attrs.field(default=(), repr=False)
    token_file: str | None = None
    max_sessions: int = 8
    max_per_provider: tuple[tuple[str, int], ...] = ()
    max_per_project: int = 1
    max_queued: int = 1000
    allow_commands: bool = False
    project_roots: tuple[str, ...] = attrs.field()
    replay: str | None = None
    replay_speed: float = 1.0
    debug: bool = False
    access_log: bool = False
    log_format: str = "text"
    drain_seconds: float = 5.0
    grace_seconds: float = 5.0
    limit_memory_mb: int | None = None
    limit_processes: int | None = None
    limit_file_mb: int | None = None
    on_unanswered: str = "wait"
    input_seconds: float | None = 3600.0
    stall_seconds: float | None = 600.0
    retain_events: int | None = 1_000_000
    retain_days: float | None = None
    retain_mb: int | None = None

    @data_dir.default
    def _default_data_dir(self) -> str:
        return default_data_dir(self.loki_dir)

    @project_roots.default
    def _default_project_roots(self) -> tuple[str, ...]:
        return (self.loki_dir,)


def find_loki_dir(named: str | None, current: str, holds_state: Callable[[Path], bool]) -> str:
    """
    Say which directory is meant by ``LOKI_DIR``.

    :param named: The value of the variable; None or empty where it is not set. A value
        that ends in ``.loki`` is that state directory itself and stands for its parent.
    :param current: Absolute path of the current directory.
    :param holds_state: Whether a directory has a ``.loki/`` that is ours to use.
    :returns: An absolute path: what is named, else the nearest directory upward that
        holds state, else the current one.
    """
    if named:
        path = Path(os.path.normpath(Path(current, named)))
        return str(path.parent if path.name == STATE_DIRECTORY else path)
    here = Path(current)
    return str(next((place for place in (here, *here.parents) if holds_state(place)), here))


def holds_state_of_ours(directory: Path) -> bool:
    """
    Whether a directory has a ``.loki/`` that belongs to this user.

    One that somebody else has put into a shared directory (``/tmp/.loki``) is not taken.
    """
    try:
        found = (directory / STATE_DIRECTORY).stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def default_data_dir(loki_dir: str) -> str:
    """Where the server keeps its own files unless it is told otherwise."""
    return str(Path(loki_dir, STATE_DIRECTORY, "server"))
