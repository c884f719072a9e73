"""What the session is doing, as far as its events and our orders say."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

_MOST_KNOWN = 1000

Event = Mapping[str, Any]


class Activity:
    """
    Follows the events of all sessions, and says when ours is at rest.

    A prompt is taken before its message is there. So the session rests only when each prompt has
    its message, and it is idle behind that.

    :ivar session: The id of ours; empty before it is known.
    :ivar busy: Ids of the sessions that are at work.
    :ivar asked: What is open, by the id of the request: ``permission`` or ``question``, and the
        session.
    """

    def __init__(self) -> None:
        self.session = ""
        self.busy: set[str] = set()
        self.asked: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._lock = threading.Lock()
        self._unseen = 0
        self._users: OrderedDict[str, None] = OrderedDict()

    @property
    def is_at_rest(self) -> bool:
        """Whether it has done all that it was told."""
        with self._lock:
            return not self._unseen and self.session not in self.busy

    def prompted(self) -> None:
        """A prompt is given to it."""
        with self._lock:
            self._unseen += 1

    def not_prompted(self) -> None:
        """The prompt was not taken."""
        with self._lock:
            self._unseen = max(0, self._unseen - 1)

    def saw(self, event: Event) -> None:
        """Take note of an event."""
        kind, properties = event.get("type"), event.get("properties")
        if not isinstance(kind, str) or not isinstance(properties, dict):
            return
        session = session_of(properties)
        with self._lock:
            if kind == "session.status":
                status = properties.get("status")
                self._set_busy(session, isinstance(status, dict) and status.get("type") != "idle")
            elif kind == "session.idle":
                self._set_busy(session, False)
            elif kind == "session.error" and session in ("", self.session):
                self._unseen = 0  # What is not there yet will not come.
            elif kind == "message.updated" and session == self.session:
                self._saw_message(properties.get("info"))
            else:
                self._saw_request(kind, session, properties)

    def _set_busy(self, session: str, is_busy: bool) -> None:
        (self.busy.add if is_busy else self.busy.discard)(session)

    def _saw_message(self, info: Any) -> None:
        if not isinstance(info, dict) or info.get("role") != "user":
            return
        name = str(info.get("id"))
        if name not in self._users:
            _remember(self._users, name, None)
            self._unseen = max(0, self._unseen - 1)
            self.busy.add(self.session)

    def _saw_request(self, kind: str, session: str, properties: Event) -> None:
        word, _, what = kind.partition(".")
        if word not in ("permission", "question"):
            return
        if what in ("asked", "updated"):
            _remember(self.asked, str(properties.get("id")), (word, session))
        elif what in ("replied", "rejected"):
            self.asked.pop(str(properties.get("requestID") or properties.get("permissionID")), None)


def session_of(properties: Event) -> str:
    """The id of the session that an event is about; empty if it is about none."""
    for place in (properties, properties.get("info"), properties.get("part")):
        if isinstance(place, dict) and isinstance(name := place.get("sessionID"), str):
            return name
    info = properties.get("info")  # Of a session itself, in older versions.
    if isinstance(info, dict) and isinstance(name := info.get("id"), str):
        return name
    return ""


def _remember(known: OrderedDict[str, Any], name: str, value: Any) -> None:
    known[name] = value
    if len(known) > _MOST_KNOWN:
        known.popitem(last=False)
