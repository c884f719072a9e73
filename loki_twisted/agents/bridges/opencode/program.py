"""The program, from the start of opencode to the last line."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from .activity import Activity
from .client import Answer, Client, Unreachable
from .mouth import Mouth
from .orders import WAYS, Order, body_of_prompt
from .server import Server
from .stream import Stream

LOOK_SECONDS = 5.0
"""How often opencode is asked whether it is idle, when all that it was told is over."""

_CHUNK = 64 * 1024
_DRAIN_SECONDS = 5.0
_MOST_NOTES = 256
_TRIES = 3
_PAUSE_SECONDS = 0.2
_TURN_SECONDS = 24 * 60 * 60.0


class Over(Exception):
    """It ends: why, and whether that is well."""

    def __init__(self, why: str, *, ok: bool) -> None:
        super().__init__(why)
        self.ok = ok


def main(arguments: Sequence[str]) -> int:
    """
    Stand before one opencode.

    :param arguments: How many seconds it may take to listen, ``--``, its program, and what stands
        behind ``serve``.
    :returns: The exit code: 0 if it ended because it was to.
    """
    seconds, _, *argv = arguments
    mouth = Mouth(1)
    notes: queue.Queue[tuple[str, Any]] = queue.Queue(_MOST_NOTES)
    try:
        server = Server(argv, lambda word, value: notes.put((word, value)))
    except OSError as error:
        mouth.say_last("ended", ok=False, why=f"opencode cannot be started: {error}")
        return 1
    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=read_orders, args=(notes,), daemon=True).start()
    bridge = Bridge(mouth, notes, server)
    try:
        over = bridge.run(float(seconds))
        bridge.close()
        mouth.say_last("ended", ok=over.ok, why=str(over))
    finally:
        server.end()
    return 0 if over.ok else 1


def leave(number: int, _: object) -> NoReturn:
    """End because of a signal, and take opencode along."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def read_orders(notes: queue.Queue[tuple[str, Any]]) -> None:
    """Read standard input to its end."""
    # Not through sys.stdin, which cannot be closed at the end while this waits in it.
    rest = b""
    while data := os.read(0, _CHUNK):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            try:
                order = json.loads(line)
            except (ValueError, RecursionError):
                order = None
            if isinstance(order, dict):
                notes.put(("order", order))
    notes.put(("closed", None))


class Bridge:
    """
    Does what orders say, until something ends it.

    :param notes: What has happened, from all threads: ``listening``, ``died``, ``order``,
        ``closed`` and ``rest``.
    """

    def __init__(self, mouth: Mouth, notes: queue.Queue[tuple[str, Any]], server: Server) -> None:
        self._mouth = mouth
        self._notes = notes
        self._server = server
        self._activity = Activity()
        self._client: Client | None = None
        self._stream: Stream | None = None
        self._early: list[Order] = []
        self._is_closing = False
        self._idle_looks = 0

    def run(self, ready_seconds: float) -> Over:
        """Go on until there is an end; say which."""
        try:
            self._run(ready_seconds)
        except Over as over:
            return over

    def _run(self, ready_seconds: float) -> NoReturn:
        client = self._become_ready(time.monotonic() + ready_seconds, ready_seconds)
        for order in self._early:
            self._obey(order, client)
        while True:
            if self._is_closing and self._activity.is_at_rest:
                why = "Its input has ended, and opencode is idle."
                raise Over(why, ok=True)
            word, value = self._next(LOOK_SECONDS if self._is_closing else None)
            if word == "order":
                self._obey(value, client)
            elif word == "nothing":
                self._look(client)

    def close(self) -> None:
        """End opencode, and pass on what it still says."""
        self._server.end()
        if self._stream is not None:
            self._stream.join(_DRAIN_SECONDS)

    def _become_ready(self, deadline: float, seconds: float) -> Client:
        """Wait until opencode listens."""
        while True:
            word, value = self._next(max(0.0, deadline - time.monotonic()))
            if word == "listening":
                return Client(value, self._server.password)
            if word == "order":
                self._early.append(value)
            if self._is_closing and not self._early:
                why = "Its input has ended before anything was asked for."
                raise Over(why, ok=True)
            if time.monotonic() >= deadline:
                why = f"opencode has not become ready within {seconds:g} seconds."
                raise Over(why, ok=False)

    def _next(self, seconds: float | None) -> tuple[str, Any]:
        """Wait for the next note; ``nothing`` is one too, if none comes in time."""
        try:
            word, value = self._notes.get(timeout=seconds)
        except queue.Empty:
            return "nothing", None
        if word == "died":
            how = f"signal {-value}" if value < 0 else f"exit code {value}"
            why = f"opencode has ended by itself, with {how}."
            raise Over(why, ok=False)
        if word == "order" and value.get("do") == "end":
            why = "It was told to end."
            raise Over(why, ok=True)
        if word == "closed":
            self._is_closing = True
        return word, value

    def _look(self, client: Client) -> None:
        """Ask opencode itself, in case that we have missed that it is idle."""
        try:
            answer = client.get("session", "status")
        except Unreachable:
            return
        statuses = answer.value
        if not answer.is_good or not isinstance(statuses, dict):
            return
        status = statuses.get(self._activity.session)
        is_idle = not isinstance(status, dict) or status.get("type") == "idle"
        self._idle_looks = self._idle_looks + 1 if is_idle else 0
        if self._idle_looks > 1:
            why = "Its input has ended, and opencode says that it is idle."
            raise Over(why, ok=True)

    # Orders

    def _obey(self, order: Order, client: Client) -> None:
        do = order.get("do")
        try:
            if do == "open":
                self._open(order, client)
            elif do == "prompt":
                self._prompt(order, client)
            elif do == "abort":
                path = ("session", self._activity.session, "abort")
                self._answer(order, client.post(path, {}))
            elif do in WAYS:
                self._answer(order, self._insist(order, client))
            else:
                self._mouth.say("refused", id=order.get("id"), why="there is no such order")
        except Unreachable as error:
            if do == "open":
                raise Over(str(error), ok=False) from error
            if do == "prompt":
                self._activity.not_prompted()
            self._mouth.say("refused", id=order.get("id"), why=str(error))

    def _open(self, order: Order, client: Client) -> None:
        """Open the session, and listen to it."""
        conversation = order.get("conversation")
        if conversation:
            answer = client.get("session", str(conversation))
        else:
            answer = client.post(("session",), {})
        session = answer.value.get("id") if isinstance(answer.value, dict) else None
        if not answer.is_good or not isinstance(session, str):
            why = f"The session cannot be opened: {answer.words}."
            raise Over(why, ok=False)
        self._stream = Stream(
            client,
            self._mouth,
            self._activity,
            self._server.has_ended,
            lambda: self._notes.put(("rest", None)),
        )
        self._stream.open(session, is_new=not conversation)
        if not self._stream.is_open.wait(_DRAIN_SECONDS * 2):
            raise Over(f"Its events cannot be read: {self._stream.problem}.", ok=False)
        self._mouth.say("session", id=session)

    def _prompt(self, order: Order, client: Client) -> None:
        body = body_of_prompt(order)
        self._activity.prompted()
        answer = client.post(("session", self._activity.session, "prompt_async"), body)
        if answer.is_no_route and not (answer.is_json and answer.value):
            # An older version answers when the turn is over.
            threading.Thread(
                target=self._prompt_slowly, args=(order, body, client), daemon=True
            ).start()
            return
        self._prompted(order, answer)

    def _prompt_slowly(self, order: Order, body: Any, client: Client) -> None:
        self._mouth.say("done", id=order.get("id"))
        path = ("session", self._activity.session, "message")
        try:
            answer = client.post(path, body, _TURN_SECONDS)
        except Unreachable as error:
            self._mouth.say("gap", why=str(error))
            return
        if not answer.is_good:
            self._prompted(order, answer)

    def _prompted(self, order: Order, answer: Answer) -> None:
        if not answer.is_good:
            self._activity.not_prompted()
        self._answer(order, answer)

    def _insist(self, order: Order, client: Client) -> Answer:
        """Give an order that may be given twice, until an answer comes."""
        for _ in range(_TRIES - 1):
            try:
                return client.first_of(WAYS[order["do"]](order))
            except Unreachable:
                time.sleep(_PAUSE_SECONDS)
        return client.first_of(WAYS[order["do"]](order))

    def _answer(self, order: Order, answer: Answer) -> None:
        if answer.is_good:
            self._mouth.say("done", id=order.get("id"))
        else:
            name, status = order.get("id"), answer.status
            self._mouth.say("refused", id=name, why=answer.words, status=status)
