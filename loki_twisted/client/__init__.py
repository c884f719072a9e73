"""The client: sessions and events of a server, over treq."""

from loki_twisted.client.api import LokiClient
from loki_twisted.client.errors import ClientError, ServerNotTrusted, ServerUnreachable
from loki_twisted.client.frames import StreamReset
from loki_twisted.client.output import OutputPart, OutputTail
from loki_twisted.client.stream import EventStream

__all__ = [
    "ClientError",
    "EventStream",
    "LokiClient",
    "OutputPart",
    "OutputTail",
    "ServerNotTrusted",
    "ServerUnreachable",
    "StreamReset",
]
