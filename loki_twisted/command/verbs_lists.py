"""The verbs of ``lokictl`` that list tasks and spending, and say how the server is."""

from __future__ import annotations

import argparse
import os.path
import time

from loki_twisted.client import LokiClient
from loki_twisted.command.calling import call, columns, complain, note_more, palette, show
from loki_twisted.command.exits import Exit
from loki_twisted.command.listing import health_text, tasks_table, usage_table
from loki_twisted.command.moments import read_moment
from loki_twisted.command.names import find_session
from loki_twisted.command.progress import ASKING, progress
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.model.wire import SessionTasks, TaskList


def tasks(given: argparse.Namespace) -> int:
    """List tasks, of one session or of all."""

    async def talk(client: LokiClient) -> int:
        found = await progress(ASKING, _list_tasks(client, given))
        show(given, found, tasks_table(found.tasks, palette(), columns()))
        note_more(len(found.tasks), found.pagination.total)
        return Exit.DONE

    return call(given, talk)


async def _list_tasks(client: LokiClient, given: argparse.Namespace) -> TaskList | SessionTasks:
    if given.session is None:
        return await client.list_tasks(status=given.status, limit=given.limit)
    session_id = await find_session(client, given.session)
    return await client.list_session_tasks(session_id, status=given.status, limit=given.limit)


def usage(given: argparse.Namespace) -> int:
    """Say what was spent."""
    try:
        since, until = _moment(given.since), _moment(given.until)
    except ValueError as error:
        return complain(str(error), Exit.USAGE)

    async def talk(client: LokiClient) -> int:
        session_id = None
        if given.session is not None:
            session_id = await find_session(client, given.session)
        asking = client.usage(
            given.by,
            session_id=session_id,
            project_dir=None if given.project is None else os.path.abspath(given.project),
            provider=given.provider,
            since=since,
            until=until,
            limit=given.limit,
        )
        report = await progress(ASKING, asking)
        show(given, report, usage_table(report, palette(), columns()))
        note_more(len(report.lines), report.pagination.total)
        return Exit.DONE

    return call(given, talk)


def _moment(text: str | None) -> str | None:
    if text is None:
        return None
    return iso_from_ms(read_moment(text, time.time_ns() // 1_000_000))


def health(given: argparse.Namespace) -> int:
    """Say how the server is."""

    async def talk(client: LokiClient) -> int:
        found = await progress(ASKING, client.health())
        show(given, found, health_text(found, palette()))
        return Exit.UNWELL if found.status == "unhealthy" else Exit.DONE

    return call(given, talk)
