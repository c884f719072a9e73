"""
The driver of Claude Code, which speaks JSON lines both ways.

What it says is read by ``claude_lines.py``; what is written to it is made by ``claude_writing.py``;
all that is remembered between is one value, ``claude_memory.py``.
"""

from __future__ import annotations

from typing import Final

import msgspec

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import Outputs, Verdict
from loki_twisted.agents.providers.claude_lines import take_line, tell_unknown
from loki_twisted.agents.providers.claude_memory import (
    MOST_SENT,
    Draft,
    Memory,
    Standing,
)
from loki_twisted.agents.providers.claude_reading import maybe_line
from loki_twisted.agents.providers.claude_requests import take_answer
from loki_twisted.agents.providers.claude_turns import end_if_done, go_on
from loki_twisted.agents.providers.claude_work import end_helpers
from loki_twisted.agents.providers.claude_writing import message_line, prompt_line, request_line
from loki_twisted.agents.providers.driver import Driver
from loki_twisted.agents.providers.programs import CLAUDE
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.agents.providers.telling import MAIN, completed, failed, log
from loki_twisted.agents.providers.words import DEFAULT_LEVEL
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message

CLAUDE_LINE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a line: pictures and results of tools come in one."""

_MOST_OF_BROKEN: Final = 500
"""Characters of a line that is told though it cannot be read."""

_READY: Final = frozenset({Standing.IDLE, Standing.HELD})

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Memory).decode


class ClaudeDriver(Driver):
    """
    Drives one run.

    :param memory: Of the driver before, or empty.
    """

    line_limit = CLAUDE_LINE_LIMIT
    says_done = True

    def __init__(self, request: LaunchRequest, memory: str = "") -> None:
        self._request = request
        self._memory = _decode(memory) if memory else Memory()
        self._written: tuple[Memory, str] | None = None

    @property
    def is_ready(self) -> bool:  # type: ignore[override] # said anew each time
        """See :class:`IDriver`."""
        return self._memory.standing in _READY and self._takes_more()

    @property
    def takes_now(self) -> bool:  # type: ignore[override] # said anew each time
        """See :class:`IDriver`."""
        return self._memory.standing is Standing.WORKING and self._takes_more()

    def begin(self) -> Outputs:
        """See :class:`IDriver`. It answers the request with what waits for people already."""
        draft = self._draft()
        draft.change(asked=draft.memory.asked + 1)
        initialize = {
            "subtype": "initialize",
            "hooks": {},
            "agents": {},
            "forwardSubagentText": True,
        }
        draft.say(request_line(draft.memory.asked, initialize))
        draft.say(prompt_line(prompt_of(self._request)))
        return self._finish(draft)

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`. What is no line of the protocol is a log line."""
        draft = self._draft()
        line = maybe_line(text) if stream == "stdout" else None
        if line is not None:
            take_line(draft, line)
        elif text.strip():
            _tell_other(draft, stream, text)
        return self._finish(draft)

    def quiet(self) -> Outputs:
        """See :class:`IDriver`. Whoever wanted more of it has said so by now."""
        draft = self._draft()
        end_if_done(draft)
        return self._finish(draft)

    def say(self, message: Message) -> Outputs:
        """See :class:`IDriver`."""
        draft = self._draft()
        draft.say(message_line(message.id, message.text, message.delivery))
        draft.change(sent=(*draft.memory.sent, message.id))
        if draft.memory.standing in _READY:
            draft.change(standing=Standing.STARTING)
        return self._finish(draft)

    def answer(self, key: str, answer: Answer) -> Outputs:
        """See :class:`IDriver`."""
        draft = self._draft()
        take_answer(draft, key, answer)
        return self._finish(draft)

    def interrupt(self) -> Outputs:
        """See :class:`IDriver`."""
        draft = self._draft()
        if draft.memory.standing is Standing.WORKING and not draft.memory.input_ended:
            draft.change(asked=draft.memory.asked + 1, interrupts=True)
            draft.say(request_line(draft.memory.asked, {"subtype": "interrupt"}))
        return self._finish(draft)

    def wake(self) -> Outputs:
        """See :class:`IDriver`."""
        draft = self._draft()
        go_on(draft)
        return self._finish(draft)

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        draft = self._draft()
        tell_unknown(draft)
        is_done = draft.memory.verdict is Verdict.DONE and draft.memory.standing in _READY
        end_helpers(draft, is_error=not is_done)
        if draft.memory.is_told:
            draft.say((completed if is_done else failed)(MAIN, CLAUDE))
            draft.change(is_told=False)
        return self._finish(draft)

    def memory(self) -> str:
        """See :class:`IDriver`."""
        if self._written is None or self._written[0] is not self._memory:
            self._written = self._memory, _encode(self._memory).decode()
        return self._written[1]

    def _takes_more(self) -> bool:
        return not self._memory.input_ended and len(self._memory.sent) < MOST_SENT

    def _draft(self) -> Draft:
        request = self._request
        return Draft(self._memory, is_dry=request.dry_run, stays_open=request.stays_open)

    def _finish(self, draft: Draft) -> Outputs:
        self._memory = draft.memory
        return draft.outputs


def _tell_other(draft: Draft, stream: str, text: str) -> None:
    level = DEFAULT_LEVEL[stream]
    if text.lstrip().startswith("{") and len(text) > _MOST_OF_BROKEN:
        level = "warn"
        text = f"{text[:_MOST_OF_BROKEN]}… [no JSON that can be read, {len(text)} characters]"
    draft.say(log(level, text, CLAUDE))
