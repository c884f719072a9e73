"""
A client on a reactor of its own: ``python watching.py REACTOR COUNT URL [CERTIFICATE]``.

REACTOR is ``asyncio``, ``epoll``, ``poll`` or ``select``, each made here and never installed; or
``asyncio-installed``, which the client finds by itself. Prints the numbers of so many events, and
at last whether anything has imported the global reactor.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from loki_twisted import LokiClient

CLASSES = {
    "asyncio": "twisted.internet.asyncioreactor:AsyncioSelectorReactor",
    "epoll": "twisted.internet.epollreactor:EPollReactor",
    "poll": "twisted.internet.pollreactor:PollReactor",
    "select": "twisted.internet.selectreactor:SelectReactor",
}


def reactor_of(name: str) -> tuple[Any, Any]:
    """A reactor, and what to give the client for it."""
    if name == "asyncio-installed":
        import_module("twisted.internet.asyncioreactor").install()
        return import_module("twisted.internet.reactor"), None
    module, _, kind = CLASSES[name].partition(":")
    reactor = getattr(import_module(module), kind)()
    return reactor, reactor


def trust_root_of(certificate: str) -> Any:
    """Trust one certificate."""
    from twisted.internet.ssl import Certificate, trustRootFromCertificates

    return trustRootFromCertificates([Certificate.loadPEM(Path(certificate).read_bytes())])


async def watch(client: LokiClient, count: int) -> None:
    """Read events, and ask something."""
    try:
        async with client.events(after="earliest") as stream:
            async for event in stream:
                print(event.id.split("_")[1])
                count -= 1
                if not count:
                    break
        print((await client.event_stats()).subscribers)
    finally:
        await client.close()


def main() -> int:
    """Watch."""
    name, count, url, *certificates = sys.argv[1:]
    reactor, given = reactor_of(name)
    roots = [trust_root_of(each) for each in certificates]
    client = LokiClient(url, reactor=given, trust_root=roots[0] if roots else None)
    failures: list[Any] = []

    def begin() -> None:
        watching = Deferred.fromCoroutine(watch(client, int(count)))
        watching.addErrback(failures.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    for failure in failures:
        failure.printTraceback()
    print("installed" if "twisted.internet.reactor" in sys.modules else "none installed")
    return len(failures)


if __name__ == "__main__":
    sys.exit(main())
