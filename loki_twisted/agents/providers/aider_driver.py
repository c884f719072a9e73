"""
The driver of ``aider`` behind its bridge.

``aider`` prints text for people, and reports apart from that. The bridge tells when a process
for a message begins and ends, and each report.
"""

from __future__ import annotations

from typing import Final

from loki_twisted.agents.bridges.voice import MARK
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import EndInput, Outputs, Verdict
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.aider_printed import of_errors, printed
from loki_twisted.agents.providers.aider_reports import BRIDGE_LINES, nothing
from loki_twisted.agents.providers.aider_state import AiderState, Step, flushed
from loki_twisted.agents.providers.bridges import key_of, maybe_fields, order
from loki_twisted.agents.providers.driver import RememberingDriver
from loki_twisted.agents.providers.members import Fields, maybe_text
from loki_twisted.agents.providers.programs import AIDER
from loki_twisted.agents.providers.prompts import maybe_prompt, prompt_of
from loki_twisted.agents.providers.telling import MAIN
from loki_twisted.model.messages import Message

_COMMANDS: Final = ("/", "!")


class AiderDriver(RememberingDriver[AiderState]):
    """
    See the module.

    :param memory: Of the driver before; empty for none.
    """

    says_done = True

    def __init__(self, request: LaunchRequest, memory: str = "") -> None:
        super().__init__(AiderState(), memory)
        self._request = request

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        self._become(self._state.but(is_busy=True))
        task = maybe_prompt(self._request) or self._request.prd_path
        return [
            telling.spawned(MAIN, AIDER, model=self._request.model, task=task),
            order(message=as_message(prompt_of(self._request))),
        ]

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        state, told = self._read(self._state, stream, text)
        self._become(state)
        return told

    def quiet(self) -> Outputs:
        """See :class:`IDriver`."""
        state, told = flushed(self._state)
        self._become(state)
        return told

    def say(self, message: Message) -> Outputs:
        """See :class:`IDriver`. The bridge says when it was taken."""
        self._become(self._state.but(is_busy=True))
        return [order(message=as_message(message.text), id=message.id)]

    def interrupt(self) -> Outputs:
        """See :class:`IDriver`."""
        return [order(interrupt=True)] if self._state.is_busy else ()

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        state, told = flushed(self._state)
        self._become(state)
        if not state.is_busy and state.verdict == Verdict.DONE.value:
            return [*told, telling.completed(MAIN, AIDER)]
        return [*told, telling.failed(MAIN, AIDER, state.exception or state.problem or None)]

    def _become(self, state: AiderState) -> None:
        super()._become(state)
        self.is_ready = not state.is_busy and not state.is_over

    def _read(self, state: AiderState, stream: str, text: str) -> Step:
        if stream != "stdout":
            return of_errors(state, stream, text)
        found = maybe_fields(text)
        key = None if found is None else key_of(found, state.key)
        if found is None or key is None:
            return printed(state, text)
        return self._of_bridge(state.but(key=key), found)

    def _of_bridge(self, state: AiderState, found: Fields) -> Step:
        kind = maybe_text(found, MARK) or ""
        if kind == "idle" and not self._request.stays_open and not state.is_busy:
            return state.but(is_over=True), [EndInput()]
        return BRIDGE_LINES.get(kind, nothing)(state, found)


def as_message(text: str) -> str:
    """
    Make sure that a text is taken for a message.

    ``aider`` takes what begins with ``/`` for a command of its own, and with ``!`` for one of the
    shell.
    """
    return f"Your task: {text}" if text.lstrip().startswith(_COMMANDS) else text
