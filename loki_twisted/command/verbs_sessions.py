"""The verbs of ``lokictl`` that give orders to sessions."""

from __future__ import annotations

import argparse
import time

from loki_twisted.client import LokiClient
from loki_twisted.command.calling import Talk, call, palette, show
from loki_twisted.command.formatting import plain, sessions_table
from loki_twisted.command.verbs_watching import follow
from loki_twisted.model.wire import InputGiven, SessionMessage, SessionOrder, StartOptions


def ps(given: argparse.Namespace) -> int:
    """List sessions."""

    async def talk(client: LokiClient) -> int:
        sessions = await client.list_sessions(status=given.status, limit=given.limit)
        now_ms = time.time_ns() // 1_000_000
        return show(given, sessions, sessions_table(sessions.sessions, now_ms, palette()))

    return call(given, talk)


def start(given: argparse.Namespace) -> int:
    """Start a session, and follow it if that is asked for."""
    timeout = None if given.timeout is None else max(1, round(given.timeout * 1000))
    options = StartOptions(
        dry_run=given.dry_run, verbose=given.verbose, timeout=timeout, direct=given.direct
    )

    async def talk(client: LokiClient) -> int:
        order = await client.start_session(
            provider=given.provider,
            prd_path=given.prd,
            prompt=given.prompt,
            project_dir=given.project_dir,
            model=given.model,
            options=options,
            queue=given.queue,
            priority=given.priority,
        )
        show(given, order, _order_line(order))
        return await follow(client, given, order.session_id) if given.follow else 0

    return call(given, talk)


def stop(given: argparse.Namespace) -> int:
    """Stop a session."""
    return call(given, _ordering(given, "stop_session"))


def pause(given: argparse.Namespace) -> int:
    """Halt a session."""
    return call(given, _ordering(given, "pause_session"))


def resume(given: argparse.Namespace) -> int:
    """Let a session go on."""
    return call(given, _ordering(given, "resume_session"))


def remove(given: argparse.Namespace) -> int:
    """Remove the record of a session."""
    return call(given, _ordering(given, "delete_session"))


def give_input(given: argparse.Namespace) -> int:
    """Say something to an agent."""

    async def talk(client: LokiClient) -> int:
        order = await client.give_input(given.session_id, " ".join(given.text))
        return show(given, order, _order_line(order))

    return call(given, talk)


def _ordering(given: argparse.Namespace, method: str) -> Talk:
    async def talk(client: LokiClient) -> int:
        order = await getattr(client, method)(given.session_id)
        return show(given, order, _order_line(order))

    return talk


def _order_line(order: SessionOrder | SessionMessage | InputGiven) -> str:
    status = f" {order.status.value}:" if isinstance(order, SessionOrder) else ":"
    return plain(f"{order.session_id}{status} {order.message}")
