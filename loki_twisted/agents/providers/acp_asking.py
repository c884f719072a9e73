"""
Requests of an agent of the Agent Client Protocol that people answer, from first to last.

Each of these takes what is remembered, and gives what is remembered then and what is to be told.
No request is left without an answer: one that nobody can be asked is refused at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Output, Withdrawn
from loki_twisted.agents.providers.acp_content import short
from loki_twisted.agents.providers.acp_lines import Told, read_call, told_of_call, told_of_unknown
from loki_twisted.agents.providers.acp_questions import (
    CANCELLED,
    DECLINE,
    DECLINED,
    NOT_ANSWERED,
    confirmation_result,
    field_value,
    form,
    form_keys,
    form_result,
    permission,
    permission_result,
)
from loki_twisted.agents.providers.acp_state import (
    MOST_ASKED,
    Call,
    Question,
    Stage,
    State,
    with_question,
    without_question,
)
from loki_twisted.agents.providers.acp_wire import refusal, result
from loki_twisted.agents.providers.jsonrpc import METHOD_NOT_FOUND, Request, RequestId
from loki_twisted.agents.providers.telling import log
from loki_twisted.model.inputs import Answer

REQUEST_CANCELLED: Final = -32800
"""The code of the error for a request that the agent itself has taken back."""

_MOST_OF_KEY: Final = 256
"""Characters of an id as JSON."""

_MOST_GIVEN: Final = 48 * 1024
"""Bytes of answers, as JSON, that are remembered until their forms are complete."""

_WITHDRAWN: Final = "The agent no longer wants to know."


def asked(state: State, request: Request, agent: str) -> Told:
    """
    Take a request.

    :param agent: The type of the agent, for what is told.
    """
    if request.method == "session/request_permission":
        return _asked_for_permission(state, request, agent)
    if request.method == "elicitation/create":
        return _asked_for_form(state, request, agent)
    state, told = told_of_unknown(state, agent, 1)
    return state, [*told, refusal(request.id, METHOD_NOT_FOUND, "It is not offered.")]


def _asked_for_permission(state: State, request: Request, agent: str) -> Told:
    key = _key_of(request.id)
    if key is None or not _can_ask(state):
        return state, _not_asked(state, request, CANCELLED, agent)
    about = request.params.get("toolCall")
    about = about if isinstance(about, dict) else {}
    call_id = short(about.get("toolCallId"))
    state, outputs = read_call(state, about, agent) or (state, ())
    if call_id in state.calls:
        state, told = told_of_call(state, call_id, agent)
        outputs = [*outputs, *told]
    call = state.calls.get(call_id) or Call(short(about.get("kind")) or "tool")
    question = permission(key, request.params, call, call_id)
    return with_question(state, key, Question()), [*outputs, question]


def _asked_for_form(state: State, request: Request, agent: str) -> Told:
    key = _key_of(request.id)
    if key is None or not _can_ask(state):
        return state, _not_asked(state, request, NOT_ANSWERED, agent)
    read = form(key, request.params)
    if read is None:
        line = log("warn", "It asked with a form that nobody can be shown; declined.", agent)
        return state, [line, result(request.id, DECLINED)]
    question, questions = read
    return with_question(state, key, question), questions


def answered(state: State, key: str, answer: Answer, agent: str) -> Told:
    """Give the agent what was answered; of a form, when all of it is."""
    question = state.asked.get(key)
    if question is not None:
        is_form = question.form is not None
        value = confirmation_result(answer) if is_form else permission_result(answer)
        return without_question(state, key), [result(_id_of(key), value)]
    request_id, _, number = key.rpartition("/")
    question = state.asked.get(request_id)
    if question is None or key not in form_keys(request_id, question):
        return state, ()
    return _filled_in(state, request_id, number, answer, agent)


def taken_back(state: State, request_id: Any) -> Told:
    """``$/cancel_request``: the agent itself no longer wants to know."""
    key = _key_of(request_id)
    if key is None or key not in state.asked:
        return state, ()
    answer = refusal(request_id, REQUEST_CANCELLED, "Cancelled.")
    return without_question(state, key), [*_withdrawn(state, key, _WITHDRAWN), answer]


def all_settled(state: State, reason: str) -> Told:
    """
    Answer all that is open, because nobody will.

    :param reason: Why, for people.
    """
    outputs: list[Output] = []
    for key, question in state.asked.items():
        value = CANCELLED if question.form is None else NOT_ANSWERED
        outputs += [*_withdrawn(state, key, reason), result(_id_of(key), value)]
        state = without_question(state, key)
    return state, outputs


def _filled_in(state: State, request_id: str, number: str, answer: Answer, agent: str) -> Told:
    question = state.asked[request_id]
    fields = question.form or ()
    value = field_value(fields[int(number)], answer)
    given = Question(question.form, {**question.given, number: value})
    if value is None or not _has_room(with_question(state, request_id, given)):
        return _declined(state, request_id, number, answer, agent)
    if len(given.given) < len(fields):
        return with_question(state, request_id, given), ()
    return without_question(state, request_id), [result(_id_of(request_id), form_result(given))]


def _declined(state: State, request_id: str, number: str, answer: Answer, agent: str) -> Told:
    outputs: list[Output] = _withdrawn(state, request_id, "The form was declined.", but=number)
    if answer.values and answer.values[0] != DECLINE:
        outputs.append(log("warn", "An answer that does not fit declines the form.", agent))
    return without_question(state, request_id), [
        *outputs,
        result(_id_of(request_id), DECLINED),
    ]


def _withdrawn(state: State, key: str, reason: str, but: str = "") -> list[Output]:
    """Withdraw the questions of a request that were not answered."""
    question = state.asked[key]
    done = {f"{key}/{number}" for number in (*question.given, but)}
    return [Withdrawn(each, reason) for each in form_keys(key, question) if each not in done]


def _can_ask(state: State) -> bool:
    return state.stage is not Stage.CANCELLING and len(state.asked) < MOST_ASKED


def _not_asked(
    state: State, request: Request, value: Mapping[str, Any], agent: str
) -> list[Output]:
    """Refuse what nobody is asked, and say so, unless the turn is being cancelled anyway."""
    answer: list[Output] = [result(request.id, value)]
    if state.stage is Stage.CANCELLING:
        return answer
    return [log("warn", "It asked for more at once than people are asked.", agent), *answer]


def _has_room(state: State) -> bool:
    """Whether the answers to forms that are not complete are few enough to be remembered."""
    given = [each.given for each in state.asked.values() if each.given]
    return len(msgspec.json.encode(given)) <= _MOST_GIVEN


def _key_of(request_id: Any) -> str | None:
    """The name of a request: its id as JSON, which differs for ``1`` and ``"1"``."""
    if isinstance(request_id, bool) or not isinstance(request_id, int | str):
        return None
    key = msgspec.json.encode(request_id).decode()
    return key if len(key) <= _MOST_OF_KEY else None


def _id_of(key: str) -> RequestId:
    found: RequestId = msgspec.json.decode(key)
    return found
