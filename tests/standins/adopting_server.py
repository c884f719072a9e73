"""
A server that does nothing but run agents, and is killed by a test.

``python adopting_server.py ROOT DATABASE COUNT LINES``: starts or adopts COUNT agents that print
LINES lines each, stores each piece with its cursors in one transaction, and says how many lines
it has stored so far. It ends when all agents have ended.
"""

import sqlite3
import sys
from collections.abc import Mapping, Sequence

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, succeed
from zope.interface import implementer

from loki_twisted.agents.interface import AgentEnd, IAgentListener, LaunchPlan
from loki_twisted.agents.runner import KeeperRunner

SCRIPT = """
i=1
while [ $i -le $LINES ]; do
    echo out $i
    echo err $i >&2
    [ $((i % 50)) = 0 ] && sleep 0.02
    i=$((i + 1))
done
exit 3
"""


@implementer(IAgentListener)
class Store:
    """Stores what one agent prints."""

    def __init__(self, database: sqlite3.Connection, session_id: str) -> None:
        self.database = database
        self.session_id = session_id
        self.told: Deferred[None] = Deferred()

    @property
    def cursors(self) -> dict[str, str]:
        rows = self.database.execute("select name, value from cursors where session = ?", self.key)
        return dict(rows.fetchall())

    @property
    def key(self) -> tuple[str]:
        return (self.session_id,)

    def lines_received(
        self, stream: str, lines: Sequence[str], cursors: Mapping[str, str]
    ) -> Deferred[None]:
        with self.database:
            self.database.executemany(
                "insert into lines (session, line) values (?, ?)",
                [(self.session_id, line) for line in lines],
            )
            self.database.executemany(
                "insert or replace into cursors values (?, ?, ?)",
                [(self.session_id, *cursor) for cursor in cursors.items()],
            )
        print(len(lines), flush=True)
        return succeed(None)

    def ended(self, end: AgentEnd) -> None:
        with self.database:
            self.database.execute(
                "insert into ends values (?, ?, ?, ?)",
                (self.session_id, end.code, end.signal, end.problem),
            )
        self.told.callback(None)


async def serve(root: str, path: str, count: int, lines: int) -> None:
    """Run until all agents have ended."""
    database = sqlite3.connect(path)
    with database:
        database.executescript(
            "pragma journal_mode = wal;"
            "create table if not exists lines (session text, line text);"
            "create table if not exists cursors (session text, name text, value text,"
            " primary key (session, name));"
            "create table if not exists pids (session text, pid integer);"
            "create table if not exists ends (session text, code integer, signal integer,"
            " problem text);"
        )
    runner = KeeperRunner(reactor, root, grace_seconds=1)
    plan = LaunchPlan(
        argv=["/bin/sh", "-c", SCRIPT],
        env={"LINES": str(lines), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        cwd="/",
    )
    waiting = []
    for number in range(count):
        store = Store(database, f"session_{number}")
        if database.execute("select 1 from ends where session = ?", store.key).fetchone():
            continue
        agent = runner.adopt(store.session_id) or await runner.start(store.session_id, plan)
        with database:
            database.execute("insert into pids values (?, ?)", (store.session_id, agent.pid))
        agent.follow(store.cursors, store)
        waiting.append(store.told)
    await gatherResults(waiting)
    await runner.detach()


def main() -> None:
    """Begin."""
    root, path, count, lines = sys.argv[1:]
    done = ensureDeferred(serve(root, path, int(count), int(lines)))
    done.addErrback(lambda failure: failure.printTraceback())
    done.addBoth(lambda _: reactor.callWhenRunning(reactor.stop))
    reactor.run()


if __name__ == "__main__":
    main()
