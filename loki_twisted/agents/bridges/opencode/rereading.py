"""What is read again when the stream of events was cut, and told as events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .activity import Activity
from .client import Client, Unreachable
from .mouth import Mouth

MOST_MESSAGES = 50
"""Messages of a session that are read again, the newest."""


class Rereading:
    """
    Reads where the sessions stand, and tells it in the words of events.

    Much of it was told before; whoever takes it has to know what he knows. Only what the session
    said before we opened it is left out.

    :param tell: Takes each event.
    :ivar old: Ids of messages that are left out.
    """

    def __init__(
        self, client: Client, mouth: Mouth, activity: Activity, tell: Callable[[Any], None]
    ) -> None:
        self.old: frozenset[str] = frozenset()
        self._client = client
        self._mouth = mouth
        self._activity = activity
        self._tell = tell

    def leave_out(self, session: str) -> None:
        """Take note of what a session has said so far."""
        self.old = frozenset(str(_info(each).get("id")) for each in self._messages(session))

    def read_all(self) -> None:
        """Tell where all sessions stand."""
        # First of all: who is idle then has said all that is read after it.
        statuses = self._read("session", "status")
        session = self._activity.session
        known = {session, *self._activity.busy}
        for name in sorted(known):
            for child in self._list("session", name, "children"):
                if isinstance(child, dict) and isinstance(child.get("id"), str):
                    known.add(child["id"])
                    self._event("session.created", child["id"], info=child)
        for name in sorted(known):
            for message in self._messages(name):
                self._tell_message(name, message)
        todos = self._list("session", session, "todo")
        if todos:
            self._event("todo.updated", session, todos=todos)
        self._read_requests()
        self._tell_statuses(statuses, sorted(known))

    def _read_requests(self) -> None:
        """Tell what is open, and what is no longer."""
        for word, gone in (("permission", "replied"), ("question", "rejected")):
            value = self._read(word)
            if not isinstance(value, list):
                continue  # An older version cannot say: what we know stands.
            names = set()
            for request in value:
                if isinstance(request, dict) and isinstance(request.get("sessionID"), str):
                    names.add(str(request.get("id")))
                    self._tell({"type": f"{word}.asked", "properties": request})
            for name, (kind, owner) in list(self._activity.asked.items()):
                if kind == word and name not in names:
                    self._event(f"{word}.{gone}", owner, requestID=name)

    def _tell_statuses(self, statuses: Any, sessions: Sequence[str]) -> None:
        if not isinstance(statuses, dict):
            self._mouth.say("gap", why="opencode does not say which sessions are at work")
            return
        for name in sessions:
            self._event("session.status", name, status=statuses.get(name, {"type": "idle"}))

    def _tell_message(self, session: str, message: Any) -> None:
        """Tell a message: that it began, its parts, and where it has ended that."""
        info = _info(message)
        if not info or info.get("id") in self.old:
            return
        time = info.get("time")
        begun = dict(info)
        if isinstance(time, dict):
            begun["time"] = {name: at for name, at in time.items() if name != "completed"}
        self._event("message.updated", session, info=begun)
        parts = message.get("parts")
        for part in parts if isinstance(parts, list) else ():
            self._event("message.part.updated", session, part=part)
        if begun.get("time") != time:
            self._event("message.updated", session, info=info)

    def _event(self, kind: str, session: str, **properties: Any) -> None:
        self._tell({"type": kind, "properties": {"sessionID": session, **properties}})

    def _messages(self, session: str) -> Sequence[Any]:
        return self._list("session", session, "message", query=f"?limit={MOST_MESSAGES}")

    def _list(self, *path: str, query: str = "") -> Sequence[Any]:
        value = self._read(*path, query=query)
        return value if isinstance(value, list) else ()

    def _read(self, *path: str, query: str = "") -> Any:
        """Read something; None, and a word about it, if that does not succeed."""
        try:
            answer = self._client.get(*path, query=query)
        except Unreachable as error:
            self._mouth.say("gap", why=str(error))
            return None
        if answer.is_good:
            return answer.value
        if not answer.is_no_route:
            self._mouth.say("gap", why=answer.words)
        return None


def _info(message: Any) -> dict[str, Any]:
    info = message.get("info") if isinstance(message, dict) else None
    return info if isinstance(info, dict) else {}
