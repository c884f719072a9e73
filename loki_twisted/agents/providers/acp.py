"""
The driver of any agent that speaks the Agent Client Protocol on its standard streams.

It greets the agent, opens a session or goes on with one, and says the prompt. What the agent
reports meanwhile is read by ``acp_lines.py``, what it asks by ``acp_asking.py``. The answer to a
prompt ends the turn. When nobody wants more of it, the agent's input ends, and with that the agent.

We offer it neither our files nor terminals: it has its own. Whatever else it wants is refused, so
that it never waits for us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Conversation,
    EndInput,
    Outputs,
    Taken,
    TurnBegan,
    TurnEnded,
    Verdict,
    Write,
)
from loki_twisted.agents.providers.acp_asking import all_settled, answered, asked, taken_back
from loki_twisted.agents.providers.acp_lines import (
    US_DOLLARS,
    Told,
    behind_text,
    read_replayed,
    read_update,
    told_of_held,
)
from loki_twisted.agents.providers.acp_opening import (
    GREETING,
    Refusal,
    opened_as,
    opening_of,
    prompt_text,
    words_of,
)
from loki_twisted.agents.providers.acp_state import (
    AT_WORK,
    NO_STATE,
    READY,
    Stage,
    State,
    with_changes,
)
from loki_twisted.agents.providers.acp_turns import spent_in, verdict_of
from loki_twisted.agents.providers.acp_wire import details_of, message_of
from loki_twisted.agents.providers.driver import Driver
from loki_twisted.agents.providers.jsonrpc import (
    METHOD_NOT_FOUND,
    Failure,
    Notification,
    Request,
    Response,
    failure_line,
    notification_line,
    request_line,
)
from loki_twisted.agents.providers.telling import MAIN, completed, failed, log, spawned
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message
from loki_twisted.model.spending import CostOrigin

ACP_LINE_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a line. What a longer one says is lost, and who asks by one waits for ever."""

_EACH_UNKNOWN: Final = 1000
"""So many messages that are only counted are told of at once."""

_LEAVING_OFF: Final = "The agent was told to leave off."
_TURN_OVER: Final = "The agent ended its turn without waiting for it."


class AcpDriver(Driver):
    """
    The driver.

    Each message begins a turn, so one is taken when no turn is on.

    :param agent: The type by which the agent goes in events: the name of its provider.
    :param request: What the session wants; its prompt is taken from it when it is said.
    :param memory: Of the driver before.
    """

    line_limit = ACP_LINE_LIMIT
    says_done = True

    def __init__(self, agent: str, request: LaunchRequest, memory: str = "") -> None:
        self._agent = agent
        self._request = request
        self._memory = memory
        self._state = msgspec.json.decode(memory, type=State) if memory else NO_STATE
        self.is_ready = self._state.stage in READY

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        return [self._call("initialize", GREETING, Stage.GREETING)]

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        if stream != "stdout":
            return self._printed(text)
        match message_of(text):
            case Notification(method, params):
                return self._notified(method, params)
            case Request() as request:
                return self._asked(request)
            case Response(number, result):
                return self._replied(number, result)
            case Failure() as failure:
                return self._refused(failure, details_of(text))
        return self._take(behind_text((self._state, self._printed(text)), self._agent))

    def quiet(self) -> Outputs:
        """See :class:`IDriver`."""
        told = self._held_told()
        if self._state.stage is not Stage.IDLE or self._request.stays_open:
            return told
        # Whoever wanted more of it has said so by now.
        self._change(stage=Stage.LEAVING)
        return [*told, EndInput()]

    def say(self, message: Message) -> Outputs:
        """See :class:`IDriver`."""
        if self._state.stage not in READY:
            return ()
        return [*self._prompt(message.text), Taken(message.id)]

    def answer(self, key: str, answer: Answer) -> Outputs:
        """See :class:`IDriver`."""
        return self._take(answered(self._state, key, answer, self._agent))

    def interrupt(self) -> Outputs:
        """See :class:`IDriver`."""
        if self._state.stage is not Stage.WORKING:
            return ()
        self._change(stage=Stage.CANCELLING)
        session = {"sessionId": self._state.conversation}
        # Behind it, the protocol wants an answer to all that is open.
        return [
            Write(notification_line("session/cancel", session, named=True)),
            *self._take(all_settled(self._state, _LEAVING_OFF)),
        ]

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        outputs = [*self._held_told(), *self._unknown_told()]
        stage, verdict = self._state.stage, self._state.verdict
        self._change(stage=Stage.CLOSED, awaited=None)
        if stage is Stage.CLOSED or self._state.conversation is None:
            return outputs
        if verdict is Verdict.DONE and stage not in AT_WORK:
            return [*outputs, completed(MAIN, self._agent)]
        return [*outputs, failed(MAIN, self._agent)]

    def memory(self) -> str:
        """See :class:`IDriver`."""
        if not self._memory and self._state is not NO_STATE:
            self._memory = msgspec.json.encode(self._state).decode()
        return self._memory

    # What it answers

    def _replied(self, number: int, result: Mapping[str, Any]) -> Outputs:
        if number != self._state.awaited:
            return self._unknown()
        self._change(awaited=None)
        match self._state.stage:
            case Stage.GREETING:
                return self._greeted(result)
            case Stage.OPENING | Stage.LOADING:
                return self._opened(result)
        return self._turn_over(result)

    def _greeted(self, result: Mapping[str, Any]) -> Outputs:
        opening = opening_of(self._request, result)
        if isinstance(opening, Refusal):
            return self._give_up(opening.words)
        self._change(logins=opening.logins)
        return [self._call(opening.method, opening.params, opening.stage)]

    def _opened(self, result: Mapping[str, Any]) -> Outputs:
        session = opened_as(self._request, result)
        if isinstance(session, Refusal):
            return self._give_up(session.words)
        self._change(conversation=session.id, stage=Stage.HALTED)
        prompt = prompt_text(self._request)
        return [
            Conversation(session.id),
            spawned(MAIN, self._agent, model=session.model, task=prompt),
            *(() if prompt is None else self._prompt(prompt)),
        ]

    def _turn_over(self, result: Mapping[str, Any]) -> Outputs:
        origin = CostOrigin.UNKNOWN
        if self._state.currency == US_DOLLARS:
            origin = CostOrigin.REPORTED
        verdict, words = verdict_of(result)
        return self._end_turn(verdict, words, spent_in(result, origin))

    def _refused(self, failure: Failure, details: str) -> Outputs:
        if failure.id != self._state.awaited:
            return self._unknown()
        self._change(awaited=None)
        words = words_of(failure, details, self._state.logins)
        if self._state.stage is Stage.CANCELLING:
            return self._end_turn(Verdict.INTERRUPTED, words)
        if self._state.stage is Stage.WORKING:
            return self._end_turn(Verdict.FAILED, words)
        return self._give_up(words)

    # What it says and asks by itself

    def _notified(self, method: str, params: Mapping[str, Any]) -> Outputs:
        if method == "$/cancel_request":
            return self._take(taken_back(self._state, params.get("requestId")))
        if method != "session/update":
            return self._unknown()
        update = params.get("update")
        if self._state.stage is Stage.LOADING:
            self._become(read_replayed(self._state, update))
            return ()
        told = read_update(self._state, update, self._agent)
        return self._unknown() if told is None else self._take(told)

    def _asked(self, request: Request) -> Outputs:
        told = asked(self._state, request, self._agent)
        if told is not None:
            return self._take(behind_text(told, self._agent))
        refusal = failure_line(request.id, METHOD_NOT_FOUND, "It is not offered.", named=True)
        return [*self._unknown(), Write(refusal)]

    def _printed(self, text: str) -> Outputs:
        """What is no message: what the agent prints for people, and what others print beside it."""
        return [log("info", text, self._agent)] if text.strip() else ()

    def _unknown(self) -> Outputs:
        self._change(unknown=self._state.unknown + 1)
        return self._unknown_told() if self._state.unknown >= _EACH_UNKNOWN else ()

    def _unknown_told(self) -> Outputs:
        count = self._state.unknown
        if not count:
            return ()
        self._change(unknown=0)
        return [log("debug", f"{count} messages of unknown kinds were passed over.", self._agent)]

    # Turns

    def _prompt(self, text: str) -> Outputs:
        params = {
            "sessionId": self._state.conversation,
            "prompt": [{"type": "text", "text": text}],
        }
        return [TurnBegan(), self._call("session/prompt", params, Stage.WORKING)]

    def _end_turn(self, verdict: Verdict, words: str | None, spent: Outputs = ()) -> Outputs:
        told = [*self._held_told(), *self._take(all_settled(self._state, _TURN_OVER)), *spent]
        # Who is told to leave off is to stay, for what people want of it instead.
        was_told = self._state.stage is Stage.CANCELLING and verdict is Verdict.INTERRUPTED
        stage = Stage.HALTED if was_told else Stage.IDLE
        self._change(stage=stage, verdict=verdict, calls={}, ended_calls=())
        return [*told, TurnEnded(verdict, words)]

    def _give_up(self, words: str) -> Outputs:
        """There will be no session."""
        if self._request.conversation is not None:
            words = f"The conversation cannot be continued: {words}"
        self._change(stage=Stage.CLOSED, verdict=Verdict.FAILED)
        return [*self.quiet(), TurnEnded(Verdict.FAILED, words), EndInput()]

    def _call(self, method: str, params: Mapping[str, Any], stage: Stage) -> Write:
        number = self._state.sent + 1
        self._change(sent=number, awaited=number, stage=stage)
        return Write(request_line(number, method, params, named=True))

    def _held_told(self) -> Outputs:
        return self._take(told_of_held(self._state, self._agent))

    def _take(self, told: Told) -> Outputs:
        self._become(told[0])
        return told[1]

    def _change(self, **changes: Any) -> None:
        self._become(with_changes(self._state, **changes))

    def _become(self, state: State) -> None:
        if state is not self._state:
            self._state, self._memory = state, ""
        self.is_ready = state.stage in READY
