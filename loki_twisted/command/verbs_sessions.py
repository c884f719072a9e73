"""The verbs of ``lokictl`` that give orders to sessions."""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable

from loki_twisted.client import ClientError, LokiClient
from loki_twisted.command.calling import call, columns, complain, note_more, palette, show
from loki_twisted.command.complaints import complaint, exit_code_of
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import plain
from loki_twisted.command.listing import sessions_table
from loki_twisted.command.names import NoSuchName, find_session
from loki_twisted.command.progress import ASKING, progress
from loki_twisted.command.verbs_watching import ENDS, follow
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.identifiers import EARLIEST
from loki_twisted.model.wire import SessionMessage, SessionOrder, StartOptions

Order = Callable[[LokiClient, str], Awaitable[SessionOrder | SessionMessage]]
"""Gives an order to the session of an id."""


def ps(given: argparse.Namespace) -> int:
    """List sessions."""

    async def talk(client: LokiClient) -> int:
        asking = client.list_sessions(
            status=given.status, provider=given.provider, limit=given.limit
        )
        sessions = await progress(ASKING, asking)
        if given.quiet and not given.json:
            for each in sessions.sessions:
                print(plain(each.id), flush=True)
            return Exit.DONE
        now_ms = time.time_ns() // 1_000_000
        text = sessions_table(sessions.sessions, now_ms, palette(), columns())
        show(given, sessions, text)
        note_more(len(sessions.sessions), sessions.total)
        return Exit.DONE

    return call(given, talk)


def start(given: argparse.Namespace) -> int:
    """Start a session, and follow it if that is asked for."""
    timeout = None if given.timeout is None else max(1, round(given.timeout * 1000))
    options = StartOptions(
        dry_run=given.dry_run,
        verbose=given.verbose,
        timeout=timeout,
        direct=given.direct,
        stay_open=given.stay_open,
        budget_usd=given.budget,
        on_unanswered=given.on_unanswered,
    )

    async def talk(client: LokiClient) -> int:
        starting = client.start_session(
            provider=given.provider,
            prd_path=given.prd,
            prompt=given.prompt,
            project_dir=given.project_dir,
            model=given.model,
            options=options,
            queue=given.queue,
            priority=given.priority,
        )
        order = await progress("Starting", starting)
        show(given, order, _order_line(order))
        return await follow(client, given, order.session_id) if given.follow else Exit.DONE

    return call(given, talk)


def go_on(given: argparse.Namespace) -> int:
    """Go on with a session that has ended, in a new one."""

    async def talk(client: LokiClient) -> int:
        session_id = await find_session(client, given.session)
        text = " ".join(given.text)
        continuing = client.continue_session(session_id, text, model=given.model, queue=given.queue)
        order = await progress("Starting", continuing)
        show(given, order, _order_line(order))
        return await follow(client, given, order.session_id) if given.follow else Exit.DONE

    return call(given, talk)


def stop(given: argparse.Namespace) -> int:
    """Stop sessions."""
    if given.wait:
        return _order_all(given, _stop_and_wait)
    return _order_all(given, LokiClient.stop_session)


async def _stop_and_wait(client: LokiClient, session_id: str) -> SessionOrder:
    """Stop a session, and tell it when it has ended."""
    await client.stop_session(session_id)
    async with client.events(EventFilter.of(session_id, ENDS), after=EARLIEST) as stream:
        end = await progress(f"Stopping {session_id}", anext(stream))
    session = (await client.get_session(session_id)).session
    words = end.data.get("message") or end.data.get("status") or ""
    return SessionOrder(session_id=session_id, status=session.status, message=str(words))


def pause(given: argparse.Namespace) -> int:
    """Halt sessions."""
    return _order_all(given, LokiClient.pause_session)


def resume(given: argparse.Namespace) -> int:
    """Let sessions go on."""
    return _order_all(given, LokiClient.resume_session)


def interrupt(given: argparse.Namespace) -> int:
    """Let agents leave off what they are doing."""
    return _order_all(given, LokiClient.interrupt_session)


def remove(given: argparse.Namespace) -> int:
    """Remove the records of sessions."""
    return _order_all(given, LokiClient.delete_session)


def _order_all(given: argparse.Namespace, order: Order) -> int:
    """Give the order to one session after the other; the exit code is the first that is not 0."""

    async def talk(client: LokiClient) -> int:
        exit_code: int = Exit.DONE
        for name in given.sessions:
            try:
                done = await order(client, await find_session(client, name))
            except (ClientError, NoSuchName) as error:
                failed = complain(complaint(error), exit_code_of(error))
                exit_code = exit_code or failed
            else:
                show(given, done, _order_line(done))
        return exit_code

    return call(given, talk)


def _order_line(order: SessionOrder | SessionMessage) -> str:
    status = f" {order.status.value}:" if isinstance(order, SessionOrder) else ":"
    return plain(f"{order.session_id}{status} {order.message}")
