"""
What a keeper leaves behind that was killed: processes without a keeper, and no word of the end.

They are known by a variable that the agent was given, and passed on to all that it started, with
a value that no other agent has. What has thrown away its environment is not found by it.
"""

from __future__ import annotations

import os
import signal
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.interface import AgentEnd
from loki_twisted.agents.keeper.layout import COOKIE
from loki_twisted.agents.keeper.processes import open_descriptor
from loki_twisted.kernel.procfs import boot_id, has_variable, process_ids

GRACE_SECONDS: Final = 0.15
ROUND_SECONDS: Final = 0.05
MOST_ROUNDS: Final = 100
CALM_ROUNDS: Final = 3
"""So many times nobody must be found: one that is born meanwhile can be missed once."""

_log = Logger()


async def settle_lost(clock: IReactorTime, files: AgentFiles, problem: str) -> AgentEnd:
    """
    End what is left of an agent whose keeper is gone without a word, and write the word.

    :param problem: What became of the keeper, as far as we know.
    :returns: How the agent ended: with the problem, unless the keeper has said it after all.
    """
    try:
        lock = files.lock()
        while lock is None:
            await deferLater(clock, ROUND_SECONDS)
            lock = files.lock()
    except FileNotFoundError:
        return AgentEnd(None, None, "The files of the agent were removed.")
    try:
        end = files.end()
        if end is None:
            end = AgentEnd(None, None, await _end_all(clock, files, problem))
            _write(files, end)
        return end
    finally:
        os.close(lock)


async def _end_all(clock: IReactorTime, files: AgentFiles, problem: str) -> str:
    spec = files.spec()
    if spec is None:
        return problem
    if spec.boot_id != boot_id():
        return "The machine was started anew while the agent ran."
    left = await sweep(clock, spec.cookie)
    return f"{problem} {left} of its processes could not be ended." if left else problem


def _write(files: AgentFiles, end: AgentEnd) -> None:
    try:
        files.write_end(end)
    except OSError as error:
        # It is known to us, which is what counts now; the next server finds out again.
        _log.error("{path} cannot be written: {error}", path=files.directory, error=error)


async def sweep(clock: IReactorTime, cookie: str) -> int:
    """
    End all processes that carry a cookie: SIGTERM, soon after that SIGKILL.

    :returns: How many are left, because nothing ends them.
    """
    left = tell_all(cookie, signal.SIGTERM, signal.SIGCONT)
    if left:
        await deferLater(clock, GRACE_SECONDS)
    calm_rounds = 0
    for _ in range(MOST_ROUNDS):
        left = tell_all(cookie, signal.SIGKILL)
        calm_rounds = 0 if left else calm_rounds + 1
        if calm_rounds == CALM_ROUNDS:
            break
        await deferLater(clock, ROUND_SECONDS)
    return left


def tell_all(cookie: str, *numbers: signal.Signals) -> int:
    """
    Send signals to all processes that carry a cookie.

    :returns: How many there were.
    """
    return sum(_tell(pid, cookie, numbers) for pid in process_ids() if pid != os.getpid())


def _tell(pid: int, cookie: str, numbers: tuple[signal.Signals, ...]) -> bool:
    if not has_variable(pid, COOKIE, cookie):
        return False
    try:
        descriptor = open_descriptor(pid)
    except ProcessLookupError:
        return False
    try:
        # Again, now that the number cannot pass to another unnoticed.
        if not has_variable(pid, COOKIE, cookie):
            return False
        for number in numbers:
            if descriptor is None:
                os.kill(pid, number)
            else:
                signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        _log.warn("Process {pid} of an agent belongs to another user", pid=pid)
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True
