"""One question to the server, and its answer as a declared type or an error."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final, TypeVar

import attrs
import msgspec
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from loki_twisted.client.bodies import WholeBody, collect, drop
from loki_twisted.client.connecting import Address
from loki_twisted.client.encodings import Uncompressed
from loki_twisted.client.errors import (
    MALFORMED,
    ClientError,
    ServerNotTrusted,
    ServerUnreachable,
    none_of_this_api,
)
from loki_twisted.client.heads import MOST_HEAD_BYTES, HeadTooLarge
from loki_twisted.client.reconnecting import retry_after_seconds
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.wire import Problem

OK: Final = frozenset({200, 201, 202})
STREAM_TYPE: Final = "text/event-stream"

Query = Iterable[tuple[str, str | int | None]]
"""Parameters; those whose value is None are left out."""

_NO_NAMES: Final = frozenset({"", ".", ".."})
_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_MOST_ERROR_BYTES: Final = 1024 * 1024
_T = TypeVar("_T")


@attrs.frozen
class Exchange:
    """
    What all questions of a client have in common.

    :ivar seconds: How long an answer may take, and again how long its body may.
    """

    address: Address
    token: str | None = attrs.field(repr=False)
    reactor: Any
    seconds: float

    async def ask(
        self,
        agent: IAgent,
        method: str,
        path: Iterable[str],
        answer: type[_T],
        *,
        query: Query = (),
        body: msgspec.Struct | None = None,
        good: Collection[int] = OK,
        key: str | None = None,
    ) -> _T:
        """
        Ask, and read the answer.

        :param path: The segments after the base URL, not escaped.
        :param answer: The type of the answer's JSON.
        :param good: Statuses whose body is such an answer.
        :param key: A name for the request, under which it is carried out once.
        :raises ClientError: for any other answer.
        :raises ServerUnreachable: if there is none.
        :raises ServerNotTrusted: if it would be one of somebody else.
        :raises InvalidRequest: if it cannot be asked. Nothing was sent.
        """
        headers = {} if key is None else {"idempotency-key": key}
        response = await self.send(agent, method, path, query, headers=headers, body=body)
        if response.code not in good:
            raise await self.refusal(response)
        data = await collect(response, self.reactor, self.seconds)
        try:
            return msgspec.json.decode(data, type=answer)
        except MALFORMED as error:
            raise _unexpected(response, f"its body is not what it should be: {error}") from error

    async def open_stream(
        self, agent: IAgent, path: Iterable[str], query: Query, last_event_id: str | None
    ) -> IResponse:
        """
        Ask for an event stream.

        :returns: The answer; its body is to be read or the connection stays.
        :raises: as :meth:`ask`.
        """
        headers = {"cache-control": "no-cache"}
        if last_event_id:
            headers["last-event-id"] = last_event_id
        return await self.open(agent, path, query, STREAM_TYPE, "event stream", headers)

    async def open(
        self,
        agent: IAgent,
        path: Iterable[str],
        query: Query,
        media_type: str,
        name: str,
        headers: dict[str, str] | None = None,
    ) -> IResponse:
        """
        Ask for what is no JSON.

        :param name: What it is, in words.
        :returns: The answer; its body is to be read or the connection stays.
        :raises: as :meth:`ask`.
        """
        sent = {"accept": media_type, **(headers or {})}
        response = await self.send(agent, "GET", path, query, headers=sent)
        if response.code != 200:  # noqa: PLR2004  # the status of a stream
            raise await self.refusal(response)
        if _media_type(response.headers) != media_type:
            drop(response)
            raise _unexpected(response, f"it is no {name}")
        return response

    def number(self, response: IResponse, name: str) -> int:
        """
        Read a number in the head of an answer.

        :raises ClientError: if it is not there, or is none.
        """
        text = _header(response.headers, name) or ""
        if _NUMBER.fullmatch(text) is None:
            raise _unexpected(response, f"its {name} is no number")
        return int(text)

    async def send(
        self,
        agent: IAgent,
        method: str,
        path: Iterable[str],
        query: Query = (),
        *,
        headers: dict[str, str] | None = None,
        body: msgspec.Struct | None = None,
    ) -> IResponse:
        """Send a request; the answer's body is not read yet. Raises as :meth:`ask` does."""
        try:
            answer = self._request(agent, method, path, query, headers or {}, body)
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"There are characters that cannot be sent: {error}") from None
        try:
            return await answer.addTimeout(self.seconds, self.reactor, self._no_answer)
        except ConnectingCancelledError as error:
            raise CancelledError from error
        except (ConnectError, DNSLookupError) as error:
            raise ServerUnreachable(f"Nothing answers at {self.where}: {error}") from error
        except (ResponseFailed, RequestTransmissionFailed) as error:
            raise self._broken([reason.value for reason in error.reasons]) from error

    async def refusal(self, response: IResponse) -> ClientError:
        """Read an answer that is an error."""
        data = await collect(response, self.reactor, self.seconds, _MOST_ERROR_BYTES)
        seconds = retry_after_seconds(_header(response.headers, "retry-after"))
        waiting = {"retryAfter": seconds} if seconds else None
        try:
            problem = msgspec.json.decode(data, type=Problem)
        except MALFORMED:
            return _unexpected(response, "it is no answer of this API", waiting)
        details = {**(problem.details or {}), **waiting} if waiting else problem.details
        return ClientError(problem.code, response.code, problem.error, details)

    @property
    def where(self) -> str:
        """The server's address, for people."""
        return self.address.socket_path or self.address.base.to_text()

    def _request(
        self,
        agent: IAgent,
        method: str,
        path: Iterable[str],
        query: Query,
        headers: dict[str, str],
        body: msgspec.Struct | None,
    ) -> Deferred[Any]:
        url = self.address.base.child(*_named(path))
        for name, value in query:
            url = url if value is None else url.add(name, str(value))
        sent = dict(headers)
        if self.token is not None:
            sent["authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent["content-type"] = "application/json"
        return HTTPClient(Uncompressed(agent)).request(
            method,
            url,
            headers=Headers({name: [value] for name, value in sent.items()}),
            data=None if body is None else WholeBody(msgspec.json.encode(body)),
            allow_redirects=False,  # a token is for one server only
            unbuffered=True,
            reactor=self.reactor,
        )

    def _broken(self, reasons: Collection[BaseException]) -> Exception:
        """Say why a connection broke, or that it was we who broke it."""
        if any(isinstance(reason, CancelledError) for reason in reasons):
            return CancelledError()
        if any(map(_is_distrust, reasons)):
            return ServerNotTrusted(f"The certificate of {self.where} is not to be trusted.")
        if any(isinstance(reason, HeadTooLarge) for reason in reasons):
            limit = f"more than {MOST_HEAD_BYTES} bytes before its body"
            return ServerUnreachable(f"The answer of {self.where} is too large: {limit}.")
        return ServerUnreachable(f"The connection to {self.where} broke.")

    def _no_answer(self, _: object, seconds: float) -> Failure:
        return Failure(ServerUnreachable(f"{self.where} has not answered for {seconds:g} s."))


def _named(path: Iterable[str]) -> Iterable[str]:
    """
    Give the segments of a path, none of which may lead anywhere else.

    :raises InvalidRequest: for ``.`` and ``..``, which cannot be escaped, and for what is empty.
    """
    for segment in path:
        if segment in _NO_NAMES:
            raise InvalidRequest(f"{segment!r} is no id.")
        yield segment


def _unexpected(
    response: IResponse, what: str, details: dict[str, Any] | None = None
) -> ClientError:
    answer = f"The answer with status {response.code}"
    return none_of_this_api(answer, what, response.code, details)


def _is_distrust(reason: BaseException) -> bool:
    """Whether a connection was broken by us, because of the certificate."""
    if isinstance(reason, VerificationError):  # it is for another name
        return True
    return isinstance(reason, TLSError) and "certificate verify failed" in str(reason)


def _header(headers: Headers, name: str) -> str | None:
    # By a name of bytes, or Twisted takes the values for UTF-8, which they need not be.
    values = headers.getRawHeaders(name.encode())
    return values[0].decode("latin-1") if values else None


def _media_type(headers: Headers) -> str:
    return (_header(headers, "content-type") or "").partition(";")[0].strip().lower()
