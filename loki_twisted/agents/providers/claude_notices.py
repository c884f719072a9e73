"""
What Claude Code says of itself: that it begins, tries again, makes room, cannot save.

What says nothing to people is passed over (:data:`QUIET`); what says something in words is a log
line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from loki_twisted.agents.providers.claude_memory import Draft
from loki_twisted.agents.providers.claude_reading import Line
from loki_twisted.agents.providers.claude_turns import be_at_work, be_told, take_retry
from loki_twisted.agents.providers.claude_work import (
    take_task_notification,
    take_task_started,
    take_task_updated,
    take_tasks_changed,
)
from loki_twisted.agents.providers.members import count_of, object_of, objects_of, text_of, texts_of
from loki_twisted.agents.providers.programs import CLAUDE
from loki_twisted.agents.providers.telling import MAIN, log, name, said

Reader = Callable[[Draft, Line], None]


def _take_init(draft: Draft, line: Line) -> None:
    """A turn begins, and this is what it works with."""
    if not draft.memory.is_told:
        be_told(draft, text_of(line, "model"))
        version, mode = text_of(line, "claude_code_version"), text_of(line, "permissionMode")
        _log(draft, "debug", f"Claude Code {version}, permission mode {mode}")
        for server in objects_of(line, "mcp_servers"):
            if server.get("status") == "failed":
                _log(draft, "warn", f"MCP server {text_of(server, 'name')} cannot be reached.")
    be_at_work(draft)


def _take_compacted(draft: Draft, line: Line) -> None:
    tokens = count_of(object_of(line, "compact_metadata"), "pre_tokens")
    _log(draft, "info", f"The conversation was made shorter; it had {tokens} tokens.")


def _take_status(draft: Draft, line: Line) -> None:
    if line.get("status") == "compacting":
        _log(draft, "debug", "The conversation is being made shorter.")
    elif error := text_of(line, "compact_error"):
        _log(draft, "warn", f"The conversation was not made shorter: {error}")


def _take_hook(draft: Draft, line: Line) -> None:
    if line.get("outcome") == "error":
        words = text_of(line, "stderr") or text_of(line, "output")
        _log(draft, "warn", f"The hook {name(text_of(line, 'hook_name'))} failed: {words}")


def _take_informational(draft: Draft, line: Line) -> None:
    _log(draft, "warn" if line.get("level") == "warning" else "info", text_of(line, "content"))


def _take_local_output(draft: Draft, line: Line) -> None:
    if words := text_of(line, "content"):
        draft.say(said(MAIN, CLAUDE, words))


def _take_plugin(draft: Draft, line: Line) -> None:
    status = text_of(line, "status")
    words = ("Plugin", text_of(line, "name"), status, text_of(line, "error"))
    _log(draft, "warn" if status == "failed" else "debug", " ".join(filter(None, words)))


def _take_auth(draft: Draft, line: Line) -> None:
    error = text_of(line, "error")
    words = error or "\n".join(texts_of(line, "output"))
    if words:
        _log(draft, "error" if error else "info", f"Authentication: {words}")


def _in_words(level: str, field: str, before: str = "") -> Reader:
    """
    Make a reader for lines that say something in words.

    :param before: What stands before the words; where there is something, it is told without them.
    """

    def read(draft: Draft, line: Line) -> None:
        _log(draft, level, f"{before}{text_of(line, field)}")

    return read


def _log(draft: Draft, level: str, message: str) -> None:
    words = message.strip()
    if words:
        draft.say(log(level, words, CLAUDE))


NOTICES: Final[Mapping[str, Reader]] = {
    "auth_status": _take_auth,
    "tool_use_summary": _in_words("debug", "summary"),
}
"""Readers by the type of a line."""

SYSTEM: Final[Mapping[str, Reader]] = {
    "init": _take_init,
    "api_retry": take_retry,
    "compact_boundary": _take_compacted,
    "status": _take_status,
    "hook_response": _take_hook,
    "informational": _take_informational,
    "local_command_output": _take_local_output,
    "plugin_install": _take_plugin,
    "task_started": take_task_started,
    "task_updated": take_task_updated,
    "task_notification": take_task_notification,
    "background_tasks_changed": take_tasks_changed,
    "notification": _in_words("info", "text"),
    "permission_denied": _in_words("warn", "message", "Was not allowed: "),
    "mirror_error": _in_words("warn", "error", "The conversation was not copied: "),
    "session_writes_lost": _in_words(
        "error", "error", "The conversation cannot be saved, perhaps because the disk is full. "
    ),
    "worker_shutting_down": _in_words("warn", "reason", "It shuts down: "),
    "model_refusal_fallback": _in_words("warn", "content"),
    "model_refusal_no_fallback": _in_words("warn", "content"),
}
"""Readers by the subtype of a line of the type ``system``."""

QUIET: Final = frozenset(
    {
        # Types
        "keep_alive",
        "tool_progress",
        "prompt_suggestion",
        "active_goal",
        "stream_event",
        # Subtypes
        "session_state_changed",
        "task_progress",
        "hook_started",
        "hook_progress",
        "files_persisted",
        "thinking_tokens",
        "commands_changed",
        "memory_recall",
        "elicitation_complete",
        "control_request_progress",
        # Parts of messages
        "redacted_thinking",
        "image",
        "document",
    }
)
"""What is passed over."""
