"""
What the outputs of a driver change in a session.

Pure: a session's state and outputs give the next state, the events, and the rows that go with
them. The shell around it is ``sessions/conductor.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

import attrs
import msgspec

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import (
    Asked,
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Output,
    Outputs,
    Refused,
    Spent,
    Taken,
    TurnBegan,
    TurnEnded,
    Withdrawn,
    Write,
)
from loki_twisted.model.budget import Budget, Stage
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer, Input
from loki_twisted.model.ledger import LedgerEntry
from loki_twisted.model.messages import Message, MessageStatus
from loki_twisted.model.timestamps import bounded_ms, iso_from_ms
from loki_twisted.sessions.allowance import UNLIMITED, with_standing
from loki_twisted.sessions.booking import booking_of
from loki_twisted.sessions.changes import Change
from loki_twisted.sessions.conditions import with_condition
from loki_twisted.sessions.delivering import next_message
from loki_twisted.sessions.inbox import (
    POLICY,
    InputPolicy,
    OnUnanswered,
    answer_of_policy,
    answered,
    has_expired,
    opened,
    withdrawn,
)
from loki_twisted.sessions.rows import Rows
from loki_twisted.sessions.state import SessionState, after_facts
from loki_twisted.sessions.words import of_alarm, of_message

MOST_OPEN: Final = 200
"""So many inputs of a session may be open; beyond that the oldest is denied, or withdrawn."""

_TOO_MANY: Final = f"More than {MOST_OPEN} are open."
_BY_ITSELF: Final = "The agent went on by itself."


class Conduct:
    """
    A change of a session, while it is being made.

    :param state: The newest state of the session.
    :param now_ms: The time, since the Unix epoch.
    :param mint: Makes a new id of an input.
    :param policy: What becomes of inputs that nobody answers.
    :param driver: The session's driver, with the memory that is in the state.
    :param mask: Takes the secrets out of what the driver says when it is given something here.
    :param budget: What the session may spend.
    :param stays: Whether it is to stay when its agent has done its work.
    """

    def __init__(
        self,
        state: SessionState,
        now_ms: int,
        mint: Callable[[], str],
        policy: InputPolicy,
        driver: IDriver,
        mask: Callable[[Outputs], Outputs],
        budget: Budget = UNLIMITED,
        *,
        stays: bool = False,
    ) -> None:
        self._state = state
        self._talk = state.talk
        self._now_ms = now_ms
        self._mint = mint
        self._policy = policy
        self._driver = driver
        self._mask = mask
        self._budget = budget
        self._stays = stays
        self._facts: list[Fact] = []
        self._inputs = state.inputs
        self._messages = state.messages
        self._conversation = state.session.conversation
        self._settled: list[Input] = []
        self._told: dict[str, Message] = {}
        self._spent: list[LedgerEntry] = []

    # What is put in

    def take(self, outputs: Outputs) -> None:
        """Take what the driver says."""
        add = self._facts.append
        for output in outputs:
            if type(output) is Fact:
                add(output)
            else:
                self._take(output)

    def tell(self, facts: Iterable[Fact]) -> None:
        """Take facts that are not the driver's."""
        self._facts += facts

    def remember(self, **changes: Any) -> None:
        """Change what is remembered of the talk."""
        if any(getattr(self._talk, name) != value for name, value in changes.items()):
            self._talk = msgspec.structs.replace(self._talk, **changes)

    def answer(self, asked: Input, answer: Answer, by: str, reason: str | None = None) -> None:
        """
        Give the agent the answer to an input that is open.

        Where its driver takes the question back, because it fails on the answer, it is withdrawn.
        """
        key = self._talk.keys.get(asked.id, "")
        outputs = self._mask(self._driver.answer(key, answer))
        if not any(isinstance(each, Withdrawn) and each.key == key for each in outputs):
            self._settle(*answered(asked, answer, by, iso_from_ms(self._now_ms), reason))
        self.take(outputs)

    def expire(self) -> None:
        """Decide all inputs whose limit has passed."""
        policy = self._policy.on_unanswered
        for asked in list(self._inputs.values()):
            if has_expired(asked, self._now_ms):
                self._decide(asked, policy, f"Nobody answered in time: {policy}.", _BY_ITSELF)

    def queue(self, message: Message) -> None:
        """Let a message wait for the agent."""
        self._messages = (*self._messages, message)
        self._told[message.id] = message
        self._facts.append(of_message("queued", message))

    def deliver(self) -> None:
        """Give the driver messages, in order, as long as it takes them."""
        while (message := next_message(self._messages, self._talk, self._driver)) is not None:
            self.remember(given=(*self._talk.given, message.id))
            self.take(self._mask(self._driver.say(message)))

    def end(self, reason: str) -> None:
        """Settle all that the agent will not see any more."""
        for asked in list(self._inputs.values()):
            self._withdraw(asked, reason)
        for message in self._messages:
            self._settle_message(message, MessageStatus.DROPPED, reason)

    # What comes out

    def finish(self) -> Change:
        """Give the change that it has come to."""
        self.remember(memory=self._driver.memory())
        before = self._state
        state = after_facts(before, self._facts, iso_from_ms(self._now_ms))
        session = msgspec.structs.replace(
            state.session,
            conversation=self._conversation,
            open_inputs=len(self._inputs),
            queued_messages=len(self._messages),
        )
        state = attrs.evolve(
            state, session=session, inputs=self._inputs, messages=self._messages, talk=self._talk
        )
        state, alarms = with_standing(state, self._budget)
        state, told = with_condition(state, stays=self._stays)
        opened_now = [each for name, each in self._inputs.items() if name not in before.inputs]
        rows = Rows(
            inputs=[*self._settled, *opened_now],
            messages=list(self._told.values()),
            spent=self._spent,
        )
        over = next((each.words for each in alarms if each.stage is Stage.OVER), None)
        return Change(state, [*self._facts, *map(of_alarm, alarms), *told], rows, over)

    # Each kind of output

    def _take(self, output: Output) -> None:
        taker = self._takers.get(type(output))
        if taker is None:  # a driver may be anybody's
            words = f"The driver said what is no output: {type(output).__name__}."
            self._facts.append(Fact("log:error", {"level": "error", "message": words}))
        else:
            taker(self, output)

    def _withdraw_named(self, output: Withdrawn) -> None:
        for input_id, known in list(self._talk.keys.items()):
            if output.key in (None, known):
                self._withdraw(self._inputs[input_id], output.reason)

    def _write(self, output: Write) -> None:
        self.remember(outbox=self._talk.outbox.with_text(output.text))

    def _name(self, output: Conversation) -> None:
        self._conversation = output.id

    def _begin_turn(self, _: TurnBegan) -> None:
        self.remember(turn=self._talk.turn + (not self._talk.turn_is_on), turn_is_on=True)

    def _end_turn(self, output: TurnEnded) -> None:
        self.remember(turn_is_on=False, verdict=output.verdict, verdict_words=output.reason)

    def _hinder(self, output: Hindered) -> None:
        until = None if output.until_ms is None else bounded_ms(output.until_ms)
        self.remember(trouble=output.trouble, trouble_words=output.words, trouble_until=until)

    def _free(self, _: Freed) -> None:
        self.remember(trouble=None, trouble_words=None, trouble_until=None)

    def _take_message(self, output: Taken) -> None:
        self._settle_named(output.message_id, MessageStatus.DELIVERED, None)

    def _refuse_message(self, output: Refused) -> None:
        self._settle_named(output.message_id, MessageStatus.DROPPED, output.reason)

    def _end_input(self, _: EndInput) -> None:
        # The driver does not know of messages that wait. It says this again behind the last.
        if next_message(self._messages, self._talk, self._driver) is None:
            self.remember(input_ends=True)

    def _ask(self, asked: Asked) -> None:
        if asked.key in self._talk.keys.values():
            return  # It asks again what is open.
        made, fact = opened(asked, self._mint(), self._state.session.id, self._now_ms, self._policy)
        self._facts.append(fact)
        self._inputs = {**self._inputs, made.id: made}
        self.remember(keys={**self._talk.keys, made.id: asked.key})
        if len(self._inputs) > MOST_OPEN:
            self._decide(next(iter(self._inputs.values())), OnUnanswered.DENY, _TOO_MANY, _TOO_MANY)

    def _decide(self, asked: Input, policy: OnUnanswered, why: str, otherwise: str) -> None:
        """Let a policy answer; withdraw what it has no answer to."""
        answer = answer_of_policy(asked, policy)
        if answer is None:
            self._withdraw(asked, otherwise)
        else:
            self.answer(asked, answer, POLICY, why)

    def _withdraw(self, asked: Input, reason: str) -> None:
        self._settle(*withdrawn(asked, reason, iso_from_ms(self._now_ms)))

    def _settle(self, settled: Input, fact: Fact) -> None:
        keys = {name: key for name, key in self._talk.keys.items() if name != settled.id}
        self.remember(keys=keys)
        self._inputs = {name: each for name, each in self._inputs.items() if name != settled.id}
        self._settled.append(settled)
        self._facts.append(fact)

    def _settle_named(self, message_id: str, status: MessageStatus, reason: str | None) -> None:
        for message in self._messages:
            if message.id == message_id:
                self._settle_message(message, status, reason)

    def _settle_message(self, message: Message, status: MessageStatus, reason: str | None) -> None:
        settled = msgspec.structs.replace(
            message, status=status, settled_at=iso_from_ms(self._now_ms), reason=reason
        )
        self._messages = tuple(each for each in self._messages if each.id != message.id)
        self.remember(given=tuple(each for each in self._talk.given if each != message.id))
        self._told[message.id] = settled
        self._facts.append(of_message(str(status), settled))

    def _spend(self, spent: Spent) -> None:
        at_turn = attrs.evolve(self._state, talk=self._talk)
        booked = booking_of(spent, at_turn, self._now_ms)
        self._talk = booked.talk
        self._spent += booked.entries
        self._facts += booked.facts

    _takers: ClassVar[Mapping[type, Callable[[Conduct, Any], None]]] = {
        Asked: _ask,
        Withdrawn: _withdraw_named,
        Write: _write,
        EndInput: _end_input,
        Conversation: _name,
        Taken: _take_message,
        Refused: _refuse_message,
        TurnBegan: _begin_turn,
        TurnEnded: _end_turn,
        Spent: _spend,
        Hindered: _hinder,
        Freed: _free,
    }
