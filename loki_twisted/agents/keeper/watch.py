"""The watch over an agent and all its descendants."""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from .processes import Process, descendants, everybody

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .feed import Feed

STRAGGLER_SECONDS = 0.15
"""How long what outlives the agent may take to end."""

HELPER_SECONDS = 1.0
"""How long a helper may live before it is asked to end too."""

_CHUNK = 64 * 1024
_FIRST_DELAY = 0.001
_LONGEST_DELAY = 0.25
_CALM_ROUNDS = 2
_NEVER = float("inf")


class Watch:
    """
    Watches an agent and its descendants, gives them signals on order, and sees the last one end.

    ======== =================================== ==================================
    phase    what is done in it                  what leads on
    ======== =================================== ==================================
    running  nothing                             an order, the end of the agent
    halting  SIGSTOP to all, until nothing runs  that; an order, the end of the agent
    halted   nothing                             an order, the end of the agent
    stopping SIGTERM and SIGCONT to each, once;  the deadline
             to helpers a second later
    killing  SIGKILL to each, once               (over when no child is left)
    ======== =================================== ==================================

    What is done is done in *rounds*, walks over all descendants, until nothing is left to do.

    A *helper* is what was started by somebody who had been asked to end, or by another helper: a
    program that puts things in order does it with the help of others, a shell above all, and
    they are not to be disturbed in that.
    """

    def __init__(self, control: int, grace_seconds: float) -> None:
        """
        Begin to listen to signals; to be called before anything is spawned.

        :param control: The FIFO of orders, open for reading and writing, and not blocking.
        :param grace_seconds: The grace of a stop that names none.
        """
        self._control = control
        self._grace_seconds = grace_seconds
        self._agent = 0
        self._status = 0
        self._feed: Feed | None = None
        self._has_ended = False
        self._deadline = _NEVER
        self._orders: list[bytes] = []
        self._unread = b""
        self._rounds: Mapping[str, Callable[[], float]] = {
            "halting": self._halt_round,
            "stopping": self._stop_round,
            "killing": self._kill_round,
        }
        self._enter("running")
        self._alarm, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._orders.append(b"stop"))
        self._poll = select.poll()
        self._poll.register(self._alarm, select.POLLIN)
        self._poll.register(control, select.POLLIN)

    def run(self, agent: int, feed: Feed | None) -> int:
        """
        Watch until no descendant is left.

        :param agent: A child that has not been reaped.
        :param feed: Its input, if it takes any.
        :returns: The agent's wait status.
        """
        self._agent, self._feed = agent, feed
        while self._reap():
            while self._orders:
                self._obey(self._orders.pop(0))
            self._act(time.monotonic())
            for descriptor, _ in self._poll.poll(self._milliseconds()):
                self._heed(descriptor)
        return self._status

    def stop(self, grace_seconds: float) -> None:
        """End everything. A second order can only hasten it."""
        self._deadline = min(self._deadline, time.monotonic() + grace_seconds)
        if not self._is_ending:
            self._enter("stopping")

    @property
    def _is_ending(self) -> bool:
        return self._phase in ("stopping", "killing")

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._told: set[tuple[int, int]] = set()
        self._copies: dict[tuple[int, int], bytes] = {}
        self._helpers: dict[tuple[int, int], float] = {}
        self._begin_rounds()

    def _begin_rounds(self) -> None:
        self._delay = _FIRST_DELAY
        self._calm_rounds = 0
        self._next_round = 0.0 if self._phase in self._rounds else _NEVER

    def _milliseconds(self) -> float | None:
        """How long to wait for something to happen; None is without end."""
        until = min(self._next_round, self._deadline if self._phase == "stopping" else _NEVER)
        return None if until == _NEVER else max(0.0, (until - time.monotonic()) * 1000)

    # What happens

    def _reap(self) -> bool:
        """Take note of who has ended; return whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._agent:
                self._status = status
                self._agent_ended()

    def _agent_ended(self) -> None:
        self._has_ended = True
        self._end_input()
        if self._phase == "stopping":
            self._begin_rounds()  # for those that were born since the last one
        else:
            self.stop(STRAGGLER_SECONDS)

    def _heed(self, descriptor: int) -> None:
        if descriptor == self._alarm:
            os.read(self._alarm, _CHUNK)
        elif descriptor == self._control:
            *orders, self._unread = (self._unread + os.read(self._control, _CHUNK)).split(b"\n")
            self._orders += orders
        else:
            self._pump()

    def _obey(self, order: bytes) -> None:
        try:
            word, grace_seconds = order_from(order, self._grace_seconds)
        except ValueError as error:
            complain(error)
            return
        if word == "stop":
            self.stop(grace_seconds)
        elif word == "input":
            self._pump()
        elif self._is_ending:
            return  # What is to end is not halted any more, and goes on anyhow.
        elif word == "pause":
            self._enter("halting")
        else:
            self._enter("running")
            for found in descendants():
                found.tell(signal.SIGCONT)

    def _pump(self) -> None:
        if self._feed is None:
            return
        has_more = self._feed.pump()
        if self._feed.is_over:
            self._end_input()
        else:
            self._wait_for_room(self._feed, select.POLLOUT if has_more else 0)

    def _end_input(self) -> None:
        if self._feed is not None:
            self._wait_for_room(self._feed, 0)
            self._feed.close()
            self._feed = None

    def _wait_for_room(self, feed: Feed, events: int) -> None:
        self._poll.register(feed.sink, events)
        if not events:  # else poll would go on to report that the other side is closed
            self._poll.unregister(feed.sink)

    # What is done: a round returns the seconds until the next, none while it finds somebody new.

    def _act(self, now: float) -> None:
        if self._phase == "stopping" and now >= self._deadline:
            self._enter("killing")
        if now >= self._next_round:
            self._next_round = now + self._rounds[self._phase]()

    def _halt_round(self) -> float:
        running = new = 0
        for found in descendants():
            if not found.is_halted:
                is_new = self._is_new(found)
                new += is_new
                # One that cannot be interrupted halts before it does anything: a parent in
                # vfork, for example, whose child is halted.
                running += is_new or not found.is_uninterruptible
                found.tell(signal.SIGSTOP)
        if self._is_calm(running == 0):
            self._enter("halted")
            return _NEVER
        return 0.0 if new else self._longer_delay()

    def _stop_round(self) -> float:
        asked = {pid for pid, _ in self._told}
        # All of them are found before any is told: what one starts then is there to help it.
        them = list(descendants()) if asked else everybody()
        images = {each.pid: each.image for each in them}
        for found in them:
            if not self._is_helper(found, asked) and (
                self._is_new(found) or self._has_lost_it(found)
            ):
                if found.image == images.get(found.parent):
                    self._copies[found.identity] = found.image
                # What is halted gets the one only when the other lets it go on.
                found.tell(signal.SIGTERM, signal.SIGCONT)
        return self._longer_delay()

    def _kill_round(self) -> float:
        new = 0
        for found in filter(self._is_new, descendants()):
            new += 1
            found.tell(signal.SIGKILL)
        return 0.0 if new else self._longer_delay()

    def _is_helper(self, found: Process, asked: set[int]) -> bool:
        """Whether it helps somebody who was asked to end, and has not done so for long."""
        is_one = found.parent in asked or any(found.parent == pid for pid, _ in self._helpers)
        if self._has_ended or not is_one:
            return False
        now = time.monotonic()
        return now - self._helpers.setdefault(found.identity, now) < HELPER_SECONDS

    def _is_new(self, found: Process) -> bool:
        """Whether it is met for the first time in this phase."""
        known = len(self._told)
        self._told.add(found.identity)
        return len(self._told) > known

    def _has_lost_it(self, found: Process) -> bool:
        """
        Whether it was a copy of its parent when it was told, and has become a program since.

        A shell that has a trap leaves it to its copies for a moment, in which they take the signal
        and do nothing.
        """
        if self._copies.get(found.identity, found.image) == found.image:
            return False
        return bool(self._copies.pop(found.identity))

    def _is_calm(self, this_round: bool) -> bool:
        """Whether it has been calm often enough: one walk alone can miss somebody."""
        self._calm_rounds = self._calm_rounds + 1 if this_round else 0
        return self._calm_rounds == _CALM_ROUNDS

    def _longer_delay(self) -> float:
        self._delay = min(2 * self._delay, _LONGEST_DELAY)
        return self._delay


def order_from(line: bytes, grace_seconds: float) -> tuple[str, float]:
    """
    Understand an order.

    :param grace_seconds: The grace of a stop that names none.
    :returns: The word, and the grace.
    :raises ValueError: if it is no order.
    """
    word, *arguments = line.decode("ascii").split() or [""]
    if word not in ("stop", "pause", "resume", "input") or len(arguments) > (word == "stop"):
        msg = f"not an order: {line!r}"
        raise ValueError(msg)
    return word, float(arguments[0]) if arguments else grace_seconds


def complain(reason: object) -> None:
    """Say what is wrong, for the keeper's own log."""
    sys.stderr.write(f"{reason}\n")
