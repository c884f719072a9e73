"""Filters: sets of events, in words and as parameters of the API."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.events import EVENT_TYPES, KIND_OF_TYPE, LOG_LEVELS
from loki_twisted.model.filters import EVERY_KIND, EVERYTHING, EventFilter
from loki_twisted.web.routes import every_operation

LOGS = {f"log:{level}" for level in LOG_LEVELS}


def types_of(wanted: EventFilter) -> set[str]:
    return {name for name in EVENT_TYPES if wanted.wants("any", KIND_OF_TYPE[name])}


def read_by_the_server(parameters: dict[str, str]) -> EventFilter:
    """What the route of the stream makes of parameters."""
    [stream] = [each for each in every_operation() if each.path == "/api/events"]
    reads = {each.name: each.read for each in stream.parameters}
    read = {name: reads[name](value) for name, value in parameters.items()}
    mask = read.get("types", EVERY_KIND) & read.get("minLevel", EVERY_KIND)
    return EventFilter(read.get("sessionId"), mask)


def test_who_says_nothing_gets_everything() -> None:
    """A filter of no words leaves nothing out, and needs no parameters."""
    assert EventFilter.of() == EVERYTHING
    assert types_of(EventFilter.of()) == set(EVENT_TYPES)
    assert EVERYTHING.as_parameters() == {}
    assert EventFilter.of(min_level="debug").as_parameters() == {}


def test_words() -> None:
    """Types, groups of types and levels each leave out the others."""
    wanted = EventFilter.of("s", ["log:*", "task:failed"], "warn")

    assert types_of(EventFilter.of(types=["log:*"])) == LOGS
    assert types_of(EventFilter.of(min_level="error")) == {*EVENT_TYPES} - LOGS | {"log:error"}
    assert wanted.session_id == "s"
    assert EventFilter(None, wanted.mask) == EventFilter.of(
        types=["log:warn", "log:error", "task:failed"]
    )


@pytest.mark.parametrize(
    ("types", "level", "paths"),
    [
        (["task:*", "nonsense", "task"], None, ["types", "types"]),
        (["heartbeat:*"], None, ["types"]),
        ([], "loud", ["minLevel"]),
    ],
)
def test_words_that_mean_nothing(types: list[str], level: str | None, paths: list[str]) -> None:
    """Each type that is none is named, and so is a level."""
    with pytest.raises(InvalidRequest) as refused:
        EventFilter.of(types=types, min_level=level)

    assert [each["path"] for each in refused.value.details["errors"]] == paths


@pytest.mark.parametrize(
    ("wanted", "parameters"),
    [
        (EventFilter.of("s"), {"sessionId": "s"}),
        (EventFilter.of("s", min_level="warn"), {"sessionId": "s", "minLevel": "warn"}),
        (EventFilter.of(types=["task:*"]), {"types": "task:*"}),
        (EventFilter.of(types=["metrics:*", "heartbeat"]), {"types": "metrics:update,heartbeat"}),
        (EventFilter.of(types=["log:*", "agent:output"]), {"types": "agent:output,log:*"}),
        (EventFilter.of(types=["log:*"], min_level="error"), {"types": "log:error"}),
        (EventFilter(mask=0), {"types": "log:debug", "minLevel": "error"}),
    ],
)
def test_the_shortest_parameters(wanted: EventFilter, parameters: dict[str, str]) -> None:
    """Levels and groups are said as such, because a newer server may have more types."""
    assert wanted.as_parameters() == parameters


@given(
    st.none() | st.just("session_1_ab"),
    st.integers(0, EVERY_KIND)
    | st.lists(st.sampled_from([f"{name.split(':')[0]}:*" for name in EVENT_TYPES if ":" in name]))
    .map(lambda groups: EventFilter.of(types=groups).mask),
)  # fmt: skip
def test_the_server_reads_what_was_meant(session_id: str | None, mask: int) -> None:
    """The parameters of any filter give the same filter again, also of one that wants nothing."""
    wanted = EventFilter(session_id, mask)

    assert read_by_the_server(wanted.as_parameters()) == wanted
