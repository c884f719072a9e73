"""
The bridge to ``aider``, which is started once for each message, and reports by a file.

All that it remembers of a conversation stands in one directory, whose name is that of the
conversation: the next message, and the next run, go on from there.

==========================================  ===================================================
it says                                     when
==========================================  ===================================================
``begin``: ``conversation``                 before anything else
``turn``: ``message``, its id               ``aider`` was started for a message
``analytics``: ``event``, ``properties``    ``aider`` has reported something
``ended``: ``message``, ``code``,           ``aider`` has ended; all that it has printed and
``signal``, ``problem``, ``interrupted``    reported was told before
``idle``                                    for a second there was nothing to do
==========================================  ===================================================

Orders: ``{"message": TEXT, "id": TEXT}``, and ``{"interrupt": true}``. It ends when its input has
ended and no message waits.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

from .bridge import HANG_SECONDS, Bridge

TYPE_CHECKING = False  # importing typing would cost more than importing this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_IDLE_SECONDS = 1.0
_CHUNK = 64 * 1024
_CHAT, _INPUTS, _REPORTS, _MESSAGE = "chat.md", "inputs", "reports.jsonl", "message.txt"


class Aider(Bridge):
    """The bridge."""

    def __init__(self, place: str, argv: Sequence[str]) -> None:
        super().__init__()
        self._place = place
        self._argv = argv
        self._messages: list[tuple[str, str]] = []
        self._current = ""
        self._is_interrupted = False
        self._read_to = 0
        self._idle_at: float | None = None

    def begin(self) -> None:
        """See :class:`Bridge`."""
        self.voice.say("begin", conversation=os.path.basename(self._place))
        os.makedirs(self._place, 0o700, exist_ok=True)

    def order(self, order: Mapping[str, Any]) -> None:
        """See :class:`Bridge`."""
        if isinstance(order.get("message"), str):
            self._messages.append((str(order.get("id") or ""), order["message"]))
            self._idle_at = None
        if order.get("interrupt") is True and self.program is not None:
            self._is_interrupted = True
            self.interrupt()

    def look(self) -> None:
        """See :class:`Bridge`."""
        if self.program is not None:
            self._tell_reports()
        elif self._messages and not self.must_end:
            self._next_turn()
        elif self._idle_at is not None and time.monotonic() >= self._idle_at:
            self._idle_at = None
            self.voice.say("idle")

    def ended(self, status: int) -> None:
        """See :class:`Bridge`."""
        while self._tell_reports():
            pass
        code = os.waitstatus_to_exitcode(status)
        by_signal = code < 0
        self._end_turn(code=None if by_signal else code, signal=-code if by_signal else None)

    def is_over(self) -> bool:
        """See :class:`Bridge`."""
        waits = bool(self._messages) and not self.must_end
        return self.program is None and not waits and (self.must_end or not self.has_input)

    def patience(self) -> float | None:
        """See :class:`Bridge`."""
        if self._messages:
            return 0.0
        return None if self._idle_at is None else max(0.0, self._idle_at - time.monotonic())

    def _next_turn(self) -> None:
        self._current, text = self._messages.pop(0)
        self._is_interrupted, self._read_to = False, 0
        with suppress(FileNotFoundError):
            os.unlink(self._path(_REPORTS))
        message = os.open(self._path(_MESSAGE), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(message, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        self.voice.say("turn", message=self._current)
        problem = self.start([*self._argv, *self._files()], {})
        if problem is not None:
            self._end_turn(code=127, problem=problem)

    def _end_turn(self, **how: Any) -> None:
        self.voice.say("ended", message=self._current, interrupted=self._is_interrupted, **how)
        self._idle_at = time.monotonic() + _IDLE_SECONDS

    def _files(self) -> list[str]:
        """The arguments that name our files."""
        chat = self._path(_CHAT)
        has_history = os.path.exists(chat) and os.path.getsize(chat) > 0
        return [
            f"--message-file={self._path(_MESSAGE)}",
            f"--analytics-log={self._path(_REPORTS)}",
            f"--chat-history-file={chat}",
            f"--input-history-file={self._path(_INPUTS)}",
            *(["--restore-chat-history"] if has_history else []),
        ]

    def _tell_reports(self) -> bool:
        """
        Say what has been reported since we looked, a part of it at a time.

        :returns: Whether that was anything.
        """
        if self.voice.is_waiting:
            return False  # It would only wait, too, in our memory.
        try:
            with open(self._path(_REPORTS), "rb") as file:
                file.seek(self._read_to)
                data = file.read(_CHUNK)
        except FileNotFoundError:
            return False
        end = data.rfind(b"\n") + 1
        if not end and len(data) == _CHUNK:
            end = len(data)  # No report is that long.
        self._read_to += end
        for line in data[:end].splitlines():
            self._tell_report(line)
        return end > 0

    def _tell_report(self, line: bytes) -> None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        event, properties = found.get("event"), found.get("properties")
        self.voice.say(
            "analytics",
            event=event if isinstance(event, str) else "",
            properties=properties if isinstance(properties, dict) else {},
        )
        if event == "exit":
            self.end_program(HANG_SECONDS)

    def _path(self, name: str) -> str:
        return os.path.join(self._place, name)


def main(arguments: Sequence[str]) -> int:
    """
    Run ``aider`` for each message.

    :param arguments: The absolute path of the conversation's directory, ``--``, the absolute path
        of the program, and its arguments.
    :returns: The exit code, which is that of the last message.
    """
    return Aider(arguments[0], arguments[2:]).run()
