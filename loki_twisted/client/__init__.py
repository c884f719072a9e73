"""The client: sessions and events of a server, over treq."""

from loki_twisted.client.api import LokiClient
from loki_twisted.client.errors import ClientError, ServerUnreachable
from loki_twisted.client.stream import EventStream, StreamReset

__all__ = ["ClientError", "EventStream", "LokiClient", "ServerUnreachable", "StreamReset"]
