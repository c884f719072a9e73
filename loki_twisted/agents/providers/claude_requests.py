"""
What Claude Code asks of us, and waits for: permissions to use tools, answers to questions, the
approval of a plan, forms of its MCP servers.

One request may be several questions; it is answered when all of them are. What cannot be served
is refused at once, so that it never waits for what will not come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Asked, Withdrawn
from loki_twisted.agents.providers.claude_forms import ask_form, is_declined, response_of_form
from loki_twisted.agents.providers.claude_memory import (
    MOST_KNOWN,
    Draft,
    OpenRequest,
    Purpose,
)
from loki_twisted.agents.providers.claude_permissions import (
    ask_permission,
    ask_plan,
    response_of_permission,
)
from loki_twisted.agents.providers.claude_questions import (
    QUESTIONS,
    ask_questions,
    response_of_questions,
)
from loki_twisted.agents.providers.claude_reading import Line, is_name
from loki_twisted.agents.providers.claude_writing import refusal_line, response_line
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.members import object_of, objects_of, text_of
from loki_twisted.agents.providers.programs import CLAUDE
from loki_twisted.agents.providers.telling import log, name
from loki_twisted.model.inputs import Answer

_MOST_ANSWER: Final = 2 * 1024
"""Bytes of an answer that are kept while others of the same request are missing."""

_MOST_VALUES: Final = 20

_DRY: Final = "This is a dry run: the plan is all that is wanted. End here, and change nothing."

_PENDING: Final = (
    "pending_permission_requests",
    "pending_user_dialog_requests",
    "pending_elicitation_requests",
)


def take_request(draft: Draft, line: Line) -> None:
    """It asks for something; perhaps not for the first time."""
    request_id, request = text_of(line, "request_id"), object_of(line, "request")
    if not request_id or draft.memory.request(request_id) is not None:
        return
    subtype = text_of(request, "subtype")
    if not is_name(request_id) or len(draft.memory.requests) >= MOST_KNOWN:
        draft.say(refusal_line(request_id, "Too many requests are open, or its id is too long."))
    elif subtype == "can_use_tool":
        _take_tool(draft, request_id, request)
    elif subtype == "elicitation":
        found = ask_form(draft.memory, request_id, request)
        _open_or_respond(draft, found, request_id, {"action": "decline"})
    elif subtype == "request_user_dialog":
        # It would not take an error for an end.
        _respond(draft, request_id, {"behavior": "cancelled"})
        kind = name(text_of(request, "dialog_kind"))
        draft.say(log("warn", f"It wants to show a dialog that we do not have: {kind}", CLAUDE))
    else:
        draft.say(refusal_line(request_id, f"loki_twisted does not serve {subtype[:100]!r}."))
        draft.say(log("warn", f"It asks for what we do not serve: {name(subtype)}", CLAUDE))


def take_pending(draft: Draft, response: Line) -> None:
    """The answer to one of our requests lists those of its that are open."""
    for field in _PENDING:
        for each in objects_of(response, field):
            take_request(draft, each)


def take_cancel(draft: Draft, line: Line) -> None:
    """It no longer wants to know."""
    request = draft.memory.request(text_of(line, "request_id"))
    if request is not None:
        _withdraw(draft, request)
        _forget(draft, request.id)


def take_answer(draft: Draft, key: str, answer: Answer) -> None:
    """People have answered a question of a request."""
    request_id, _, part = key.rpartition("#")
    request = draft.memory.request(request_id)
    if request is None or key not in request.open_keys:
        return
    if len(request.open_keys) > 1 and not (request.purpose is Purpose.FORM and is_declined(answer)):
        _keep(draft, _with(request, part, _shortened(answer)))
        return
    request = _with(request, part, answer)
    _withdraw(draft, request)
    _respond(draft, request_id, _RESPONSES[request.purpose](request))


def _take_tool(draft: Draft, request_id: str, request: Line) -> None:
    tool = text_of(request, "tool_name")
    if tool == QUESTIONS:
        refusal = {"behavior": "deny", "message": "There is no question in it that can be asked."}
        found = ask_questions(draft.memory, request_id, request)
        _open_or_respond(draft, found, request_id, refusal)
    elif draft.is_dry:
        _respond(draft, request_id, {"behavior": "deny", "message": _DRY})
        draft.say(log("info", f"Denied, because it is a dry run: {name(tool)}", CLAUDE))
    else:
        ask = ask_plan if tool == "ExitPlanMode" else ask_permission
        _open_or_respond(draft, ask(draft.memory, request_id, request), request_id, {})


def _with(request: OpenRequest, part: str, answer: Answer) -> OpenRequest:
    return msgspec.structs.replace(request, answers=(*request.answers, (int(part), answer)))


def _shortened(answer: Answer) -> Answer:
    """An answer as it is kept while others are missing."""
    message = None if answer.message is None else cut(answer.message, _MOST_ANSWER)
    values = tuple(cut(each, _MOST_ANSWER) for each in answer.values[:_MOST_VALUES])
    return Answer(values=values, message=message)


def _keep(draft: Draft, request: OpenRequest) -> None:
    requests = draft.memory.requests
    draft.change(requests=tuple(request if each.id == request.id else each for each in requests))


_Question = tuple[OpenRequest, list[Asked]]


def _open_or_respond(
    draft: Draft, found: _Question | None, request_id: str, response: dict[str, Any]
) -> None:
    """
    Ask people.

    :param response: What is answered if there is nothing to ask.
    """
    if found is None:
        _respond(draft, request_id, response)
        return
    request, asked = found
    draft.change(requests=(*draft.memory.requests, request))
    draft.say(*asked)


def _respond(draft: Draft, request_id: str, response: dict[str, Any]) -> None:
    _forget(draft, request_id)
    draft.say(response_line(request_id, response))


def _withdraw(draft: Draft, request: OpenRequest) -> None:
    for key in request.open_keys:
        draft.say(Withdrawn(key, "It no longer asks."))


def _forget(draft: Draft, request_id: str) -> None:
    if draft.memory.request(request_id) is not None:
        requests = draft.memory.requests
        draft.change(requests=tuple(each for each in requests if each.id != request_id))


_RESPONSES: Final[Mapping[Purpose, Callable[[OpenRequest], dict[str, Any]]]] = {
    Purpose.PERMISSION: response_of_permission,
    Purpose.PLAN: response_of_permission,
    Purpose.QUESTIONS: response_of_questions,
    Purpose.FORM: response_of_form,
}
