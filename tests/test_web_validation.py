"""Tests of :mod:`loki_twisted.web.validation`."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.errors import BadRequest, InvalidRequest
from loki_twisted.model.wire import GiveInput, Request, StartOptions, StartSession
from loki_twisted.web.problems import UnsupportedMediaType
from loki_twisted.web.validation import NoFields, parse_object, read_body

JSON = (b"application/json",)


class Inner(Request, frozen=True, kw_only=True):
    """One text."""

    text: str


class Outer(Request, frozen=True, kw_only=True):
    """Text inside, beside, and in a list."""

    inner: Inner
    text: str
    texts: list[str]


class Words(Request, frozen=True, kw_only=True):
    """A word out of two."""

    word: Literal["one", "two"]


class Moment(Request, frozen=True, kw_only=True):
    """A time, whose form the schema only names."""

    when: datetime


def read(content: bytes, shape: type[Request] = StartSession) -> Request:
    """Read a body that is declared as it should be."""
    return read_body(content, JSON, (), shape)


def faults(content: object, shape: type[Request] = StartSession) -> dict[str, str]:
    """What is said to be wrong, by path."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(InvalidRequest) as caught:
        read(body, shape)
    assert caught.value.details is not None
    errors = caught.value.details["errors"]
    found = {each["path"]: each["message"] for each in errors}
    assert len(found) == len(errors)
    assert str(caught.value).startswith(errors[0]["path"])
    return found


# What is a body


@pytest.mark.parametrize("types", [(), (b"text/plain",), (b"application/x-www-form-urlencoded",)])
def test_no_body_needs_no_type(types: tuple[bytes, ...]) -> None:
    """An empty body stands for an empty object, whatever a client declares it to be."""
    assert read_body(b"", types, (), StartSession) == StartSession()
    assert read_body(b"", types, (), NoFields) == NoFields()


def test_no_body_is_not_enough_where_fields_are_needed() -> None:
    """Then the fields are missing, and named."""
    assert faults(b"", GiveInput) == {"input": "is required"}


@pytest.mark.parametrize(
    "declared",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b'application/json;charset="UTF-8"',
        b"application/json; x=y",
    ],
)
def test_json_may_be_declared_in_several_ways(declared: bytes) -> None:
    """The type's case, a charset that is UTF-8 and other parameters do not matter."""
    assert read_body(b"{}", (declared,), (), StartSession) == StartSession()


@pytest.mark.threat("T1")
@pytest.mark.parametrize(
    "types",
    [
        (),
        (b"",),
        (b"text/plain",),
        (b"text/json",),
        (b"application/jsonp",),
        (b"application/json-patch+json",),
        (b"application/x-www-form-urlencoded",),
        (b"multipart/form-data; boundary=x",),
        (b"application/json; charset=latin-1",),
        (b"application/json; charset=utf-16",),
        (b"application/json, text/plain",),
        (b"text/plain; application/json",),
        (b"application/json", b"application/json"),
        (b"text/plain", b"application/json"),
    ],
)
def test_another_type_is_not_taken(types: tuple[bytes, ...]) -> None:
    """A page of another site can send the types of forms; none of them starts anything."""
    with pytest.raises(UnsupportedMediaType):
        read_body(b"{}", types, (), StartSession)


def test_a_compressed_body_is_not_taken() -> None:
    """Nobody unpacks it, so nobody reads something else in it."""
    with pytest.raises(UnsupportedMediaType):
        read_body(b"{}", JSON, (b"gzip",), StartSession)
    assert read_body(b"{}", JSON, (b"identity",), StartSession) == StartSession()


# What is JSON


@pytest.mark.threat("T23")
@pytest.mark.parametrize(
    "content",
    [
        b"this is not json",
        b" ",
        b"{",
        b"{}{}",
        b"{} x",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 01}',
        b'{"a": .5}',
        b'{"a": +1}',
        b'{"a": 0x1}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": tru}',
        b'{"a": "\n"}',
        b'{"a": "\x00"}',
        b'{"a": "\\x"}',
        b'{"a": "\\u12"}',
        b'{"a": "',
        b"{/* */}",
        b"\xef\xbb\xbf{}",
        b"{}\x00",
        b"\xff",
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xc0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"prompt": "a", "prompt": "b"}',
        b'{"options": {"dryRun": true, "dryRun": false}}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\uDC00\\uD800"}',
        b'{"\\udfff": 1}',
        b'{"a": ' + b"9" * 4301 + b"}",
        b'{"a": -' + b"9" * 5000 + b"}",
        b'{"a":' * 64 + b"{}" + b"}" * 64,
        b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":[' + b"[]," * 1000 + b"1]}",
        b'{"a":[' + b"1," * 1000 + b"1]}",
        b'"' * 1_000_001,
    ],
    ids=lambda content: f"{content[:20]!r}{len(content)}",
)
def test_what_is_no_json_for_everybody_is_not_understood(content: bytes) -> None:
    """Only what every parser reads alike is read, and nothing that costs much to read."""
    with pytest.raises(BadRequest):
        read(content)


def test_what_is_no_json_is_told_in_our_words() -> None:
    """The message helps who wrote the body, and does not speak of our language."""
    for content, words in (
        (b"{'a': 1}", "not JSON: Expecting property name"),
        (b'{"a": ' + b"9" * 4301 + b"}", "too many digits"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": 1, "a": 1}', "names a field twice"),
    ):
        with pytest.raises(BadRequest, match=words):
            read(content)


@pytest.mark.parametrize("content", [b"[]", b"null", b'"x"', b"1", b"true", b"[{}]"])
def test_what_is_no_object_is_not_understood(content: bytes) -> None:
    """A body is always an object."""
    with pytest.raises(BadRequest, match="must be a JSON object"):
        read(content)


@pytest.mark.threat("T23")
def test_the_bounds_are_where_they_are_said_to_be() -> None:
    """64 levels, a thousand values and numbers of 4,300 digits are still JSON."""
    parse_object(b'{"a":' * 63 + b"{}" + b"}" * 63)
    parse_object(b'{"a":[' + b"1," * 997 + b"1]}")
    parse_object(b'{"a":' + b"9" * 4300 + b"}")


def test_no_number_takes_long_to_read() -> None:
    """What is greater than all that is taken is not worked out; it is too great, and told so."""
    for digits in (b"1" + b"0" * 20, b"9" * 4299, b"1e300"):
        for sign, message in ((b"", "must be at most 100"), (b"-", "must be at least -100")):
            with pytest.raises(InvalidRequest, match=f"priority: {message}"):
                read(b'{"priority": ' + sign + digits + b"}")
    with pytest.raises(BadRequest, match="too many digits"):
        read(b'{"priority": 0.' + b"9" * 4300 + b"}")


def test_a_hundred_faults_are_told() -> None:
    """An answer is not greater by far than what it answers."""
    for body in (
        {f"f{number}": 1 for number in range(900)},
        {"command": list(range(900))},
    ):
        with pytest.raises(InvalidRequest) as caught:
            read(json.dumps(body).encode())
        assert len((caught.value.details or {})["errors"]) == 100


def test_what_stands_in_strings_is_not_counted() -> None:
    """A prompt may hold as much program text as it may be long."""
    code = '{["\\",' * 10_000
    body = read(json.dumps({"prompt": code}).encode())
    assert isinstance(body, StartSession)
    assert body.prompt == code


def test_text_comes_through_unchanged() -> None:
    """Characters of all planes, escaped or not."""
    for content in (
        '{"prompt": "é€😀\u2028"}'.encode(),
        b'{"prompt":"\\u00e9\\u20ac\\ud83d\\ude00\\u2028"}',
    ):
        body = read(content)
        assert isinstance(body, StartSession)
        assert body.prompt == "é€😀\u2028"


# What is the right shape


def test_a_right_body_is_decoded() -> None:
    """Names in camelCase become the fields of the declared type."""
    body = read(
        b'{"prdPath": "./p.md", "options": {"dryRun": true, "timeout": 1.0}, "queue": true}'
    )
    assert body == StartSession(
        prd_path="./p.md", options=StartOptions(dry_run=True, timeout=1), queue=True
    )


def test_all_that_can_be_said_of_a_session() -> None:
    """Numbers, switches and a command come through as they are."""
    body = read(
        b'{"provider": "command", "command": ["make", ""], "priority": -100,'
        b' "options": {"direct": true, "stayOpen": true, "budgetUsd": 1, "maxTokens": 5000}}'
    )
    assert body.command == ["make", ""]
    assert body.priority == -100
    assert (body.options.direct, body.options.stay_open) == (True, True)
    assert (body.options.budget_usd, body.options.max_tokens) == (1.0, 5000)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """Unknown fields, wrong types, bounds and patterns, at the top and inside, each by its path."""
    found = faults(
        {
            "prdPath": 5,
            "prompt": "",
            "provider": "A",
            "queue": "yes",
            "options": {"dryRun": "false", "timeout": 0, "zz": 1},
            "nope": {"deep": [1]},
            "prd_path": "x",
        }
    )
    assert found == {
        "prdPath": "must be a string or null",
        "prompt": "must have at least 1 character(s)",
        "provider": "must match ^[a-z][a-z0-9_-]{0,31}$",
        "queue": "must be true or false",
        "options.dryRun": "must be true or false",
        "options.timeout": "must be at least 1",
        "options.zz": "is not known",
        "nope": "is not known",
        "prd_path": "is not known",
    }


@pytest.mark.parametrize(
    ("content", "path", "message"),
    [
        ({"options": None}, "options", "must be an object"),
        ({"options": []}, "options", "must be an object"),
        ({"options": {"timeout": 2_592_000_001}}, "options.timeout", "must be at most 2592000000"),
        ({"options": {"timeout": 1.5}}, "options.timeout", "must be an integer or null"),
        ({"options": {"timeout": True}}, "options.timeout", "must be an integer or null"),
        ({"options": {"timeout": "1"}}, "options.timeout", "must be an integer or null"),
        ({"prompt": "x" * 100_001}, "prompt", "must have at most 100000 characters"),
        (b'{"options": {"timeout": 1e400}}', "options.timeout", "must be at most 2592000000"),
        (b'{"options": {"timeout": 99999999999999999999}}', "options.timeout", "at most"),
        ({"prompt": "a\0b"}, "prompt", "must not hold a NUL character"),
        ({"provider": "claude\n"}, "provider", "must match ^[a-z]"),
        ({"model": "opus\n"}, "model", "must match ^[A-Za-z0-9]"),
        ({"options": {"budgetUsd": 0}}, "options.budgetUsd", "must be more than 0"),
        ({"options": {"maxTokens": 0}}, "options.maxTokens", "must be at least 1"),
        ({"priority": 101}, "priority", "must be at most 100"),
        ({"command": []}, "command", "must have at least 1 item(s)"),
        ({"command": ["x"] * 65}, "command", "must have at most 64 items"),
        ({"command": "make"}, "command", "must be an array or null"),
        ({"command": ["make", 1]}, "command.1", "must be a string"),
        ({"command": ["make", "a\0"]}, "command.1", "must not hold a NUL character"),
        ({"command": ["x" * 30_001]}, "command.0", "must have at most 30000 characters"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_faults_are_told_in_words(content: object, path: str, message: str) -> None:
    """Each kind of fault says what is wanted, and never repeats what came."""
    ((found, said),) = faults(content).items()
    assert found == path
    assert message in said
    assert len(said) < 100


def test_a_nul_inside_is_found_by_its_path() -> None:
    """NUL characters end strings in files and commands; none gets through, however deep."""
    content = {"inner": {"text": "\0"}, "text": "a\0", "texts": ["", "\0"]}
    assert set(faults(content, Outer)) == {"inner.text", "text", "texts.1"}


def test_a_body_without_fields_has_none() -> None:
    """Where no field is declared an empty object is right, and any field is unknown."""
    assert read(b"{}", NoFields) == NoFields()
    assert faults({"force": True}, NoFields) == {"force": "is not known"}


def test_words_of_an_enumeration_are_named() -> None:
    """The message for a wrong word lists the right ones."""
    assert faults({"word": "three"}, Words) == {"word": "must be one of one, two"}


def test_what_only_the_decoder_finds_is_told_too() -> None:
    """A fault that the schema does not know of is told by the words of the decoder."""
    assert list(faults({"when": "yesterday"}, Moment)) == ["when"]


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(["prdPath", "provider", "options", "prompt", "queue", "model", "x"])


@given(st.dictionaries(names, json_values, max_size=7))
def test_any_object_is_read_or_every_fault_has_a_path(content: dict[str, Any]) -> None:
    """Whatever is put into the fields: it is read, or what is wrong is named; nothing else."""
    errors: list[dict[str, str]] | None = None
    try:
        body = read(json.dumps(content).encode())
    except InvalidRequest as error:
        errors = (error.details or {})["errors"]
    if errors is None:
        assert isinstance(body, StartSession)
    else:
        assert errors
        assert all(each["path"].split(".")[0] in content for each in errors)
        assert all(each["message"] for each in errors)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """No bytes make the reader fail in another way than those that are answered."""
    with contextlib.suppress(BadRequest, InvalidRequest):
        read(content, GiveInput)
