"""
JSON-RPC 2.0 as agents speak it on their standard streams: one object a line.

Requests go both ways, and each side numbers its own. Ours count up from 1, so the numbers are part
of what a driver remembers, and a response finds its request also after a restart of the server.

Some leave the member ``jsonrpc`` out. It is read either way; whoever writes says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

METHOD_NOT_FOUND: Final = -32601
INTERNAL_ERROR: Final = -32603

_MOST_ID: Final = 2**63

RequestId = int | str
"""What the other side calls its requests by."""

_MOST_RESULT: Final = 1024 * 1024
"""Bytes of a result that is read as it is. Of a longer one what is long in it is passed over."""

_MOST_MEMBER: Final = 64 * 1024
"""Bytes of a member of a longer one that is read."""

_RESULT_LEVELS: Final = 2
"""Levels of objects at which that is looked for."""

_encode: Final = msgspec.json.Encoder().encode


@attrs.frozen(slots=True)
class Request:
    """
    Something that wants an answer.

    :ivar params: An object; empty where it was none.
    """

    id: RequestId
    method: str
    params: Mapping[str, Any]


@attrs.frozen(slots=True)
class Notification:
    """Something that wants none."""

    method: str
    params: Mapping[str, Any]


@attrs.frozen(slots=True)
class Response:
    """
    The answer to a request of ours.

    :ivar result: An object; empty where it was none.
    """

    id: int
    result: Mapping[str, Any]


@attrs.frozen(slots=True)
class Failure:
    """The answer to a request of ours that could not be done."""

    id: int
    code: int
    message: str


_Members = dict[str, msgspec.Raw]


class _Line(msgspec.Struct):
    """A line, of which the members of the result are not read yet."""

    method: Any = None
    id: Any = msgspec.UNSET
    params: Any = None
    result: _Members | list[msgspec.Raw] | str | float | bool | msgspec.UnsetType | None = (
        msgspec.UNSET
    )
    error: Any = None


_decode: Final = msgspec.json.Decoder().decode
_decode_line: Final = msgspec.json.Decoder(_Line).decode
_decode_members: Final = msgspec.json.Decoder(_Members).decode

Incoming = Request | Notification | Response | Failure
"""What a line may be."""


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A request of ours.

    :ivar message_id: Of the message that it brings, if it brings one.
    :ivar text: What may have to be said again, if this fails.
    """

    method: str
    message_id: str = ""
    text: str = ""


class Calls(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    The requests of ours.

    :ivar count: How many there were, which is also the id of the last.
    :ivar open: Those that were not answered, by id.
    """

    count: int = 0
    open: Mapping[int, Call] = {}

    def with_call(self, call: Call) -> Calls:
        """Make one more; its id is the new :attr:`count`."""
        return Calls(self.count + 1, {**self.open, self.count + 1: call})

    def without(self, call_id: int) -> Calls:
        """Leave out one that is answered."""
        return Calls(self.count, {id_: call for id_, call in self.open.items() if id_ != call_id})


def maybe_message(text: str) -> Incoming | None:
    """
    Read a line; None if it is none of JSON-RPC.

    A result of more than :data:`_MOST_RESULT` bytes loses what is long in it: so the answer to a
    request of ours can be as long as a line, of which nobody wants but a few names.
    """
    if text[:1] != "{" and text[:64].lstrip()[:1] != "{":
        return None
    try:
        found = _decode_line(text)
        if isinstance(found.method, str):
            return _call(found.method, found)
        return _answer(found)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _call(method: str, found: _Line) -> Incoming | None:
    params = found.params if isinstance(found.params, dict) else {}
    if found.id is msgspec.UNSET:
        return Notification(method, params)
    return Request(found.id, method, params) if _is_id(found.id) else None


def _answer(found: _Line) -> Incoming | None:
    call_id, error, result = found.id, found.error, found.result
    if type(call_id) is not int or (result is msgspec.UNSET and error is None):
        return None
    if error is None:
        return Response(call_id, _read(result) if isinstance(result, dict) else {})
    code = error.get("code") if isinstance(error, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    return Failure(
        call_id,
        code if type(code) is int else 0,
        said if isinstance(said, str) and said else "It gave no reason.",
    )


def _read(members: _Members) -> Mapping[str, Any]:
    """Read a result."""
    if sum(len(memoryview(each)) for each in members.values()) > _MOST_RESULT:
        return _without_long(members, _RESULT_LEVELS)
    return {name: _decode(each) for name, each in members.items()}


def _without_long(members: _Members, levels: int) -> Mapping[str, Any]:
    """Read an object without what is long in it, but for the objects of some levels."""
    return {
        name: _long(each, levels - 1) if len(memoryview(each)) > _MOST_MEMBER else _decode(each)
        for name, each in members.items()
    }


def _long(member: msgspec.Raw, levels: int) -> Mapping[str, Any]:
    if not levels or memoryview(member)[0] != ord("{"):
        return {}
    return _without_long(_decode_members(member), levels)


def request_line(
    call_id: int, method: str, params: Mapping[str, Any], *, named: bool = False
) -> str:
    """
    Write a request.

    :param named: Whether the line says ``jsonrpc``.
    """
    return _line({"id": call_id, "method": method, "params": params}, named=named)


def notification_line(
    method: str, params: Mapping[str, Any] | None = None, *, named: bool = False
) -> str:
    """Write a notification; ``params`` of None are left out."""
    said = {} if params is None else {"params": params}
    return _line({"method": method, **said}, named=named)


def result_line(call_id: RequestId, result: Any, *, named: bool = False) -> str:
    """
    Write the answer to a request of the other side.

    :param result: Any JSON value; :class:`msgspec.Raw` is written as it is.
    """
    return _line({"id": call_id, "result": result}, named=named)


def failure_line(call_id: RequestId, code: int, message: str, *, named: bool = False) -> str:
    """Write that a request of the other side cannot be done, so that it does not wait for it."""
    return _line({"id": call_id, "error": {"code": code, "message": message}}, named=named)


def _line(said: Mapping[str, Any], *, named: bool) -> str:
    whole = {"jsonrpc": "2.0", **said} if named else said
    return _encode(whole).decode() + "\n"


def _is_id(found: Any) -> bool:
    """Whether it can be written back as it was."""
    return isinstance(found, str) or (type(found) is int and abs(found) < _MOST_ID)
