"""
Answers are asked for as they are, and compressed ones are not taken.

treq would ask for gzip and unpack it without a limit: 64 KiB from the network, which is one
read, can become 64 MiB at once.
"""

from __future__ import annotations

from typing import Final

import attrs
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from loki_twisted.client.bodies import drop
from loki_twisted.client.errors import none_of_this_api

_ENCODING: Final = b"content-encoding"


@implementer(IAgent)
@attrs.frozen
class Uncompressed:
    """
    An agent that takes no compressed answers.

    :ivar agent: What to send requests by.
    """

    agent: IAgent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803  # Twisted's name
    ) -> Deferred[IResponse]:
        """
        Send a request.

        :raises ClientError: if the answer is compressed; its connection is closed.
        """
        plain = Headers() if headers is None else headers.copy()
        plain.setRawHeaders(b"accept-encoding", [b"identity"])
        return self.agent.request(method, uri, plain, bodyProducer).addCallback(_as_it_is)


def _as_it_is(response: IResponse) -> IResponse:
    encodings = response.headers.getRawHeaders(_ENCODING, [])
    if all(each.strip().lower() in {b"", b"identity"} for each in encodings):
        return response
    drop(response)
    answer = f"The answer with status {response.code}"
    raise none_of_this_api(answer, "it is compressed", response.code)
