"""
Serve agents inside a Twisted program of one's own, beside its own pages.

Run it as ``python embedding.py DIRECTORY [PORT]``; the API is then under ``/agents/``.
"""

import sys

from twisted.internet import endpoints, task
from twisted.internet.defer import ensureDeferred
from twisted.web.resource import Resource
from twisted.web.server import Site

from loki_twisted import Service, Settings


class Hello(Resource):
    """A page that was there before."""

    isLeaf = True

    def render_GET(self, request):
        """Say hello."""
        return b"hello\n"


async def main(reactor, directory, port="0"):
    """Mount the API in a tree of resources, and serve both."""
    # No port of its own: the program's site below is the only one that listens.
    agents = Service(Settings(loki_dir=directory), reactor, listening=False)
    root = Resource()
    root.putChild(b"hello", Hello())
    root.putChild(b"agents", agents.resource)
    endpoint = endpoints.TCP4ServerEndpoint(reactor, int(port), interface="127.0.0.1")
    listening = await endpoint.listen(Site(root, parsePOSTFormSubmission=False))
    agents.startService()
    reactor.addSystemEventTrigger("before", "shutdown", agents.stopService)
    await agents.ready
    print(f"http://127.0.0.1:{listening.getHost().port}/agents/health", flush=True)
    await agents.stopped


if __name__ == "__main__":
    task.react(lambda reactor: ensureDeferred(main(reactor, *sys.argv[1:])))
