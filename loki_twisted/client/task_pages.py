"""All tasks, a page at a time, while they change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from loki_twisted.model import wire
from loki_twisted.model.tasks import Task

TASKS_PER_PAGE: Final = 500

Page = wire.TaskList | wire.SessionTasks
AskForPage = Callable[..., Awaitable[Page]]
"""Asks for a page; takes ``limit`` and ``after``."""


async def tasks_of_pages(ask: AskForPage) -> AsyncIterator[Task]:
    """Give the tasks of all pages, in order, and ask for no page before it is needed."""
    after = None
    while True:
        page = await ask(limit=TASKS_PER_PAGE, after=after)
        for task in page.tasks:
            yield task
        after = page.pagination.next_cursor
        if after is None:
            return
