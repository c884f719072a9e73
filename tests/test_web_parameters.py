"""Tests of :mod:`loki_twisted.web.parameters`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.errors import BadRequest, InvalidRequest
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.web.parameters import (
    Parameter,
    integer,
    moment,
    one_of,
    read_parameters,
    some_of,
    text,
)

LIMIT = integer("limit", "", least=1, most=1000, default=100)
STATUS = some_of("status", "", SessionStatus)
NAME = text("someName", "", pattern="[a-z]{1,4}", expected="a short name")
IN_HEADER = text("X-Name", "", pattern="[a-z]+", expected="a name", place="header", argument="x")
ALL = (LIMIT, STATUS, NAME)


def faults(query: bytes, declared: tuple[Parameter, ...] = ALL) -> list[tuple[str, str]]:
    """What is said to be wrong: pairs of path and message."""
    with pytest.raises(InvalidRequest) as caught:
        read_parameters(b"/x?" + query, {}, declared)
    assert caught.value.details is not None
    return [(each["path"], each["message"]) for each in caught.value.details["errors"]]


def test_what_is_not_given_has_its_default() -> None:
    """With no query, and with an empty one, every parameter has its default."""
    expected = {"limit": 100, "status": None, "some_name": None}
    assert read_parameters(b"/x", {}, ALL) == expected
    assert read_parameters(b"/x?", {}, ALL) == expected


def test_what_is_given_is_read() -> None:
    """Numbers, enumerations with commas and texts, escaped or not."""
    assert read_parameters(b"/x?limit=7&status=running,%70aused&someName=ab", {}, ALL) == {
        "limit": 7,
        "status": frozenset({SessionStatus.RUNNING, SessionStatus.PAUSED}),
        "some_name": "ab",
    }


@pytest.mark.parametrize(
    "value",
    [b"abc", b"", b"1.5", b"1e2", b"0x10", b"+1", b"%201", b"1%20", b"%D9%A1", b"9" * 40, b"1,2"],
)
def test_what_is_no_whole_number_is_told(value: bytes) -> None:
    """Python reads more as a number than a client may send as one."""
    assert faults(b"limit=" + value) == [("limit", "must be a whole number")]


@pytest.mark.parametrize("value", [b"0", b"-1", b"1001", b"999999999999999999"])
def test_what_is_out_of_range_is_told(value: bytes) -> None:
    """The bounds are named."""
    assert faults(b"limit=" + value) == [("limit", "must be from 1 to 1000")]


@pytest.mark.parametrize("value", [b"", b"nonsense", b"RUNNING", b"running,", b"running,,paused"])
def test_what_is_no_member_is_told(value: bytes) -> None:
    """All the members are named."""
    ((path, message),) = faults(b"status=" + value)
    assert path == "status"
    assert all(each.value in message for each in SessionStatus)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """Unknown names, doubles, bad numbers, bad words and bad texts, each by its name."""
    found = faults(b"limit=a&limit=1&status=x&someName=ABC&nope=1&limt=5")
    assert [path for path, _ in found] == ["nope", "limt", "limit", "status", "someName"]
    assert dict(found)["limit"] == "is given more than once"
    assert dict(found)["nope"] == "is no parameter of this route"
    assert dict(found)["someName"] == "must be a short name"


def test_names_have_one_spelling() -> None:
    """A parameter in another case is another parameter, and unknown."""
    assert faults(b"Limit=5") == [("Limit", "is no parameter of this route")]
    assert faults(b"some_name=a") == [("some_name", "is no parameter of this route")]


def test_a_reader_may_have_several_complaints() -> None:
    """What a reader of a list finds wrong is told with its own words, beside the others."""

    def read(given: str) -> object:
        raise InvalidRequest.of([("types", f"{each!r} is none") for each in given.split(",")])

    types = Parameter(name="types", argument="types", description="", read=read, schema={})
    assert faults(b"types=a,b&x=1", (types,)) == [
        ("x", "is no parameter of this route"),
        ("types", "'a' is none"),
        ("types", "'b' is none"),
    ]


def test_a_header_is_read_like_a_parameter_but_from_its_place() -> None:
    """It is checked in the same way, a parameter of its name is unknown, and the last counts."""
    declared = (LIMIT, IN_HEADER)
    assert read_parameters(b"/x", {"X-Name": ["ab"]}, declared) == {"limit": 100, "x": "ab"}
    assert read_parameters(b"/x", {"X-Name": []}, declared) == {"limit": 100, "x": None}
    assert faults(b"X-Name=ab", declared) == [("X-Name", "is no parameter of this route")]
    assert read_parameters(b"/x", {"X-Name": ["?", "ab"]}, declared) == {"limit": 100, "x": "ab"}
    assert read_parameters(b"/x", {"X-Name": ["ab", ""]}, declared) == {"limit": 100, "x": "ab"}
    with pytest.raises(InvalidRequest, match="X-Name"):
        read_parameters(b"/x", {"X-Name": ["ab", "?"]}, declared)


@pytest.mark.parametrize("query", [b"someName=%ff", b"%ff=1", b"someName=%ed%a0%80"])
def test_a_query_that_is_no_text_is_not_understood(query: bytes) -> None:
    """Bytes that are not UTF-8 are refused and not replaced."""
    with pytest.raises(BadRequest, match="UTF-8"):
        read_parameters(b"/x?" + query, {}, ALL)


@pytest.mark.threat("T22")
def test_a_query_of_very_many_parameters_is_not_looked_at() -> None:
    """The work that a query can cause is bounded."""
    assert len(faults(b"&".join(b"p%d=1" % n for n in range(50)))) == 50
    with pytest.raises(BadRequest, match="more than 50"):
        read_parameters(b"/x?" + b"&" * 51, {}, ALL)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80))
def test_any_query_is_read_or_refused(query: str) -> None:
    """No query makes the reader fail in another way."""
    try:
        values = read_parameters(b"/x?" + query.encode(), {}, ALL)
    except (BadRequest, InvalidRequest):
        return
    limit = values["limit"]
    assert isinstance(limit, int)
    assert 1 <= limit <= 1000


ORDER = one_of("order", "", SessionStatus, default=SessionStatus.QUEUED)
SINCE = moment("since", "")


def test_one_member() -> None:
    """A member is read by its value, and there is one if none is given."""
    assert read_parameters(b"/x?order=paused", {}, (ORDER,)) == {"order": SessionStatus.PAUSED}
    assert read_parameters(b"/x", {}, (ORDER,)) == {"order": SessionStatus.QUEUED}
    for value in (b"", b"PAUSED", b"paused,running"):
        ((_, message),) = faults(b"order=" + value, (ORDER,))
        assert all(each.value in message for each in SessionStatus)


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (b"1970-01-02", 86_400_000),
        (b"1970-01-01T00:00:01Z", 1_000),
        (b"1970-01-01T00:00:01.5Z", 1_500),
        (b"2026-11-23T22:43:11.042Z", 1_795_473_791_042),
        (b"1969-12-31", -86_400_000),
    ],
)
def test_a_moment(value: bytes, milliseconds: int) -> None:
    """A day is its beginning in UTC, and a time is itself."""
    assert read_parameters(b"/x?since=" + value, {}, (SINCE,)) == {"since": milliseconds}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"now",
        b"20261123",
        b"2026-11-31",
        b"2026-02-29",
        b"1900-02-29",
        b"0000-01-01",
        b"2026-11-23T25:00:00Z",
        b"2026-11-23T22:43:11",
        b"2026-11-23T22:43Z",
        b"2026-11-23T22:43:11%2B01:00",
        b"2026-W48-1",
        b"2026-11-23%0A",
    ],
)
def test_what_is_no_moment(value: bytes) -> None:
    """What a clock does not show, or whose zone is not told, is no time."""
    ((path, message),) = faults(b"since=" + value, (SINCE,))
    assert path == "since"
    assert message.startswith("must be a day, or a time with a Z")
