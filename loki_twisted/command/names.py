"""
What people call a session or a question: its id, the beginning of one, or a word.

Ids are long and begin alike, so what stands behind their last underscore is a name too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from loki_twisted.client import ClientError, LokiClient
from loki_twisted.model.errors import InvalidRequest, LokiError
from loki_twisted.model.identifiers import is_session_id

LATEST: Final = "latest"
"""Stands for the session that was started last."""

_WHOLE_SESSION_ID: Final = re.compile(r"session_[0-9]{13}_[0-9a-f]{8}", re.ASCII)
_OUR_ID: Final = re.compile(r"(?:session|input|message)_[0-9]+_([0-9a-f]{8})", re.ASCII)
_MOST_TOLD: Final = 3


class NoSuchName(LokiError):
    """A name fits nothing, or several things."""


def short(whole_id: str) -> str:
    """Shorten an id to what names it all the same."""
    ours = _OUR_ID.fullmatch(whole_id)
    return ours[1] if ours else whole_id


def fits(name: str, whole_id: str) -> bool:
    """Whether a name may mean an id."""
    return whole_id.startswith(name) or short(whole_id).startswith(name)


def choose(name: str, ids: Iterable[str]) -> str:
    """
    Find the session that a name means.

    :param ids: Of all sessions, newest first.
    :raises NoSuchName: with one line that says what to do.
    """
    there = list(ids)
    if name == LATEST and there:
        return there[0]
    if name in there:
        return name
    fitting = [each for each in there if fits(name, each)]
    if len(fitting) == 1:
        return fitting[0]
    raise NoSuchName(_why_not(name, fitting))


def _why_not(name: str, fitting: Sequence[str]) -> str:
    if not fitting:
        return f"There is no session {name!r}; see which there are: lokictl ps"
    some = ", ".join(map(short, fitting[:_MOST_TOLD]))
    more = ", ..." if len(fitting) > _MOST_TOLD else ""
    return f"{name!r} fits {len(fitting)} sessions ({some}{more}); give more of its id"


async def find_session(client: LokiClient, name: str) -> str:
    """
    Find the id of the session that a name means; a whole id is not asked for.

    :raises NoSuchName: if it means none, or several.
    :raises InvalidRequest: if it cannot mean any.
    """
    if _WHOLE_SESSION_ID.fullmatch(name):
        return name
    if not is_session_id(name):
        raise InvalidRequest(f"{name!r} is no id of a session.")
    if name == LATEST:
        newest = await client.list_sessions(limit=1)
        return choose(name, [each.id for each in newest.sessions])
    try:
        return (await client.get_session(name)).session.id
    except ClientError as error:
        if error.code != "SESSION_NOT_FOUND":
            raise
    return choose(name, [each.id for each in (await client.list_sessions()).sessions])
