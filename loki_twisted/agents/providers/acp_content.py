"""Contents in the Agent Client Protocol, as texts of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from loki_twisted.agents.providers.cleaning import MAX_NAME, clean, cut
from loki_twisted.agents.providers.telling import text

_MOST_OF_SIDE: Final = 8 * 1024
"""Bytes of each side of a change to a file."""

_MOST_PARTS: Final = 64
"""Parts of the content of a call beyond which the rest is not told."""


def text_of_block(block: Any) -> str | None:
    """
    Say what a block of content holds.

    :returns: A text as it is, other things in a few words; None for what is no block.
    """
    if not isinstance(block, dict):
        return None
    read = _BLOCKS.get(short(block.get("type")))
    return None if read is None else read(block)


def text_of_call(update: Mapping[str, Any]) -> str | None:
    """
    Say what a tool has given: its content, or else its output as it was.

    :returns: Empty for nothing; None where nothing is said of it, so that what was said before
        stands.
    """
    parts, output = update.get("content"), update.get("rawOutput")
    told = [_text_of_part(each) for each in parts[:_MOST_PARTS]] if isinstance(parts, list) else []
    content = "\n".join(filter(None, told))
    if content:
        return text(content)
    if output:
        return text(output)
    return "" if isinstance(parts, list) else None


def _text_of_part(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    read = _PARTS.get(short(part.get("type")))
    return "" if read is None else read(part)


# One function for each type of content of a call, and for each type of block.


def _content(part: Mapping[str, Any]) -> str:
    return text_of_block(part.get("content")) or ""


def _diff(part: Mapping[str, Any]) -> str:
    """A change to a file: what stood there, and what stands there now."""
    old, new = part.get("oldText"), part.get("newText")
    told = [short(part.get("path")) or "a file"]
    for mark, side in (("-", old), ("+", new)):
        if isinstance(side, str) and side:
            lines = cut(clean(side), _MOST_OF_SIDE).split("\n")
            told += [f"{mark} {line}" for line in lines]
    return "\n".join(told)


def _terminal(part: Mapping[str, Any]) -> str:
    return f"[terminal {short(part.get('terminalId'))}]"


def _text(block: Mapping[str, Any]) -> str:
    said = block.get("text")
    return said if isinstance(said, str) else ""


def _media(block: Mapping[str, Any]) -> str:
    data = block.get("data")
    size = len(data) if isinstance(data, str) else 0
    return f"[{short(block.get('mimeType')) or 'media'}, {size} bytes as base64]"


def _link(block: Mapping[str, Any]) -> str:
    return f"[{short(block.get('name')) or 'resource'}: {short(block.get('uri'))}]"


def _resource(block: Mapping[str, Any]) -> str:
    resource = block.get("resource")
    if not isinstance(resource, dict):
        return ""
    said = resource.get("text")
    head = f"[{short(resource.get('uri'))}]"
    return f"{head}\n{said}" if isinstance(said, str) else head


def short(value: Any) -> str:
    """A name or title as it is told and remembered; empty for what is no text."""
    return cut(clean(value), MAX_NAME) if isinstance(value, str) else ""


_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "content": _content,
    "diff": _diff,
    "terminal": _terminal,
}

_BLOCKS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "text": _text,
    "image": _media,
    "audio": _media,
    "resource_link": _link,
    "resource": _resource,
}
