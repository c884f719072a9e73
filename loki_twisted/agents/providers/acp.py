"""
The driver of any agent that speaks the Agent Client Protocol on its standard streams.

It greets the agent, opens a session or goes on with one, and says the prompt. What the agent
reports meanwhile is read by ``acp_lines.py``, what it asks by ``acp_asking.py``. The answer to a
prompt ends the turn. Then the agent's input ends, unless it is to stay, and with that the agent.

We offer it neither our files nor terminals: it has its own. Whatever else it wants is refused, so
that it never waits for us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Conversation,
    EndInput,
    Output,
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
    read_update,
    told_of_end,
    told_of_held,
    told_of_unknown,
)
from loki_twisted.agents.providers.acp_opening import (
    GREETING,
    ONLY_LOOKING,
    Refusal,
    opened_as,
    opening_of,
    prompt_text,
    words_of,
)
from loki_twisted.agents.providers.acp_state import (
    NO_STATE,
    READY,
    REPLAYING,
    Stage,
    State,
    with_changes,
)
from loki_twisted.agents.providers.acp_turns import spent_in, verdict_of
from loki_twisted.agents.providers.acp_wire import details_of, message_of, notification, request
from loki_twisted.agents.providers.driver import RememberingDriver
from loki_twisted.agents.providers.jsonrpc import Failure, Notification, Request, Response
from loki_twisted.agents.providers.telling import MAIN, log, spawned
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message
from loki_twisted.model.spending import CostOrigin

ACP_LINE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a line. What a longer one says is lost, and who asks by one waits for ever."""

_LEAVING_OFF: Final = "The agent was told to leave off."
_TURN_OVER: Final = "The agent ended its turn without waiting for it."


class AcpDriver(RememberingDriver[State]):
    """
    The driver.

    Each message begins a turn, so one is taken when no turn is on.

    :param agent: The type by which the agent goes in events: the name of its provider.
    :param request: What the session wants; its prompt is taken from it when it is said.
    :param memory: Of the driver before.
    :param complains: Whether it says its errors in words, as if all was well.
    """

    line_limit = ACP_LINE_LIMIT
    says_done = True

    def __init__(
        self, agent: str, request: LaunchRequest, memory: str = "", *, complains: bool = False
    ) -> None:
        super().__init__(NO_STATE, memory)
        self._agent = agent
        self._request = request
        self._complains = complains

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
            case Request() as wanted:
                return self._asked(wanted)
            case Response(number, result):
                return self._replied(number, result)
            case Failure() as failure:
                return self._refused(failure, details_of(text))
        return self._take(behind_text((self._state, self._printed(text)), self._agent))

    def quiet(self) -> Outputs:
        """See :class:`IDriver`."""
        told = self._held_told()
        return self._start() if self._state.stage is Stage.SETTLING else told

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
            notification("session/cancel", session),
            *self._take(all_settled(self._state, _LEAVING_OFF)),
        ]

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        return [
            *self._held_told(),
            *self._take(told_of_unknown(self._state, self._agent)),
            *self._take(told_of_end(self._state, self._agent)),
        ]

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
            case Stage.CHOOSING:
                return self._settle()
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
        is_new = self._state.stage is Stage.OPENING
        self._change(conversation=session.id, model=session.model)
        task = prompt_text(self._request)
        told: list[Output] = [
            Conversation(session.id),
            spawned(MAIN, self._agent, model=session.model, task=task),
        ]
        if self._request.dry_run:
            params = {"sessionId": session.id, "modeId": ONLY_LOOKING}
            return [*told, self._call("session/set_mode", params, Stage.CHOOSING)]
        return [*told, *(self._start() if is_new else self._settle())]

    def _settle(self) -> Outputs:
        """What was loaded is told by some only now: begin when that is over."""
        if self._request.conversation is None:
            return self._start()
        self._change(stage=Stage.SETTLING)
        return ()

    def _start(self) -> Outputs:
        self._change(stage=Stage.HALTED)
        prompt = prompt_text(self._request)
        return () if prompt is None else self._prompt(prompt)

    def _turn_over(self, result: Mapping[str, Any]) -> Outputs:
        is_priced = self._state.currency == US_DOLLARS
        origin = CostOrigin.REPORTED if is_priced else CostOrigin.UNKNOWN
        verdict, words = verdict_of(result, self._state.last_piece if self._complains else "")
        return self._end_turn(verdict, words, spent_in(result, origin, self._state.model))

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
        if self._state.stage in REPLAYING:
            return ()
        told = read_update(self._state, params.get("update"), self._agent)
        return self._unknown() if told is None else self._take(told)

    def _asked(self, wanted: Request) -> Outputs:
        told = asked(self._state, wanted, self._agent)
        return self._take(behind_text(told, self._agent))

    def _printed(self, text: str) -> Outputs:
        """What is no message: what the agent prints for people, and what others print beside it."""
        return [log("info", text, self._agent)] if text.strip() else ()

    def _unknown(self) -> Outputs:
        return self._take(told_of_unknown(self._state, self._agent, 1))

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
        stays = was_told or self._request.stays_open
        return [*told, TurnEnded(verdict, words), *(() if stays else (EndInput(),))]

    def _give_up(self, words: str) -> Outputs:
        """There will be no session."""
        if self._request.conversation is not None:
            words = f"The conversation cannot be continued: {words}"
        self._change(stage=Stage.LEAVING, verdict=Verdict.FAILED)
        return [*self.quiet(), TurnEnded(Verdict.FAILED, words), EndInput()]

    def _call(self, method: str, params: Mapping[str, Any], stage: Stage) -> Write:
        number = self._state.sent + 1
        self._change(sent=number, awaited=number, stage=stage)
        return request(number, method, params)

    def _held_told(self) -> Outputs:
        return self._take(told_of_held(self._state, self._agent))

    def _take(self, told: Told) -> Outputs:
        self._become(told[0])
        return told[1]

    def _change(self, **changes: Any) -> None:
        self._become(with_changes(self._state, **changes))

    def _become(self, state: State) -> None:
        super()._become(state)
        self.is_ready = state.stage in READY
