"""The history while the log drops events: what is given, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

from loki_twisted.log.interface import Page
from tests.fakes_web import Server
from tests.test_web_routes_events import BLOCKS, ONE, history, server


@pytest.mark.parametrize(
    ("query", "numbers", "complete_from"),
    [
        ("", [1, 2, 3, 7, 8, 9], 7),
        ("limit=4", [3, 7, 8, 9], 7),
        ("limit=3", [7, 8, 9], 7),
        ("after=earliest", [1, 2, 3, 7, 8, 9], 7),
        ("after={1}&limit=1", [2], 7),
        ("after={6}", [7, 8, 9], 7),
        ("after={7}", [8, 9], 7),
        ("before={2}", [1], 7),
        ("types=task:*", [3, 8], 7),
    ],
)
@pytest.mark.parametrize("page_blocks", [1, 10])
def test_where_nothing_is_missing(
    query: str, numbers: list[int], complete_from: int, page_blocks: int
) -> None:
    """What running sessions keep is given, and the answer tells from where on it has no holes."""
    here = server()
    here.log.page_blocks = page_blocks
    ids = {str(number): here.log.id_of(number) for number in range(1, 10)}
    for number, name in ids.items():
        query = query.replace(f"{{{number}}}", name)
    here.log.keep_first_block(2)
    assert history(here, query) == numbers
    assert here.ask("GET", f"/api/events/history?{query}").json["completeFrom"] == complete_from


def drop_three(here: Server) -> None:
    """Let the first three blocks go, up to event 6."""
    for _ in range(3):
        here.log.drop_first_block()


def overtaken(here: Server, at: int, drop: Callable[[], None]) -> None:
    """Let events go just before a log is read for the so-manieth time."""
    read, reads = here.log.read, 0

    def read_later(*arguments: Any) -> Deferred[Page]:
        nonlocal reads
        reads += 1
        if reads == at:
            drop()
        return read(*arguments)

    here.log.read = read_later  # type: ignore[method-assign]


@pytest.mark.parametrize("at", [1, 2])
def test_a_history_that_is_overtaken_behind_an_event(at: int) -> None:
    """If what follows is dropped while it is read, the event is none any more that is held."""
    here = server()
    overtaken(here, at, lambda: drop_three(here))
    response = here.ask("GET", f"/api/events/history?after={here.log.id_of(1)}")
    assert (response.status, response.code) == (410, "EVENT_ID_EXPIRED")
    assert response.json["details"] == {
        "errors": [{"path": "after", "message": "is no event that the log holds"}],
        "oldest": here.log.id_of(7),
        "newest": here.log.id_of(9),
    }


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(
    ("query", "numbers"),
    [("limit=8", [7, 8, 9]), ("after=earliest", [7, 8, 9]), ("types=task:*", [8])],
)
def test_a_history_that_is_overtaken(query: str, numbers: list[int], at: int) -> None:
    """If events are dropped while they are read, it begins anew with those that there are."""
    here = server()
    overtaken(here, at, lambda: drop_three(here))
    response = here.ask("GET", f"/api/events/history?{query}")
    assert [int(each["id"].split("_")[1]) for each in response.json["events"]] == numbers
    assert response.json["completeFrom"] == 7


def test_a_history_that_is_overtaken_behind_an_event_that_is_kept() -> None:
    """The event is held, so it is answered, and where nothing is missing is told."""
    here = server()
    overtaken(here, 1, lambda: here.log.keep_first_block(2))
    response = here.ask("GET", f"/api/events/history?after={here.log.id_of(1)}")
    numbers = [int(each["id"].split("_")[1]) for each in response.json["events"]]
    assert (numbers, response.json["completeFrom"]) == ([2, 3, 7, 8, 9], 7)


def test_a_history_that_is_overtaken_past_what_is_kept() -> None:
    """Once it is past what running sessions keep, it has no gap, and begins anew instead."""
    here = server([*BLOCKS, *[(ONE, ["log:info"])] * 3])
    here.log.keep_first_block(2)
    overtaken(here, 3, lambda: drop_three(here))
    response = here.ask("GET", "/api/events/history?after=earliest")
    assert [int(each["id"].split("_")[1]) for each in response.json["events"]] == [11, 12]
    assert response.json["completeFrom"] == 11


def test_a_history_that_is_overtaken_before_the_log_says_so() -> None:
    """What a read has found of it is known at the next attempt, also where the bounds lag."""
    here = server()
    read, bounds = here.log.read, here.log.bounds
    drop_three(here)

    def read_before_that_is_told(*arguments: Any) -> Deferred[Page]:
        here.log.bounds = attrs.evolve(bounds, oldest=7, complete_from=7)
        page = read(*arguments)
        here.log.bounds = bounds
        return page

    here.log.bounds = bounds
    here.log.read = read_before_that_is_told  # type: ignore[method-assign]
    response = here.ask("GET", "/api/events/history?after=earliest")
    assert [int(each["id"].split("_")[1]) for each in response.json["events"]] == [7, 8, 9]
    assert response.json["completeFrom"] == 7


def test_a_history_that_is_overtaken_again_and_again() -> None:
    """It is given up, and the same request may succeed later."""
    here = server([(ONE, ["log:info"])] * 40)
    read = here.log.read

    def read_too_late(after: int, *arguments: Any) -> Deferred[Page]:
        while here.log.bounds.oldest <= after + 1:
            here.log.drop_first_block()
        return read(after, *arguments)

    here.log.read = read_too_late  # type: ignore[method-assign]
    response = here.ask("GET", "/api/events/history")
    assert (response.status, response.code) == (503, "SERVICE_UNAVAILABLE")
