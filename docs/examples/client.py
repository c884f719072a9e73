"""
Talk to a server by the client.

``python client.py URL run`` runs the demo and answers its question, ``python client.py URL
go-on FILE`` shows what has happened since it was last run, and ``python client.py URL
watch`` has functions called back.
"""

import sys
from pathlib import Path

from twisted.internet import task
from twisted.internet.defer import Deferred, ensureDeferred

from loki_twisted import ClientError, EventFilter, LokiClient

ENDS = ("session:completed", "session:failed", "session:stopped")


async def run(client):
    """Start a session, answer its questions, and see it to its end."""
    session = await client.start_session(provider="demo")
    wanted = EventFilter.of(session.session_id, ["task:completed", "input:requested", *ENDS])
    async with client.events(wanted, after="earliest") as events:
        async for event in events:
            print(event.type, event.data.get("title", ""))
            if event.type == "input:requested":
                await client.give_input(event.session_id, "violet")
            if event.type in ENDS:
                break
    try:
        await client.give_input(session.session_id, "and a second hand, please")
    except ClientError as error:
        print(error.status, error.code, error)


async def go_on(client, file):
    """Show what has happened since the last time, up to now."""
    file = Path(file)
    after = file.read_text() if file.exists() else "earliest"
    newest = (await client.event_stats()).newest_event_id
    if newest in (None, after):
        return
    async with client.events(after=after, on_reset=print) as events:
        async for event in events:
            print(event.id, event.type)
            file.write_text(events.last_event_id)
            if event.id == newest:
                return


async def watch(client):
    """Have a function called with what goes wrong, until a session ends."""
    ended = Deferred()

    def show(event):
        print(event.type, event.data.get("message", ""))
        if event.type in ENDS:
            ended.callback(None)

    unsubscribe = client.subscribe(
        show,
        EventFilter.of(types=["log:warn", "log:error", *ENDS]),
        history=10,
        on_error=ended.errback,
    )
    await ended
    await unsubscribe()


async def main(reactor, url, verb, *words):
    """Make a client, and close it at the end."""
    client = LokiClient(url, reactor=reactor)
    try:
        await {"run": run, "go-on": go_on, "watch": watch}[verb](client, *words)
    finally:
        await client.close()


if __name__ == "__main__":
    task.react(lambda reactor: ensureDeferred(main(reactor, *sys.argv[1:])))
