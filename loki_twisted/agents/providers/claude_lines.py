"""
Lines that Claude Code prints, and what reads each: a table by type, beside that of
``claude_notices.py`` for what it says of itself.

The whole messages of its model come, and not the pieces that they are made of, because those are
not asked for. What is in no table is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from loki_twisted.agents.outputs import Conversation
from loki_twisted.agents.providers.claude_memory import Draft
from loki_twisted.agents.providers.claude_notices import NOTICES, QUIET, SYSTEM
from loki_twisted.agents.providers.claude_reading import Line, is_name
from loki_twisted.agents.providers.claude_requests import take_cancel, take_pending, take_request
from loki_twisted.agents.providers.claude_turns import (
    be_at_work,
    be_free,
    count_reply,
    take_rate_limit,
    take_result,
    take_uuid,
)
from loki_twisted.agents.providers.claude_work import (
    Speaker,
    speaker_of,
    take_call,
    take_tool_result,
    words_of,
)
from loki_twisted.agents.providers.claude_writing import is_ours
from loki_twisted.agents.providers.members import object_of, objects_of, text_of
from loki_twisted.agents.providers.programs import CLAUDE
from loki_twisted.agents.providers.telling import MAIN, log, name, said, thought
from loki_twisted.agents.providers.tidying import length_of
from loki_twisted.agents.providers.unknown import one_more, told

_MOST_ERROR: Final = 64

MOST_BLOCKS: Final = 100
"""Parts of a message that are told. It has a few: those of a reply come a line each."""

MOST_TOLD: Final = 512 * 1024
"""Characters of the parts beyond which no other is told."""


def take_line(draft: Draft, line: Line) -> None:
    """Take a line of its standard output."""
    kind, subtype = text_of(line, "type"), text_of(line, "subtype")
    reader = SYSTEM.get(subtype) if kind == "system" else _READERS.get(kind)
    if reader is not None:
        if not kind.startswith("control_"):
            _take_conversation(draft, text_of(line, "session_id"))
        reader(draft, line)
    elif kind not in QUIET and (kind != "system" or subtype not in QUIET):
        _count(draft, f"{kind}/{subtype}" if kind == "system" else kind)


def tell_unknown(draft: Draft) -> None:
    """Say how many lines were not understood, if there were any."""
    unknown, facts = told(draft.memory.unknown, CLAUDE)
    draft.change(unknown=unknown)
    draft.say(*facts)


def _count(draft: Draft, kind: str) -> None:
    unknown, facts = one_more(draft.memory.unknown, kind if is_name(kind) else "?", CLAUDE)
    draft.change(unknown=unknown)
    draft.say(*facts)


def _take_conversation(draft: Draft, conversation: str) -> None:
    if is_name(conversation) and conversation != draft.memory.conversation:
        draft.change(conversation=conversation)
        draft.say(Conversation(conversation))


def _take_reset(draft: Draft, line: Line) -> None:
    """From here on it is another conversation."""
    _take_conversation(draft, text_of(line, "new_conversation_id"))
    draft.say(log("info", "The conversation was begun anew.", CLAUDE))


def _take_assistant(draft: Draft, line: Line) -> None:
    """Its model has answered; or it says in the model's place that there is no answer."""
    speaker = speaker_of(draft.memory, line)
    message, error = object_of(line, "message"), text_of(line, "error")
    if speaker[0] == MAIN:
        be_at_work(draft)
        if error:
            draft.change(error=name(error[:_MOST_ERROR]))
        else:
            be_free(draft)
    if not error:
        count_reply(draft, message)
    content = message.get("content")
    if isinstance(content, str):
        _say(draft, speaker, content)
    for block in _blocks_of(draft, message):
        _take_block(draft, speaker, block, line)


def _blocks_of(draft: Draft, message: Line) -> list[dict[str, Any]]:
    """The parts of a message, as many as one line may tell of."""
    blocks = objects_of(message, "content")
    size, count = 0, 0
    for block in blocks[:MOST_BLOCKS]:
        if size > MOST_TOLD:
            break
        size += length_of(block, MOST_TOLD)
        count += 1
    if count < len(blocks):
        words = f"{len(blocks) - count} parts of a message were not told: there is too much in it."
        draft.say(log("warn", words, CLAUDE))
    return blocks[:count]


def _take_block(draft: Draft, speaker: Speaker, block: Line, line: Line) -> None:
    """A part of an answer. Some tools are used, and give their results, on the model's side."""
    kind = text_of(block, "type")
    if kind == "text":
        _say(draft, speaker, text_of(block, "text"))
    elif kind == "thinking":
        if words := text_of(block, "thinking"):
            draft.say(thought(*speaker, words))
    elif kind.endswith("tool_use"):
        take_call(draft, speaker, block)
    elif kind.endswith("tool_result"):
        take_tool_result(draft, speaker, block, line)
    elif kind not in QUIET:
        _count(draft, f"block/{kind}")


def _say(draft: Draft, speaker: Speaker, words: str) -> None:
    if words.strip():
        draft.say(said(*speaker, words))


def _take_user(draft: Draft, line: Line) -> None:
    """The results of tools; or what we said, once it begins with that; or its own words for us."""
    if line.get("isReplay") is True:
        be_at_work(draft)
        take_uuid(draft, text_of(line, "uuid"))
        return
    speaker = speaker_of(draft.memory, line)
    message = object_of(line, "message")
    blocks = _blocks_of(draft, message)
    for block in blocks:
        if text_of(block, "type").endswith("tool_result"):
            take_tool_result(draft, speaker, block, line)
    texts = [each for each in blocks if text_of(each, "type") == "text"]
    content = message.get("content")
    words = content if isinstance(content, str) else words_of(texts)
    if words.strip():
        draft.say(log("debug", words, CLAUDE))


def _take_lifecycle(draft: Draft, line: Line) -> None:
    """It has begun with a line of ours, or has done with it."""
    if text_of(line, "state") in ("started", "completed"):
        take_uuid(draft, text_of(line, "command_uuid"))


def _take_response(draft: Draft, line: Line) -> None:
    """
    It has done what we asked, or not. What it says of the account is nobody's business.

    It also repeats our own answers.
    """
    response = object_of(line, "response")
    if not is_ours(text_of(response, "request_id")):
        return
    take_pending(draft, response)
    if response.get("subtype") == "error":
        words = text_of(response, "error")
        draft.say(log("warn", f"It did not do what it was asked: {words}", CLAUDE))


_READERS: Final[Mapping[str, Callable[[Draft, Line], None]]] = {
    **NOTICES,
    "assistant": _take_assistant,
    "user": _take_user,
    "result": take_result,
    "rate_limit_event": take_rate_limit,
    "command_lifecycle": _take_lifecycle,
    "conversation_reset": _take_reset,
    "control_request": take_request,
    "control_response": _take_response,
    "control_cancel_request": take_cancel,
}
