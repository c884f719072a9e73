"""The stream of events: it is listened to as long as opencode lives, whatever cuts it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from typing import Any

from .activity import Activity, session_of
from .client import Client, Unreachable, words_of
from .frames import Frames
from .mouth import Mouth
from .rereading import Rereading
from .shortening import Shortener

SILENCE_SECONDS = 60.0
"""opencode says something every 10 seconds; so long without is a stream that is dead."""

_CHUNK = 64 * 1024
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

_ABOUT_NO_SESSION = ("session.error",)
"""What is passed on though it names no session."""


class Stream:
    """
    Passes on the events of all sessions, in a thread.

    Where the stream was cut, all that may have been missed is read again and passed on as events.

    :param has_ended: Set when there is nobody any more to listen to.
    :param changed: Called when the session may have come to rest.
    :ivar is_open: Set when events come, for the first time.
    :ivar problem: Why they do not come.
    """

    def __init__(
        self,
        client: Client,
        mouth: Mouth,
        activity: Activity,
        has_ended: threading.Event,
        changed: Callable[[], None],
    ) -> None:
        self.is_open = threading.Event()
        self.problem = "nothing came"
        self._client = client
        self._mouth = mouth
        self._activity = activity
        self._has_ended = has_ended
        self._changed = changed
        self._rereading = Rereading(client, mouth, activity, self._take)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def open(self, session: str, *, is_new: bool) -> None:
        """Begin to listen to a session."""
        self._activity.session = session
        if not is_new:
            self._rereading.leave_out(session)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until all that came was passed on, when opencode has ended."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._has_ended.is_set():
            began = time.monotonic()
            try:
                self._listen(self._client.listen(SILENCE_SECONDS))
            except Unreachable as error:
                self.problem = str(error)
            except (OSError, HTTPException) as error:
                self.problem = words_of(error)
            was_long = time.monotonic() - began > _LONGEST_PAUSE
            pause = _FIRST_PAUSE if was_long else min(2 * pause, _LONGEST_PAUSE)
            self._has_ended.wait(pause)

    def _listen(self, response: HTTPResponse) -> None:
        """Listen until the stream ends."""
        frames = Frames()
        is_first = True
        with response:
            while data := response.read1(_CHUNK):
                for frame in frames.feed(data):
                    if is_first:  # It says that from here on nothing is missed.
                        is_first = False
                        self._begin()
                    self._take_frame(frame)

    def _begin(self) -> None:
        if self.is_open.is_set():
            self._mouth.say("reconnected")
            self._rereading.read_all()
        self.is_open.set()

    def _take_frame(self, frame: Shortener) -> None:
        if frame.is_too_large:
            self._mouth.say("dropped", bytes=frame.size)
            return
        text = frame.text().replace("\r", " ")
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            self._mouth.say("dropped", bytes=frame.size)
            return
        self._take(event, text)

    def _take(self, event: Any, text: str | None = None) -> None:
        """
        Pass an event on, if it is about a session.

        :param text: Its JSON, if it is there.
        """
        properties = event.get("properties") if isinstance(event, dict) else None
        if not isinstance(properties, dict):
            return
        if not session_of(properties) and event.get("type") not in _ABOUT_NO_SESSION:
            return
        self._activity.saw(event)
        self._mouth.pass_on(json.dumps(event) if text is None else text)
        if self._activity.is_at_rest:
            self._changed()
