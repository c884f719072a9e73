"""The client against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from loki_twisted.client import ClientError, LokiClient, StreamReset
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.sessions import SessionStatus
from tests.system import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server as a process of its own, whose demo is fast and waits for an answer."""
    with Server(tmp_path, LOKI_DEMO_SPEED="50", LOKI_DEMO_TIMEOUT="600") as server:
        yield server
        assert server.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_session_from_its_start_to_its_removal(server: Server) -> None:
    """Every route of the server answers the client with what the client declares."""
    client = LokiClient(server.base, reactor=reactor)
    try:
        assert (await client.live()).alive
        assert (await client.ready()).ready
        assert (await client.health()).providers["demo"]
        session_id = (await client.start_session(provider="demo")).session_id

        types = []
        async with client.events(EventFilter(session_id), after="earliest") as events:
            async for event in events:
                types.append(event.type)
                if event.type == "input:requested":
                    assert await client.give_input(session_id, "violet")
                if event.type == "session:completed":
                    break
        assert types[0] == "session:started"

        detail = await client.get_session(session_id)
        assert detail.session.status is SessionStatus.COMPLETED
        everywhere = await client.list_tasks(limit=3)
        here = await client.list_session_tasks(session_id)
        assert len(everywhere.tasks) == 3
        assert here.summary.completed == here.pagination.total == 7
        assert "Paint it in violet" in [task.title for task in here.tasks]
        assert [task async for task in client.all_tasks(session_id)] == here.tasks
        second = await client.list_tasks(limit=2, after=everywhere.pagination.next_cursor)
        assert second.tasks == here.tasks[3:5]
        task = here.tasks[0]
        assert (await client.get_task(session_id, task.id)).task == task
        assert (await client.active_tasks()).count == 0
        assert (await client.queued_tasks()).count == 0
        history = await client.history(EventFilter(session_id), after="earliest", limit=1000)
        assert [event.type for event in history.events] == types
        assert (await client.event_stats()).newest_event_id is not None
        assert (await client.status()).sessions.completed == 1

        await client.delete_session(session_id)
        assert (await client.list_sessions()).total == 0
        with pytest.raises(ClientError) as refused:
            await client.get_session(session_id)
        assert (refused.value.code, refused.value.status) == ("SESSION_NOT_FOUND", 404)
    finally:
        await client.close()


@pytest_twisted.ensureDeferred
async def test_orders_and_refusals(server: Server) -> None:
    """A session is halted, goes on and is stopped; what is refused says why."""
    client = LokiClient(server.base, reactor=reactor)
    try:
        session_id = (await client.start_session(provider="demo")).session_id
        with pytest.raises(ClientError) as refused:
            await client.start_session(provider="demo")
        assert refused.value.code == "SESSION_ALREADY_RUNNING"
        assert refused.value.details == {"sessionId": session_id}

        steps = [f"session:{word}" for word in ("paused", "resumed", "stopped")]
        wanted = EventFilter.of(session_id, [*steps, "input:requested"])
        async with client.events(wanted, after="earliest") as events:
            while (await events.__anext__()).type != "input:requested":
                pass
            assert (await client.pause_session(session_id)).session_id == session_id
            assert (await events.__anext__()).type == "session:paused"
            assert (await client.resume_session(session_id)).session_id == session_id
            assert (await events.__anext__()).type == "session:resumed"
            order = await client.stop_session(session_id)
            assert order.status is SessionStatus.STOPPING
            assert (await events.__anext__()).type == "session:stopped"

        with pytest.raises(ClientError) as refused:
            await client.give_input(session_id, "anybody there?")
        assert refused.value.status == 409
    finally:
        await client.close()


@pytest_twisted.ensureDeferred
async def test_a_place_that_is_not_there(server: Server) -> None:
    """Who goes on from an event of another log is told, and then given what there is."""
    resets: list[StreamReset] = []
    client = LokiClient(server.base, reactor=reactor)
    try:
        session_id = (await client.start_session(provider="demo")).session_id
        async with client.events(after="evt_999999_1", on_reset=resets.append) as events:
            first = await events.__anext__()
            await client.stop_session(session_id)
            while (await events.__anext__()).type != "session:stopped":
                pass

        assert first.id.startswith("evt_1_")
        assert [(reset.asked, reset.oldest) for reset in resets] == [("evt_999999_1", first.id)]
    finally:
        await client.close()
