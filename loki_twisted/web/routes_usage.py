"""Routes of what agents spend."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import StorageFailed, Unavailable
from loki_twisted.model.identifiers import SESSION_ID
from loki_twisted.model.ledger import Grouping, LedgerQuery
from loki_twisted.model.wire import Pagination, UsageReport
from loki_twisted.sessions.interface import ISessions
from loki_twisted.web.operations import operation
from loki_twisted.web.parameters import (
    MOST_OFFSET,
    MOST_PER_PAGE,
    integer,
    moment,
    one_of,
    text,
)

_WHAT: Final = (
    one_of("by", "What a line stands for.", Grouping, default=Grouping.SESSION),
    text(
        "sessionId",
        "Only what this session spent, also if it was deleted.",
        pattern=SESSION_ID.pattern,
        expected="the id of a session",
    ),
    text(
        "projectDir",
        "Only what was spent in this project directory.",
        pattern="/.{0,4095}",
        expected="an absolute path",
    ),
    text(
        "provider",
        "Only what agents of this provider spent.",
        pattern="[a-z][a-z0-9_-]{0,31}",
        expected="the name of a provider",
    ),
    moment("since", "Only what was spent from this day (UTC) or time on."),
    moment("until", "Only what was spent before this day (UTC) or time."),
    integer("limit", "How many lines to list.", least=1, most=MOST_PER_PAGE, default=100),
    integer("offset", "How many lines to skip.", least=0, most=MOST_OFFSET, default=0),
)


class UsageRoutes:
    """
    The routes under ``/api/usage``.

    :param sessions: Knows what they spent.
    """

    def __init__(self, sessions: ISessions) -> None:
        self._sessions = sessions

    @operation(
        "GET",
        "/api/usage",
        tag="usage",
        answer=UsageReport,
        parameters=_WHAT,
        errors=(Unavailable, StorageFailed),
    )
    async def get_usage(
        self,
        by: Grouping,
        session_id: str | None,
        project_dir: str | None,
        provider: str | None,
        since: int | None,
        until: int | None,
        limit: int,
        offset: int,
    ) -> UsageReport:
        """
        Add up what was spent.

        Days and turns are listed newest first, all others by falling cost, then tokens. What a turn
        spent on a model counts for the time at which it was first told.
        """
        page = await self._sessions.usage(
            LedgerQuery(
                by=by,
                session_id=session_id,
                project_dir=project_dir,
                provider=provider,
                since_ms=since,
                until_ms=until,
                limit=limit,
                offset=offset,
            )
        )
        place = Pagination(
            total=page.total,
            limit=limit,
            offset=offset,
            has_more=offset + len(page.lines) < page.total,
        )
        return UsageReport(by=by, lines=list(page.lines), sum=page.sum, pagination=place)
