"""The program, from the lock to the exit file."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time

from .feed import Feed
from .layout import CONTROL, ENDED, EXIT_LOCKED, LOCK, SPEC, STARTED, Note
from .processes import become_subreaper, process
from .spawning import spawn
from .watch import Watch, complain

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_RETRIES = 30


def main(directory: str, argv: Sequence[str]) -> int:
    """
    Keep one agent, once.

    :param directory: Absolute path of DIR.
    :param argv: The absolute path of the agent's program, and its arguments.
    :returns: The exit code.
    """
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if os.getsid(0) != os.getpid():
        os.setsid()
    if not take_lock(directory):
        return EXIT_LOCKED
    if any(os.path.exists(os.path.join(directory, name)) for name in (STARTED, ENDED)):
        return 0  # An agent is started once.
    become_subreaper()
    started, ended = Note(directory, STARTED), Note(directory, ENDED)
    tell_end(ended, keep(directory, argv, started))
    return 0


def take_lock(directory: str) -> bool:
    """Take the lock of the directory for as long as we live; False if another has it."""
    lock = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep(directory: str, argv: Sequence[str], started: Note) -> dict[str, Any]:
    """
    Run the agent from its start to the end of the last of its descendants.

    :returns: How it ended, for the exit file: ``code`` or ``signal``, or else ``problem``.
    """
    with open(os.path.join(directory, SPEC), encoding="ascii") as file:
        spec = json.load(file)
    control = os.open(os.path.join(directory, CONTROL), os.O_RDWR | os.O_NONBLOCK)
    watch = Watch(control, spec["grace_seconds"])
    try:
        agent, feed = start(directory, argv, spec)
    except OSError as error:
        problem = f"{error.filename or argv[0]}: {error.strerror}"
        return {"code": None, "signal": None, "problem": problem}
    announce(agent, started)
    code = os.waitstatus_to_exitcode(watch.run(agent, feed))
    by_signal = code < 0
    return {
        "code": None if by_signal else code,
        "signal": -code if by_signal else None,
        "problem": None,
    }


def start(directory: str, argv: Sequence[str], spec: Mapping[str, Any]) -> tuple[int, Feed | None]:
    """
    Start the agent.

    :returns: Its process id, and its input if it takes any.
    :raises OSError: with the name of the file, if it cannot be started.
    """
    if not spec["accepts_input"]:
        nothing = os.open(os.devnull, os.O_RDONLY)
        agent = spawn(directory, argv, spec["cwd"], nothing, spec["limits"])
        os.close(nothing)
        return agent, None
    stdin, sink = os.pipe()
    feed = Feed(directory, sink)
    agent = spawn(directory, argv, spec["cwd"], stdin, spec["limits"])
    os.close(stdin)
    return agent, feed


def announce(agent: int, started: Note) -> None:
    """Say that the program runs. It has not been reaped yet, so its number is its own."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot_id = file.read().strip()
    found = {"keeper": process(os.getpid()), "agent": process(agent)}
    numbers = {
        name: {"pid": one.pid, "start_ticks": one.start_ticks}
        for name, one in found.items()
        if one is not None
    }
    started.write({**numbers, "boot_id": boot_id}, durable=False)


def tell_end(ended: Note, end: Mapping[str, Any]) -> None:
    """
    Write the exit file, and try again for a while where that fails.

    :raises OSError: if it failed for good.
    """
    for _ in range(_RETRIES):
        try:
            ended.write(end, durable=True)
        except FileNotFoundError:
            raise  # Somebody has removed the directory: nobody waits for it.
        except OSError as error:
            complain(error)
            time.sleep(1)
        else:
            return
    ended.write(end, durable=True)
