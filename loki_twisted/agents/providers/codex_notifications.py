"""
What ``codex app-server`` tells without wanting an answer: one reader for each kind of notification.

Its sub-agents speak on the same streams, each with a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from loki_twisted.agents.outputs import Freed, Hindered, Output, Spent, Trouble, Withdrawn
from loki_twisted.agents.providers import codex_talk, telling
from loki_twisted.agents.providers.codex_asking import name_of
from loki_twisted.agents.providers.codex_lines import (
    LIMITS,
    kind_of_error,
    limit_of,
    small,
    spending_of,
    words_of_error,
)
from loki_twisted.agents.providers.codex_state import Stage, State, Step, with_seen
from loki_twisted.agents.providers.codex_work import (
    agent_began,
    agent_ended,
    agent_of,
    item_seen,
    plan_seen,
    unknown_seen,
)
from loki_twisted.agents.providers.jsonrpc import Notification
from loki_twisted.agents.providers.members import object_of, text_of
from loki_twisted.agents.providers.programs import CODEX
from loki_twisted.model.spending import NOTHING

_Params = Mapping[str, Any]


def told(state: State, notification: Notification) -> Step:
    """It tells something. What shows it at work also shows that nothing hinders it."""
    method = notification.method
    read = _READERS.get(method)
    before: Sequence[Output] = ()
    if state.is_hindered and state.stage is not Stage.LIMITED and method.startswith(_WORK):
        state, before = replace(state, is_hindered=False), [Freed()]
    if read is not None:
        state, outputs = read(state, notification.params)
    elif method in _SILENT or method.lower().endswith("delta"):
        outputs = ()
    else:
        state, outputs = with_seen(state, unknown_seen(state.work, method))
    return state, [*before, *outputs]


_WORK: Final = ("item/", "turn/")


# Readers: one for each notification that says something.


def _thread_started(state: State, params: _Params) -> Step:
    """Ours is told before our request is answered, perhaps; others are those of sub-agents."""
    is_ours = any(call.method == "thread/start" for call in state.calls.open.values())
    thread = text_of(object_of(params, "thread"), "id")
    return codex_talk.thread_known(state, thread) if is_ours else (state, ())


def _turn_started(state: State, params: _Params) -> Step:
    thread, turn = text_of(params, "threadId"), text_of(object_of(params, "turn"), "id")
    if agent_of(state.work, thread) != telling.MAIN:
        return with_seen(state, agent_began(state.work, thread))
    return codex_talk.turn_began(state, turn) if state.work.main else (state, ())


def _turn_completed(state: State, params: _Params) -> Step:
    thread, turn = text_of(params, "threadId"), object_of(params, "turn")
    if agent_of(state.work, thread) == telling.MAIN:
        return codex_talk.turn_ended(state, turn) if state.work.main else (state, ())
    has_failed = text_of(turn, "status") != "completed"
    return with_seen(state, agent_ended(state.work, thread, has_failed=has_failed))


def _item(state: State, params: _Params, *, is_done: bool) -> Step:
    agent = agent_of(state.work, text_of(params, "threadId"))
    return with_seen(
        state, item_seen(state.work, object_of(params, "item"), agent, is_done=is_done)
    )


def _item_started(state: State, params: _Params) -> Step:
    return _item(state, params, is_done=False)


def _item_completed(state: State, params: _Params) -> Step:
    return _item(state, params, is_done=True)


def _plan(state: State, params: _Params) -> Step:
    if agent_of(state.work, text_of(params, "threadId")) != telling.MAIN:
        return state, ()
    return with_seen(state, plan_seen(state.work, params))


def _usage(state: State, params: _Params) -> Step:
    """Totals of a thread, from its very beginning."""
    total = spending_of(object_of(object_of(params, "tokenUsage"), "total"))
    thread = text_of(params, "threadId")
    if total == NOTHING or not small(thread):
        return state, ()
    return state, [Spent(total, counter=thread, model=state.model or None)]


def _limits(state: State, params: _Params) -> Step:
    limit = limit_of(object_of(params, "rateLimits"))
    if limit.until_ms is not None:
        state = replace(state, limit_until=limit.until_ms)
    if not limit.is_reached or state.is_hindered:
        return state, ()
    words = "The limit of its account is reached."
    until = state.limit_until or None
    return replace(state, is_hindered=True), [Hindered(Trouble.RATE_LIMITED, words, until)]


def _error(state: State, params: _Params) -> Step:
    error = object_of(params, "error")
    words, kind = words_of_error(error), kind_of_error(error)
    if params.get("willRetry") is True:
        trouble = Trouble.RATE_LIMITED if kind in LIMITS else Trouble.RETRYING
        return replace(state, is_hindered=True), [Hindered(trouble, words)]
    if agent_of(state.work, text_of(params, "threadId")) == telling.MAIN:
        state = replace(state, error=(words, kind if small(kind) else ""))
    return state, [telling.log("error", words, CODEX)]


def _resolved(state: State, params: _Params) -> Step:
    name = name_of(params.get("requestId"))
    waiting = state.waiting.get(name)
    if waiting is None:
        return state, ()
    rest = {each: asked for each, asked in state.waiting.items() if each != name}
    reason = "It was answered elsewhere, or is no longer wanted."
    return replace(state, waiting=rest), [Withdrawn(key, reason) for key in waiting.open_keys]


def _warning(state: State, params: _Params) -> Step:
    words = text_of(params, "message", "summary")
    return state, [telling.log("warn", words, CODEX)] if words else ()


def _mcp_server(state: State, params: _Params) -> Step:
    if text_of(params, "status") != "failed":
        return state, ()
    name, error = text_of(params, "name"), text_of(params, "error")
    return state, [telling.log("warn", f"The MCP server {name} did not start: {error}", CODEX)]


_READERS: Final[Mapping[str, Callable[[State, _Params], Step]]] = {
    "thread/started": _thread_started,
    "turn/started": _turn_started,
    "turn/completed": _turn_completed,
    "turn/plan/updated": _plan,
    "item/started": _item_started,
    "item/completed": _item_completed,
    "thread/tokenUsage/updated": _usage,
    "account/rateLimits/updated": _limits,
    "error": _error,
    "serverRequest/resolved": _resolved,
    "warning": _warning,
    "configWarning": _warning,
    "guardianWarning": _warning,
    "deprecationNotice": _warning,
    "mcpServer/startupStatus/updated": _mcp_server,
}
_SILENT: Final = frozenset(
    [
        "account/gatewayOAuth/changed",
        "account/login/completed",
        "account/updated",
        "app/list/updated",
        "autoApprovalReview/strictReviewRequired",
        "externalAgentConfig/import/completed",
        "externalAgentConfig/import/progress",
        "fs/changed",
        "fuzzyFileSearch/sessionCompleted",
        "fuzzyFileSearch/sessionUpdated",
        "hook/completed",
        "hook/started",
        "item/autoApprovalReview/completed",
        "item/autoApprovalReview/started",
        "item/commandExecution/terminalInteraction",
        "item/fileChange/patchUpdated",
        "item/mcpToolCall/progress",
        "item/reasoning/summaryPartAdded",
        "mcpServer/event/stream/notification",
        "mcpServer/oauthLogin/completed",
        "model/rerouted",
        "model/safetyBuffering/updated",
        "model/verification",
        "modelProvider/authRecoveryCompleted",
        "modelProvider/authRecoveryStarted",
        "process/exited",
        "project/changed",
        "remoteControl/status/changed",
        "skills/changed",
        "thread/archived",
        "thread/attachment/updated",
        "thread/closed",
        "thread/compacted",
        "thread/deleted",
        "thread/environment/connected",
        "thread/environment/disconnected",
        "thread/goal/cleared",
        "thread/goal/updated",
        "thread/name/updated",
        "thread/prediction/updated",
        "thread/project/updated",
        "thread/queue/changed",
        "thread/readState/changed",
        "thread/reverted",
        "thread/search/partial",
        "thread/section/changed",
        "thread/settings/updated",
        "thread/status/changed",
        "thread/unarchived",
        "turn/diff/updated",
        "turn/moderationMetadata",
    ]
)
"""Notifications that say nothing new, or nothing of our concern."""
