"""Requests to opencode, in the forms that its versions have."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote

from .frames import MOST_TEXT
from .shortening import Shortener

USER = "opencode"

_SECONDS = 30.0
_MOST_ANSWER = 16 * 1024 * 1024
_CHUNK = 64 * 1024
_OK = range(200, 300)

# What a version has no route for it answers with one of these, or hands to a page for browsers.
_NO_ROUTE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


class Unreachable(Exception):
    """opencode does not answer; the text says how."""


class Answer:
    """
    What opencode answers.

    :ivar value: The JSON of its body, with texts cut; None if there is none.
    :ivar is_json: Whether the body was JSON, or empty.
    """

    def __init__(self, status: int, value: Any, *, is_json: bool) -> None:
        self.status = status
        self.value = value
        self.is_json = is_json

    @property
    def is_good(self) -> bool:
        """Whether it did what was asked."""
        return self.status in _OK and self.is_json

    @property
    def is_no_route(self) -> bool:
        """Whether this version may have no such route."""
        return self.status in _NO_ROUTE or not self.is_json

    @property
    def words(self) -> str:
        """Why not, in words."""
        value = self.value
        for _ in range(2):  # The message stands in it, or in its ``data``.
            if isinstance(value, dict):
                message = value.get("message")
                if isinstance(message, str) and message:
                    return message
                value = value.get("data")
        return f"opencode answered with status {self.status}"


class Client:
    """
    Talks to the server on a port of loopback.

    Each request has a connection of its own, so it may be used by several threads.
    """

    def __init__(self, port: int, password: str) -> None:
        self._port = port
        credentials = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Connection": "close"}

    def get(self, *path: str, query: str = "") -> Answer:
        """
        Read something.

        :raises Unreachable: if it cannot be.
        """
        return self._call("GET", path_of(path) + query, None, _SECONDS)

    def post(
        self, path: Sequence[str], body: Mapping[str, Any], seconds: float = _SECONDS
    ) -> Answer:
        """
        Do something.

        :param seconds: How long the answer may take.
        :raises Unreachable: if it does not come.
        """
        return self._call("POST", path_of(path), body, seconds)

    def first_of(self, ways: Sequence[tuple[Sequence[str], Mapping[str, Any]]]) -> Answer:
        """
        Do something that versions have different routes for.

        :param ways: Paths and bodies, the newest first. The next is tried where there may be no
            such route; then the first answer stands if none does better.
        :raises Unreachable: if no answer comes.
        """
        first: Answer | None = None
        for path, body in ways:
            answer = self.post(path, body)
            if answer.is_good or not answer.is_no_route:
                return answer
            first = first or answer
        return first or Answer(HTTPStatus.NOT_IMPLEMENTED, None, is_json=True)

    def listen(self, seconds: float) -> HTTPResponse:
        """
        Open the stream of events.

        :param seconds: How long it may be silent.
        :raises Unreachable: if it cannot be opened.
        """
        connection = HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            connection.request("GET", "/event", headers=self._headers)
            response = connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise Unreachable(words_of(error)) from error
        if response.status != HTTPStatus.OK:
            connection.close()
            msg = f"the stream of events was refused with status {response.status}"
            raise Unreachable(msg)
        return response

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, seconds: float
    ) -> Answer:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        headers = dict(self._headers)
        data = None
        if body is not None:
            data = json.dumps(body).encode("ascii")
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return _answer_of(response)
        except (OSError, HTTPException) as error:
            raise Unreachable(words_of(error)) from error
        finally:
            connection.close()


def path_of(parts: Sequence[str]) -> str:
    """Make a path of its parts, whatever stands in them."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def words_of(error: Exception) -> str:
    """Say what an error is, in words."""
    return f"opencode does not answer: {error or type(error).__name__}"


def _answer_of(response: HTTPResponse) -> Answer:
    body = Shortener(MOST_TEXT, _MOST_ANSWER)
    while data := response.read(_CHUNK):
        body.feed(data)
        if body.is_too_large:
            msg = f"its answer has more than {_MOST_ANSWER} bytes"
            raise HTTPException(msg)
    if not body.size:
        return Answer(response.status, None, is_json=True)
    try:
        return Answer(response.status, json.loads(body.text()), is_json=True)
    except (ValueError, RecursionError):
        return Answer(response.status, None, is_json=False)
