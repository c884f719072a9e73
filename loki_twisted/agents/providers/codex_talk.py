"""
What is said to ``codex app-server``, and when: the stages of a conversation with it.

===========  ==========================================  =======================================
stage        what is on its way, or waited for           what comes next
===========  ==========================================  =======================================
NEW          nothing was said                            GREETING
GREETING     the answer to ``initialize``                OPENING, or LEAVING if it will not
OPENING      the account, then the thread: a new one     STARTING, or LEAVING if there is none
             or one of before
STARTING     a turn that was asked for                   WORKING, or IDLE if it cannot
WORKING      the end of the turn                         IDLE, or LIMITED
LIMITED      the time from which it may do more          STARTING
IDLE         a message                                   STARTING, or LEAVING if none is wanted
LEAVING      its end: its input has ended
===========  ==========================================  =======================================

All of it is pure: each function gives the state behind a step, and what there is to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from loki_twisted import __version__
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Output,
    Refused,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
    Write,
)
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.codex_lines import (
    LIMITS,
    kind_of_error,
    size_of,
    small,
    words_of_error,
)
from loki_twisted.agents.providers.codex_state import Stage, State, Step
from loki_twisted.agents.providers.jsonrpc import (
    Call,
    Failure,
    Response,
    notification_line,
    request_line,
)
from loki_twisted.agents.providers.members import object_of, text_of
from loki_twisted.agents.providers.programs import CODEX
from loki_twisted.agents.providers.prompts import prompt_of

NO_ACCOUNT: Final = (
    "codex is not logged in: run `codex login` as the user of the server. A key in CODEX_API_KEY is"
    " taken by the provider codex-exec alone."
)
"""Why nothing can be done."""

GO_ON: Final = "Go on with what you were doing."
"""What a turn begins with that could not be finished because of a limit."""

_BRIEF: Final = "brief"
"""Marks a request that is made again, otherwise, if it fails."""

Answered = Response | Failure
"""The answer to a request of ours."""

_MOST_KEPT: Final = 48 * 1024
"""Bytes of messages that are kept in case that they have to be said again."""


def greet(state: State) -> Step:
    """Say who we are."""
    client = {"name": "loki_twisted", "title": "loki_twisted", "version": __version__}
    return _call(
        replace(state, stage=Stage.GREETING),
        Call("initialize"),
        {"clientInfo": client, "capabilities": {}},
    )


def greeted(state: State, _: Call, answer: Answered, __: LaunchRequest) -> Step:
    """
    It has said who it is. Ask whether it may work at all: without an account it would try in
    vain, for long.
    """
    if isinstance(answer, Failure):
        return _give_up(state, answer.message)
    state = replace(state, stage=Stage.OPENING)
    state, outputs = _call(state, Call("account/read"), {"refreshToken": False})
    return state, [Write(notification_line("initialized")), *outputs]


def account_known(state: State, _: Call, answer: Answered, request: LaunchRequest) -> Step:
    """Go on, unless it needs an account and has none. An older codex cannot be asked."""
    said = answer.result if isinstance(answer, Response) else {}
    if said.get("requiresOpenaiAuth") is True and not object_of(said, "account"):
        return _give_up(state, NO_ACCOUNT)
    return open_thread(state, request)


def open_thread(state: State, request: LaunchRequest, *, is_brief: bool = True) -> Step:
    """
    Ask for a thread.

    It works in the directory that it was started in. To name that would have codex note in the
    user's own settings that it is to be trusted. A dry run may only read, and asks for no more.

    :param is_brief: Whether a thread that is continued is to come back without all that was said
        in it. An older codex refuses that.
    """
    params: dict[str, Any] = {
        "sandbox": "read-only" if request.dry_run else "workspace-write",
        "approvalPolicy": "never" if request.dry_run else "on-request",
    }
    if request.model is not None:
        params["model"] = request.model
    if request.conversation is None:
        return _call(state, Call("thread/start"), params)
    params["threadId"] = request.conversation
    if is_brief:
        params["excludeTurns"] = True
    return _call(state, Call("thread/resume", text=_BRIEF if is_brief else ""), params)


def thread_known(state: State, thread: str) -> Step:
    """The thread has a name, by which it can be continued."""
    if state.work.main or not small(thread):
        return state, ()
    return replace(state, work=replace(state.work, main=thread)), [Conversation(thread)]


def thread_opened(state: State, call: Call, answer: Answered, request: LaunchRequest) -> Step:
    """There is a thread: it can begin to work. Or it has to be asked for otherwise, or in vain."""
    if isinstance(answer, Failure):
        if call.text == _BRIEF:
            return open_thread(state, request, is_brief=False)
        return _give_up(state, answer.message)
    thread = text_of(object_of(answer.result, "thread"), "id") or request.conversation or ""
    state, known = thread_known(state, thread)
    if not state.work.main:
        return _give_up(state, "It has not said the id of its thread.")
    model = text_of(answer.result, "model") or request.model or ""
    state = replace(state, model=model if small(model) else "")
    spawned = telling.spawned(telling.MAIN, CODEX, model=model, task=prompt_of(request))
    state, asked = start_turn(state, Call("turn/start", text=prompt_of(request)))
    return state, [*known, spawned, *asked]


def start_turn(state: State, turn: Call) -> Step:
    """Ask for a turn. What it begins with is not remembered."""
    params = {"threadId": state.work.main, "input": _input(turn.text)}
    state = replace(state, stage=Stage.STARTING)
    return _call(state, replace(turn, method="turn/start", text=""), params)


def steer(state: State, text: str, message_id: str = "") -> Step:
    """Say something into the turn that is on. A message that does not arrive is a turn later."""
    params = {
        "threadId": state.work.main,
        "expectedTurnId": state.turn,
        "input": _input(text),
    }
    kept = size_of([*state.calls.open.values(), *state.later, text]) <= _MOST_KEPT
    again = text if message_id and kept else ""
    return _call(state, Call("turn/steer", message_id, again), params)


def leave_off(state: State) -> Step:
    """End what it is doing, and stay."""
    if state.stage is Stage.LIMITED:
        return replace(state, stage=Stage.IDLE, stays=True, is_hindered=False), [Freed()]
    if state.stage is not Stage.WORKING:
        return state, ()
    params = {"threadId": state.work.main, "turnId": state.turn}
    return _call(replace(state, stays=True), Call("turn/interrupt"), params)


def turn_began(state: State, turn: str) -> Step:
    """A turn is on; told twice, by a notification and by an answer."""
    if not small(turn) or turn in (state.turn, state.ended):
        return state, ()
    began = replace(
        state, stage=Stage.WORKING, turn=turn, stays=False, error=("", ""), verdict=None
    )
    return began, [TurnBegan()]


def turn_ended(state: State, turn: Mapping[str, Any]) -> Step:
    """The turn is over. One that met a limit goes on when that is over."""
    turn_id = text_of(turn, "id")
    if turn_id and turn_id == state.ended:
        return state, ()
    verdict = _VERDICTS.get(text_of(turn, "status"), Verdict.FAILED)
    said = object_of(turn, "error")
    words, kind = (words_of_error(said), kind_of_error(said)) if said else state.error
    outputs: list[Output] = [
        Withdrawn(key, "The turn in which it was asked has ended.")
        for each in state.waiting.values()
        for key in each.open_keys
        if each.thread in ("", state.work.main)
    ]
    outputs.append(TurnEnded(verdict, _reason(verdict, words)))
    state = replace(
        state,
        stage=Stage.IDLE,
        turn="",
        ended=turn_id if small(turn_id) else state.turn,
        verdict=verdict,
        waiting={
            name: each
            for name, each in state.waiting.items()
            if each.thread not in ("", state.work.main)
        },
    )
    until = state.limit_until
    if verdict is Verdict.FAILED and kind in LIMITS and until > state.waited_until:
        state = replace(state, stage=Stage.LIMITED, is_hindered=True, waited_until=until)
        outputs.append(Hindered(Trouble.RATE_LIMITED, words, until))
    return state, outputs


def call_answered(state: State, call: Call, answer: Response) -> Step:
    """A turn that was asked for has begun, or what was said into one has arrived."""
    outputs: Sequence[Output] = [Taken(call.message_id)] if call.message_id else ()
    if call.method != "turn/start":
        return state, outputs
    state, began = turn_began(state, text_of(object_of(answer.result, "turn"), "id"))
    return state, [*outputs, *began]


def call_failed(state: State, call: Call, failure: Failure) -> Step:
    """Something that was said did not arrive."""
    words = words_of_error({"message": failure.message})
    if call.method == "turn/steer" and call.text:
        return replace(state, later=(*state.later, call)), ()
    if call.method == "turn/start" and state.stage is Stage.STARTING:
        state = replace(state, stage=Stage.IDLE)
        if not call.message_id:
            failed = replace(state, verdict=Verdict.FAILED)
            return failed, [TurnEnded(Verdict.FAILED, words)]
    return state, [Refused(call.message_id, words)] if call.message_id else ()


def settle(state: State, *, stays_open: bool) -> Step:
    """Begin the next turn, or end the input, when there is nothing that has to be waited for."""
    if state.stage is not Stage.IDLE or any(
        call.method in {"turn/start", "turn/steer"} for call in state.calls.open.values()
    ):
        return state, ()
    if state.later:
        return start_turn(replace(state, later=state.later[1:]), state.later[0])
    if stays_open or state.stays or state.waiting:
        return state, ()
    return replace(state, stage=Stage.LEAVING), [EndInput()]


def _give_up(state: State, words: str) -> Step:
    """Let it end, without having had a turn."""
    ended = replace(state, stage=Stage.LEAVING, verdict=Verdict.FAILED)
    reason = words_of_error({"message": words})
    return ended, [TurnEnded(Verdict.FAILED, reason), EndInput()]


def _call(state: State, call: Call, params: Mapping[str, Any]) -> Step:
    calls = state.calls.with_call(call)
    line = request_line(calls.count, call.method, params)
    return replace(state, calls=calls), [Write(line)]


def _input(text: str) -> Sequence[Mapping[str, str]]:
    return [{"type": "text", "text": text}]


def _reason(verdict: Verdict, words: str) -> str | None:
    if verdict is Verdict.DONE:
        return None
    return words or ("It was interrupted." if verdict is Verdict.INTERRUPTED else "It has failed.")


_VERDICTS: Final[Mapping[str, Verdict]] = {
    "completed": Verdict.DONE,
    "interrupted": Verdict.INTERRUPTED,
}
"""By the status of a turn; any other is a failure."""
