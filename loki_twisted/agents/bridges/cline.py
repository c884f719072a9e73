"""
The bridge to ``cline``, which asks for approvals by files.

It writes a request into a directory, ``<session>.request.<call>.json``, looks for
``<session>.decision.<call>.json`` five times in a second, and removes both; or it denies
for itself after five minutes. Here each request becomes a line, and an order the decision.

======================================  =====================================================
it says                                 when
======================================  =====================================================
``begin``                               before anything else
``approval``: ``request``, a number,    a request is there
and ``asked``, what it holds
``withdrawn``: ``request``              a request is gone that nobody has decided
``problem``: ``message``                ``cline`` could not be started
======================================  =====================================================

Orders: ``{"decision": NUMBER, "approved": BOOLEAN, "reason": TEXT?}``, and ``{"done": true}``: it
has said that its work is done, so it is not waited for without end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import suppress

from .bridge import HANG_SECONDS, Bridge

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_REQUEST, _DECISION, _END = ".request.", ".decision.", ".json"
_MOST_BYTES = 8 * 1024 * 1024
_LOOKS = 20
"""So often a request that is not wholly there is looked at before it is told without its words."""


class Request:
    """
    A request that is there.

    :ivar number: None before it was told.
    :ivar made: When its file was made or changed, so that the next one of that name is another.
    """

    def __init__(self, made: int) -> None:
        self.made = made
        self.number: int | None = None
        self.looks = 0
        self.is_decided = False


class Cline(Bridge):
    """
    The bridge.

    A first SIGTERM only makes a note in some versions of ``cline``; SIGINT after it makes it end
    whatever it does, and take its tools along.
    """

    farewell = signal.SIGINT

    def __init__(self, argv: Sequence[str]) -> None:
        super().__init__()
        self._argv = argv
        self._requests: dict[str, Request] = {}
        self._count = 0
        place = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  # nobody else can guess the name
        self._directory = os.path.join(place, f"loki-cline-{os.urandom(8).hex()}")

    def begin(self) -> None:
        """See :class:`Bridge`."""
        self.voice.say("begin")
        os.mkdir(self._directory, 0o700)
        problem = self.start(self._argv, {"CLINE_TOOL_APPROVAL_DIR": self._directory})
        if problem is not None:
            self.voice.say("problem", message=problem)

    def order(self, order: Mapping[str, Any]) -> None:
        """See :class:`Bridge`."""
        if order.get("done") is True:
            self.end_program(HANG_SECONDS)
        for name, request in self._requests.items():
            if request.number is not None and request.number == order.get("decision"):
                request.is_decided = True
                self._decide(name, order)

    def look(self) -> None:
        """See :class:`Bridge`."""
        try:
            names = {name for name in os.listdir(self._directory) if _is_request(name)}
        except FileNotFoundError:
            names = set()
        for name in [each for each in self._requests if each not in names]:
            self._gone(name)
        for name in sorted(names):
            with suppress(OSError):  # It is gone since we looked, or is no file.
                self._look_at(name)

    def close(self) -> None:
        """See :class:`Bridge`."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _look_at(self, name: str) -> None:
        path = os.path.join(self._directory, name)
        made = os.stat(path, follow_symlinks=False).st_mtime_ns
        request = self._requests.get(name)
        if request is not None and request.number is not None and request.made != made:
            self._gone(name)
            request = None
        if request is None:
            request = self._requests[name] = Request(made)
        request.looks += 1
        if request.number is not None:
            return
        # Between the two it may have been written: it is made when what was read was.
        asked, made = _read(path)
        if asked is None and request.looks < _LOOKS:
            return
        self._count += 1
        request.number, request.made = self._count, made
        self.voice.say("approval", request=self._count, asked=asked or {})

    def _gone(self, name: str) -> None:
        request = self._requests.pop(name)
        if request.number is not None and not request.is_decided:
            self.voice.say("withdrawn", request=request.number)

    def _decide(self, name: str, order: Mapping[str, Any]) -> None:
        """Write a decision, so that it is there as a whole or not at all."""
        decision: dict[str, Any] = {"approved": order.get("approved") is True}
        if isinstance(order.get("reason"), str):
            decision["reason"] = order["reason"]
        session, _, call = name.partition(_REQUEST)
        draft = os.path.join(self._directory, f"draft{_END}")
        with suppress(FileNotFoundError):  # The directory is gone, and nobody waits for it.
            with open(draft, "w", encoding="ascii") as file:
                json.dump(decision, file)
            os.rename(draft, os.path.join(self._directory, f"{session}{_DECISION}{call}"))


def main(arguments: Sequence[str]) -> int:
    """
    Run ``cline``.

    :param arguments: ``--``, the absolute path of the program, and its arguments.
    :returns: The exit code.
    """
    return Cline(arguments[1:]).run()


def _is_request(name: str) -> bool:
    return _REQUEST in name and name.endswith(_END)


def _read(path: str) -> tuple[dict[str, Any] | None, int]:
    """
    Read a request.

    :returns: What it holds, None if it is not wholly there; and when that was written.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        data = file.read(_MOST_BYTES)
        made = os.fstat(file.fileno()).st_mtime_ns
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None, made
    return (found if isinstance(found, dict) else None), made
