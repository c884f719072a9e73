"""
The driver of ``codex app-server``: JSON-RPC both ways, over its standard streams.

What is said to it is in ``codex_talk.py``, what it tells in ``codex_notifications.py``, and what it
asks people in ``codex_asking.py``. Here each of its lines finds its way to one of them.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import Freed, Outputs, TurnEnded, Verdict, Write
from loki_twisted.agents.providers import codex_talk, telling
from loki_twisted.agents.providers.codex_asking import Waiting, answered, asked_of_request
from loki_twisted.agents.providers.codex_lines import LINE_LIMIT, noise, size_of
from loki_twisted.agents.providers.codex_notifications import told
from loki_twisted.agents.providers.codex_state import Stage, State, Step, with_seen
from loki_twisted.agents.providers.codex_work import agent_of, all_ended, unknown_seen
from loki_twisted.agents.providers.driver import RememberingDriver
from loki_twisted.agents.providers.jsonrpc import (
    METHOD_NOT_FOUND,
    Call,
    Failure,
    Incoming,
    Notification,
    Request,
    Response,
    failure_line,
    maybe_message,
)
from loki_twisted.agents.providers.members import text_of
from loki_twisted.agents.providers.programs import CODEX
from loki_twisted.agents.richness import MOST_VALUE_LIMIT
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Delivery, Message

_MOST_WAITING: Final = 64 * 1024
"""Bytes of what is remembered of its requests."""


class AppServerDriver(RememberingDriver[State]):
    """
    Talks to one ``codex app-server`` about one thread.

    :param memory: Of the driver before.
    """

    line_limit = LINE_LIMIT
    value_limit = MOST_VALUE_LIMIT  # a thread that is continued, of which little is looked at
    says_done = True

    def __init__(self, request: LaunchRequest, memory: str) -> None:
        super().__init__(State(), memory)
        self._request = request

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._step(codex_talk.greet(self._state))

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        message = maybe_message(text) if stream == "stdout" else None
        if message is None:
            return noise(stream, text)
        try:
            return self._step(self._read(message), settles=True)
        except RecursionError:  # Something in it is nested too deep to be written down again.
            return self._step(with_seen(self._state, unknown_seen(self._state.work, "too deep")))

    def say(self, message: Message) -> Outputs:
        """See :class:`IDriver`."""
        state = self._state
        if state.stage is Stage.WORKING and message.delivery is Delivery.NOW:
            return self._step(codex_talk.steer(state, message.text, message.id))
        turn = Call("turn/start", message.id, message.text)
        if state.stage in {Stage.IDLE, Stage.LEAVING} and state.work.main:
            return self._step(codex_talk.start_turn(state, turn))
        return self._step((replace(state, later=(*state.later, turn)), ()))

    def answer(self, key: str, answer: Answer) -> Outputs:
        """See :class:`IDriver`. What is said beside a choice is said into the turn."""
        state = self._state
        waiting = next((each for each in state.waiting.values() if key in each.open_keys), None)
        if waiting is None or state.stage is Stage.LEAVING:
            return ()
        rest = {name: each for name, each in state.waiting.items() if name != waiting.name}
        result = answered(waiting, key, answer)
        if isinstance(result, Waiting):
            return self._step((replace(state, waiting={**rest, waiting.name: result}), ()))
        state, outputs = replace(state, waiting=rest), [Write(result)]
        if answer.message and not waiting.fields and state.stage is Stage.WORKING:
            state, said = codex_talk.steer(state, answer.message)
            return self._step((state, [*outputs, *said]))
        return self._step((state, outputs), settles=True)

    def interrupt(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._step(codex_talk.leave_off(self._state), settles=True)

    def wake(self) -> Outputs:
        """See :class:`IDriver`."""
        state = replace(self._state, is_hindered=False)
        if state.stage is not Stage.LIMITED:
            return self._step((state, [Freed()] if self._state.is_hindered else ()))
        state, outputs = codex_talk.start_turn(state, Call("turn/start", text=codex_talk.GO_ON))
        return self._step((state, [Freed(), *outputs]))

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        state = self._state
        has_failed = state.verdict is not Verdict.DONE
        state, outputs = with_seen(state, all_ended(state.work, has_failed=has_failed))
        if state.model or state.ended or state.turn:
            tell = telling.failed if has_failed else telling.completed
            words = state.error[0] if has_failed else None
            outputs = [*outputs, tell(telling.MAIN, CODEX, words)]
        if state.stage in {Stage.STARTING, Stage.WORKING} and state.error[0]:
            outputs = [*outputs, TurnEnded(Verdict.FAILED, state.error[0])]
        if state.stage is Stage.GREETING:
            hint = "It has ended without an answer. The provider codex-exec needs no app-server."
            outputs = [*outputs, telling.log("error", hint, CODEX)]
        return self._step((state, outputs))

    def _become(self, state: State) -> None:
        super()._become(state)
        self.is_ready = state.stage in {Stage.IDLE, Stage.LEAVING} and bool(state.work.main)
        self.takes_now = state.stage is Stage.WORKING

    def _step(self, step: Step, *, settles: bool = False) -> Outputs:
        state, outputs = step
        if settles:
            state, more = codex_talk.settle(state, stays_open=self._request.stays_open)
            outputs = [*outputs, *more]
        self._become(state)
        return outputs

    def _read(self, message: Incoming) -> Step:
        state = self._state
        if isinstance(message, Request):
            return _asked(state, message)
        if isinstance(message, Notification):
            return told(state, message)
        return self._answered(message)

    def _answered(self, message: Response | Failure) -> Step:
        """A request of ours is answered."""
        call = self._state.calls.open.get(message.id)
        if call is None:
            return with_seen(self._state, unknown_seen(self._state.work, "answer"))
        state = replace(self._state, calls=self._state.calls.without(message.id))
        if call.method in _OPENING:
            return _OPENING[call.method](state, call, message, self._request)
        if isinstance(message, Failure):
            return codex_talk.call_failed(state, call, message)
        return codex_talk.call_answered(state, call, message)


_OPENING: Final = {
    "initialize": codex_talk.greeted,
    "account/read": codex_talk.account_known,
    "thread/start": codex_talk.thread_opened,
    "thread/resume": codex_talk.thread_opened,
}
"""What comes next when a request of the opening is answered, one way or the other."""


def _asked(state: State, request: Request) -> Step:
    """It asks for something: of people, or of us who cannot do it."""
    agent = agent_of(state.work, text_of(request.params, "threadId"))
    paths = state.work.files.get(text_of(request.params, "itemId"), "")
    question = asked_of_request(request, None if agent == telling.MAIN else agent, paths)
    if question is not None and state.stage is not Stage.LEAVING:
        waiting = {**state.waiting, question[0].name: question[0]}
        if size_of(waiting) <= _MOST_WAITING:
            return replace(state, waiting=waiting), question[1]
    state, counted = with_seen(state, unknown_seen(state.work, f"request {request.method}"))
    if state.stage is Stage.LEAVING:
        return state, counted
    words = "Nobody can answer this here."
    return state, [*counted, Write(failure_line(request.id, METHOD_NOT_FOUND, words))]
