"""What people call sessions and questions, the answers that they give, and times that they name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from loki_twisted.command.colours import Palette
from loki_twisted.command.moments import place_before, read_moment
from loki_twisted.command.names import NoSuchName, choose, short
from loki_twisted.command.questions import choose_question, question_lines, read_answer
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.inputs import Input, InputKind, Option
from loki_twisted.model.timestamps import iso_from_ms, ms_from_iso
from tests.client_fakes import Played

NEW = "session_1795473791042_4fe1a2b3"
OLD = "session_1795400000000_4f000000"
IDS = [NEW, OLD, "run-of-mine"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (NEW, NEW),
        ("latest", NEW),
        ("session_17954737", NEW),
        ("4fe1", NEW),
        ("4f0", OLD),
        ("run", "run-of-mine"),
    ],
)
def test_names_that_mean_one(name: str, meant: str) -> None:
    """A session is meant by its id, the beginning of that or of its end, or as the latest."""
    assert choose(name, IDS) == meant


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("4f", r"'4f' fits 2 sessions \(4fe1a2b3, 4f000000\); give more of its id"),
        ("session_", "fits 2 sessions"),
        ("nothing", "There is no session 'nothing'; see which there are: lokictl ps"),
    ],
)
def test_names_that_mean_none(name: str, told: str) -> None:
    """A name that means none or several is told as such, with what to do."""
    with pytest.raises(NoSuchName, match=told):
        choose(name, IDS)
    with pytest.raises(NoSuchName, match="There is no session 'latest'"):
        choose("latest", [])


@given(st.lists(st.from_regex(r"session_[0-9]{13}_[0-9a-f]{8}", fullmatch=True), unique=True))
def test_whole_ids_are_names(ids: list[str]) -> None:
    """Every id means itself, whichever others there are; so does its end, if it is the only one."""
    ends = [short(each) for each in ids]
    for each in ids:
        assert choose(each, ids) == each
        if ends.count(short(each)) == 1:
            assert choose(short(each), ids) == each


def asks(**fields: Any) -> Input:
    told = {"id": "input_1795473791042_1f2e3d4c", "session_id": NEW, **fields}
    created = "2026-11-23T22:43:11.042Z"
    return Input(kind=InputKind.QUESTION, prompt="Which?", created_at=created, **told)


OPTIONS = (
    Option(value="allow", label="Yes, do"),
    Option(value="deny", label="No"),
    Option(value="1", label="The first"),
)


@pytest.mark.parametrize(
    ("asked", "words", "answer"),
    [
        (asks(options=OPTIONS), "allow", "allow"),
        (asks(options=OPTIONS), "yes, DO", "allow"),
        (asks(options=OPTIONS), "2", "deny"),
        (asks(options=OPTIONS), "1", "1"),
        (asks(options=OPTIONS, multiple=True), "no", ["deny"]),
        (asks(options=OPTIONS, multiple=True), "allow, 2", ["allow", "deny"]),
        (asks(options=OPTIONS, takes_text=True), "as you like", "as you like"),
        (asks(options=OPTIONS, takes_text=True, multiple=True), "allow perhaps", "allow perhaps"),
        (asks(), "7", "7"),
    ],
)
def test_answers(asked: Input, words: str, answer: object) -> None:
    """An answer is the value, the label or the number of an option, or words where they are one."""
    assert read_answer(asked, words.split(" ")) == answer


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (asks(options=OPTIONS), "perhaps"),
        (asks(options=OPTIONS), "4"),
        (asks(options=OPTIONS), "0"),
        (asks(options=OPTIONS), "allow deny"),
        (asks(options=OPTIONS, multiple=True), "allow perhaps"),
        (asks(), "  "),
    ],
)
def test_what_is_no_answer(asked: Input, words: str) -> None:
    """Of what is none of the answers it is said which there are."""
    with pytest.raises(InvalidRequest, match="is none of the answers"):
        read_answer(asked, [words])


def test_which_question_is_meant() -> None:
    """A question is meant by its id, a part of that, or the session that asks, if that is one."""
    other = asks(id="input_1795473791042_1f000000", session_id=OLD)
    both = [asks(), other]

    for name in (other.id, OLD, "1f0", "4f0"):
        assert choose_question(name, both) is other
    with pytest.raises(NoSuchName, match="fits 2 questions; name one: 1f2e3d4c, 1f000000"):
        choose_question("1f", both)


def test_a_question_in_words() -> None:
    """A question is told with all that one needs to answer it; nothing in it steers a terminal."""
    asked = asks(
        options=(Option(value="allow", label="Allow", description="just \x1b[1monce"),),
        details={"tool": "Bash", "arguments": {"command": "rm -r\x1b[2J build"}, "options": []},
        takes_text=True,
        default="allow",
        expires_at="2026-11-23T22:44:11.042Z",
    )

    assert question_lines(asked, ms_from_iso(asked.created_at), Palette()) == [
        "1f2e3d4c question by 4fe1a2b3 (1m left)",
        "  Which?",
        "  tool: Bash",
        '  arguments: {"command": "rm -r\\u001b[2J build"}',
        "    1 allow - just  [1monce - (default)",
        "    or any words",
    ]


def test_whatever_is_called_an_id_steers_nothing() -> None:
    """What a server says is the id of a question, or of its session, is no more trusted."""
    asked = asks(id="\x1b]52;c;aGk=\x07", session_id="\x9b2J\x1b[2J")

    assert question_lines(asked, 0, Palette())[0] == "]52;c;aGk= question by  2J [2J"


NOW = datetime(2026, 11, 26, 12, 0).astimezone()
NOW_MS = round(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "seconds_ago"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86_400),
        ("11:30", 1800),
        ("11:30:30", 1770),
        ("12:30", 86_400 - 1800),
        ("2026-11-26T11:00:00", 3600),
    ],
)
def test_moments(text: str, seconds_ago: int) -> None:
    """A time is so long ago, or what the clock on the wall showed last, or a local time."""
    assert read_moment(text, NOW_MS) == NOW_MS - seconds_ago * 1000


def test_moments_of_everybody() -> None:
    """A day begins where it does in UTC; a time with an offset is what it says."""
    assert read_moment("2026-11-26", NOW_MS) == ms_from_iso("2026-11-26T00:00:00Z")
    assert read_moment("2026-11-26T01:00+01:00", NOW_MS) == ms_from_iso("2026-11-26T00:00:00Z")
    assert read_moment("999999999d", NOW_MS) == 0


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "2026-13-01", "-5m", "1600-01-01", "5"])
def test_what_is_no_moment(text: str) -> None:
    """What is no time is told with some that are."""
    with pytest.raises(ValueError, match="is no time; give one like 10m"):
        read_moment(text, NOW_MS)


def told(*numbers: int) -> dict[str, Any]:
    """Events of the history, one a second."""
    events = [
        {
            "id": f"evt_{number}_{number * 1000}",
            "type": "log:info",
            "timestamp": iso_from_ms(number * 1000),
            "sessionId": "s",
            "data": {},
        }
        for number in numbers
    ]
    return {"events": events, "count": len(events)}


GONE = {"error": "no such event", "code": "EVENT_ID_EXPIRED", "details": None}


@pytest.mark.parametrize(
    ("newest", "since", "before", "place"),
    [
        ("evt_9_9000", told(4), (200, told(3)), "evt_3_3000"),
        ("evt_9_9000", told(1), (200, told()), "earliest"),
        ("evt_9_9000", told(), None, "evt_9_9000"),
        (None, told(), None, "evt_0_0"),
        ("evt_9_9000", told(4), (410, GONE), "earliest"),
    ],
)
def test_where_a_moment_lies(
    newest: str | None, since: Any, before: tuple[int, Any] | None, place: str
) -> None:
    """The place is behind the event before the first of that time, however long the past is."""
    played = Played()
    answers = played.server.answers
    answers["GET", "/api/events/stats"] = (
        200,
        {
            "subscribers": 0,
            "historySize": 9,
            "oldestEventId": None,
            "newestEventId": newest,
            "eventsPerSecond": 0.0,
            "lag": 0,
        },
    )
    base = "/api/events/history?limit=1"
    answers["GET", f"{base}&since=1970-01-01T00%3A00%3A03.500Z"] = (200, since)
    if before is not None:
        answers["GET", f"{base}&before={since['events'][0]['id']}"] = before
    found: list[str] = []

    Deferred.fromCoroutine(place_before(played.client, 3_500)).addCallback(found.append)
    for _ in range(3):
        played.flush()

    assert found == [place]
    assert len(played.server.asked) == (2 if before is None else 3)
