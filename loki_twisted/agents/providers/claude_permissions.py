"""
Permissions that Claude Code asks for, and the approval of its plans.

What "for this session" means it suggests itself: rules, a mode, directories. They are taken for
this session alone, also where it would write them into a file of settings; and a mode in which it
asks for nothing any more is no answer to a single question.
"""

from __future__ import annotations

import json
from typing import Any, Final

from loki_twisted.agents.outputs import Asked
from loki_twisted.agents.providers.claude_memory import Memory, OpenRequest, Purpose
from loki_twisted.agents.providers.claude_reading import Line
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.members import object_of, objects_of, text_of, texts_of
from loki_twisted.agents.providers.telling import MAIN, arguments_of, name, text
from loki_twisted.agents.providers.tidying import is_longer
from loki_twisted.model.inputs import Effect, InputKind, Option

ALLOW: Final = "allow"
ALLOW_SESSION: Final = "allow_session"
DENY: Final = "deny"

_MOST_INPUT: Final = 8 * 1024
"""
Bytes of a tool's arguments that are kept, to be sent back. Where they are not, it is sent none,
and uses its own.
"""

_MOST_UPDATES: Final = 1024
"""Bytes of what is suggested for the session, beyond which it is not offered."""

_MOST_PROMPT: Final = 400
"""Bytes of the arguments in a prompt; its details have more."""

_MODES: Final = frozenset({"acceptEdits", "auto", "default", "plan"})
_DENIED: Final = "The user does not want that."


def ask_permission(
    memory: Memory, request_id: str, request: Line
) -> tuple[OpenRequest, list[Asked]]:
    """Ask whether a tool may be used."""
    updates = _updates_of(memory, request)
    session = [_option(ALLOW_SESSION, f"Allow for this session: {_words_of(updates)}")]
    asked = Asked(
        key=f"{request_id}#0",
        kind=InputKind.PERMISSION,
        prompt=_prompt_of(request),
        details=details_of(request),
        options=[
            _option(ALLOW, "Allow once"),
            *(session if updates else []),
            _option(DENY, "Deny", Effect.DENY),
        ],
        agent_id=_asking_agent(memory, request),
    )
    return _opened(memory, request_id, request, Purpose.PERMISSION, updates), [asked]


def ask_plan(memory: Memory, request_id: str, request: Line) -> tuple[OpenRequest, list[Asked]]:
    """Ask whether it may go on with a plan. A text instead of that is what it is to change."""
    updates = _updates_of(memory, request)
    session = [_option(ALLOW_SESSION, f"Go on, and for this session: {_words_of(updates)}")]
    plan = text(text_of(object_of(request, "input"), "plan"))
    asked = Asked(
        key=f"{request_id}#0",
        kind=InputKind.PLAN,
        prompt="May it go on with its plan?",
        details={"plan": plan} if plan else details_of(request),
        options=[
            _option(ALLOW, "Go on with the plan"),
            *(session if updates else []),
            _option(DENY, "Keep planning", Effect.DENY),
        ],
        takes_text=True,
        agent_id=_asking_agent(memory, request),
    )
    return _opened(memory, request_id, request, Purpose.PLAN, updates), [asked]


def response_of_permission(request: OpenRequest) -> dict[str, Any]:
    """Say what was decided."""
    answer = request.answers[0][1]
    chosen = answer.values[0] if answer.values else DENY
    if chosen not in (ALLOW, ALLOW_SESSION):
        words = answer.message or ("" if chosen == DENY else chosen) or _DENIED
        return {"behavior": "deny", "message": words, "interrupt": False}
    response: dict[str, Any] = {
        "behavior": "allow",
        "updatedInput": json.loads(request.input or "{}"),
    }
    if chosen == ALLOW_SESSION and request.updates:
        response["updatedPermissions"] = json.loads(request.updates)
    return response


def details_of(request: Line) -> dict[str, Any]:
    """What a request is about."""
    arguments = arguments_of(object_of(request, "input"))
    said = {
        "description": text_of(request, "description"),
        "reason": text_of(request, "decision_reason"),
        "path": text_of(request, "blocked_path"),
    }
    return {
        "tool": name(text_of(request, "tool_name")),
        "arguments": arguments.get("input", arguments["output"]),
        **{field: text(words) for field, words in said.items() if words},
    }


def _prompt_of(request: Line) -> str:
    title = text(text_of(request, "title")).strip()
    if title:
        return title
    tool = name(text_of(request, "display_name") or text_of(request, "tool_name") or "a tool")
    said = arguments_of(object_of(request, "input"))["output"]
    return f"May it use {tool}? {cut(said, _MOST_PROMPT)}"


def _asking_agent(memory: Memory, request: Line) -> str | None:
    call = memory.call(text_of(request, "tool_use_id"))
    if call is not None:
        return None if call.agent == MAIN else call.agent
    return name(text_of(request, "agent_id")) or None


def _opened(
    memory: Memory, request_id: str, request: Line, purpose: Purpose, updates: list[Line]
) -> OpenRequest:
    # A plan that is sent back is taken for one that people have changed.
    said = object_of(request, "input")
    is_wanted = purpose is Purpose.PERMISSION and not is_longer(said, _MOST_INPUT)
    arguments = json.dumps(said) if is_wanted else ""
    is_kept = len(arguments) <= _MOST_INPUT and memory.has_room(arguments)
    return OpenRequest(
        request_id,
        purpose,
        input=arguments if is_kept else "",
        updates=json.dumps(updates) if updates else "",
    )


def _updates_of(memory: Memory, request: Line) -> list[Line]:
    """What is suggested for the session, if it can be offered."""
    if request.get("suppress_always_allow_rule") is True:
        return []
    suggested = objects_of(request, "permission_suggestions")
    updates: list[Line] = [
        {**each, "destination": "session"} for each in suggested if _is_offered(each)
    ]
    if is_longer(updates, _MOST_UPDATES):
        return []
    kept = json.dumps(updates)
    return updates if len(kept) <= _MOST_UPDATES and memory.has_room(kept) else []


def _is_offered(update: Line) -> bool:
    kind = text_of(update, "type")
    if kind == "setMode":
        return text_of(update, "mode") in _MODES
    return kind == "addDirectories" or (kind == "addRules" and update.get("behavior") == "allow")


def _words_of(updates: list[Line]) -> str:
    words: list[str] = []
    for update in updates:
        for rule in objects_of(update, "rules"):
            tool, content = text_of(rule, "toolName"), text_of(rule, "ruleContent")
            words.append(f"{tool}({content})" if content else tool)
        words += texts_of(update, "directories")
        if update.get("type") == "setMode":
            words.append(f"mode {text_of(update, 'mode')}")
    return ", ".join(words)


def _option(value: str, label: str, effect: Effect = Effect.ALLOW) -> Option:
    return Option(value=value, label=name(label), effect=effect)
