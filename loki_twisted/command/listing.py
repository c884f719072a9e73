"""Lists as text for people. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table

from loki_twisted.command.colours import Palette
from loki_twisted.command.formatting import duration, plain
from loki_twisted.command.names import short
from loki_twisted.command.tables import Column, as_text, grid
from loki_twisted.model.ledger import LedgerLine
from loki_twisted.model.sessions import Session
from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.tasks import Task
from loki_twisted.model.timestamps import ms_from_iso
from loki_twisted.model.wire import Health, UsageReport

COLOUR_OF_STATUS: Final = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "stopped": "yellow",
    "paused": "yellow",
    "skipped": "dim",
}
_ROOM_FOR_LONG_IDS: Final = 100

_SESSION_COLUMNS: Final = (
    Column("SESSION"),
    Column("STATUS"),
    Column("PROVIDER", rank=4),
    Column("PHASE", rank=3),
    Column("TASKS", rank=2),
    Column("COST", rank=5, is_number=True),
    Column("AGE", rank=1),
    Column("", least=12, rank=6),
)


def sessions_grid(sessions: Sequence[Session], now_ms: int, room: int | None) -> Table:
    """Lay out sessions as a table, one a line."""
    is_narrow = room is not None and room < _ROOM_FOR_LONG_IDS
    rows = [
        (
            short(session.id) if is_narrow else session.id,
            session.status.value,
            session.provider,
            session.current_phase or "-",
            f"{session.completed_tasks}/{session.task_count}",
            money(session.usage.cost, session.usage.cost_origin),
            duration(now_ms - _ms(session.started_at, now_ms)),
            session.reason or "",
        )
        for session in sessions
    ]
    styles = [
        "magenta" if session.open_inputs else COLOUR_OF_STATUS.get(session.status.value)
        for session in sessions
    ]
    return grid(_SESSION_COLUMNS, rows, room, styles)


def sessions_table(
    sessions: Sequence[Session], now_ms: int, palette: Palette, room: int | None = None
) -> str:
    """Write sessions as a table, one a line."""
    return as_text(sessions_grid(sessions, now_ms, room), palette, room)


def tasks_table(tasks: Sequence[Task], palette: Palette, room: int | None = None) -> str:
    """Write tasks as a table, one a line."""
    is_narrow = room is not None and room < _ROOM_FOR_LONG_IDS
    rows = [
        (
            task.id,
            task.status.value,
            short(task.session_id) if is_narrow else task.session_id,
            task.title,
        )
        for task in tasks
    ]
    columns = (
        Column("TASK", least=8),
        Column("STATUS"),
        Column("SESSION", rank=1),
        Column("TITLE", least=12),
    )
    table = grid(columns, rows, room, [COLOUR_OF_STATUS.get(row[1]) for row in rows])
    return as_text(table, palette, room)


def usage_table(report: UsageReport, palette: Palette, room: int | None = None) -> str:
    """Write what was spent as a table, with the sum as its last line."""
    columns = (
        Column(report.by.value.upper(), least=10),
        Column("COST", is_number=True),
        Column("TOKENS", is_number=True),
        Column("IN", rank=3, is_number=True),
        Column("OUT", rank=3, is_number=True),
        Column("CACHED", rank=4, is_number=True),
        Column("TURNS", rank=2, is_number=True),
        Column("SESSIONS", rank=1, is_number=True),
    )
    is_narrow = room is not None and room < _ROOM_FOR_LONG_IDS
    rows = [
        _usage_row(line, _short_key(line.key) if is_narrow else line.key or "-")
        for line in report.lines
    ]
    rows.append(_usage_row(report.sum, "all"))
    return as_text(grid(columns, rows, room), palette, room)


def _short_key(key: str) -> str:
    """Shorten the id of a session, also where a turn stands behind it; leave all else."""
    session_id, slash, turn = key.partition("/")
    return f"{short(session_id)}{slash}{turn}" or "-"


def _usage_row(line: LedgerLine, name: str) -> tuple[str, ...]:
    spent = line.spending
    is_known = any(origin is not CostOrigin.UNKNOWN for origin in line.origins)
    is_reported = line.origins == [CostOrigin.REPORTED]
    origin = CostOrigin.REPORTED if is_reported else CostOrigin.ESTIMATED
    return (
        name,
        money(spent.cost, origin if is_known else CostOrigin.UNKNOWN),
        f"{spent.tokens:,}",
        f"{spent.input_tokens:,}",
        f"{spent.output_tokens:,}",
        f"{spent.cache_read_tokens + spent.cache_write_tokens:,}",
        f"{line.turns:,}",
        f"{line.sessions:,}",
    )


def money(dollars: float, origin: CostOrigin) -> str:
    """Write a cost; ``~`` stands before what is an estimate, and ``-`` for what nobody knows."""
    if origin is CostOrigin.UNKNOWN and not dollars:
        return "-"
    mark = "" if origin is CostOrigin.REPORTED else "~"
    return f"{mark}${dollars:,.2f}" if dollars >= 1 or not dollars else f"{mark}${dollars:.4f}"


def health_text(health: Health, palette: Palette) -> str:
    """Write how a server is: its state, its problems, its providers."""
    colour = {"healthy": "green", "degraded": "yellow"}.get(health.status, "red")
    state = palette.paint(colour, plain(health.status))
    lines = [f"{state}, version {plain(health.version)}, up {duration(health.uptime)}"]
    lines.extend(f"problem: {plain(problem)}" for problem in health.problems)
    for name, available in sorted(health.providers.items()):
        mark = palette.paint("green", "yes") if available else palette.paint("dim", "no")
        lines.append(f"  {plain(name):<12} {mark}")
    return "\n".join(lines)


def _ms(timestamp: str, otherwise: int) -> int:
    try:
        return ms_from_iso(timestamp)
    except ValueError:
        return otherwise
