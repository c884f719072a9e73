"""Tests of JSON-RPC over lines."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.providers.jsonrpc import (
    Call,
    Calls,
    Failure,
    Notification,
    Request,
    Response,
    failure_line,
    maybe_message,
    notification_line,
    request_line,
    result_line,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"method":"a","params":{"b":1}}', Notification("a", {"b": 1})),
        ('{"jsonrpc":"2.0","method":"a"}', Notification("a", {})),
        ('  {"id":"x","method":"a","params":[1]}', Request("x", "a", {})),
        ('{"id":7,"method":"a","result":1}', Request(7, "a", {})),
        ('{"id":7,"result":{"b":1}}', Response(7, {"b": 1})),
        ('{"id":7,"result":null}', Response(7, {})),
        ('{"id":7,"result":null,"error":null}', Response(7, {})),
        ('{"id":7,"error":{"code":-1,"message":"no"}}', Failure(7, -1, "no")),
        ('{"id":7,"error":{"code":"x"}}', Failure(7, 0, "It gave no reason.")),
        ('{"id":7,"error":"no"}', Failure(7, 0, "no")),
    ],
)
def test_lines(line: str, message: object) -> None:
    """What a line is, is seen by its members, whether it names its version or not."""
    assert maybe_message(line) == message


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Hello",
        "[]",
        "{",
        "{}",
        '[{"method":"a"}]',
        '{"id":7}',
        '{"id":"7","result":{}}',
        '{"id":true,"result":{}}',
        '{"id":null,"method":"a"}',
        '{"id":1.5,"method":"a"}',
        '{"id":123456789012345678901234567890,"method":"a"}',
        '{"method":7}',
        '{"method":"\ud800"}',
        '{"method":"a\0"}',
        '{"a":' * 10_000,
        '{"method":"a","params":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_lines_that_are_none(line: str) -> None:
    """All else is no message, and breaks nothing."""
    assert maybe_message(line) is None


@given(JSON)
def test_any_object(value: object) -> None:
    """No JSON whatsoever is an error."""
    for line in (json.dumps(value), json.dumps({"id": value, "method": "a"})):
        maybe_message(line)
    for member in ("method", "params", "result", "error", "id"):
        maybe_message(json.dumps({"id": 1, "method": "a", member: value}))


@pytest.mark.parametrize("named", [False, True])
def test_what_is_written_can_be_read(named: bool) -> None:
    """Each kind of line reads as what it was written as, with its version or without."""
    lines = {
        request_line(1, "a", {"b": 1}, named=named): Request(1, "a", {"b": 1}),
        notification_line("a", named=named): Notification("a", {}),
        notification_line("a", {"b": 1}, named=named): Notification("a", {"b": 1}),
        result_line(1, {"b": 1}, named=named): Response(1, {"b": 1}),
        result_line(1, msgspec.Raw(b'{"b":1}'), named=named): Response(1, {"b": 1}),
        failure_line(1, -32601, "no", named=named): Failure(1, -32601, "no"),
    }
    for line, message in lines.items():
        assert line.endswith("\n")
        assert line.count("\n") == 1
        assert ("jsonrpc" in json.loads(line)) is named
        assert maybe_message(line) == message


def test_ids_count_up() -> None:
    """No id is used twice, also where a request was answered in between."""
    calls = Calls().with_call(Call("a")).with_call(Call("b"))
    assert calls.open == {1: Call("a"), 2: Call("b")}
    calls = calls.without(1).without(2).without(7).with_call(Call("c"))
    assert calls == Calls(3, {3: Call("c")})


def test_calls_are_remembered() -> None:
    """What was written down of them reads as it was."""
    calls = Calls().with_call(Call("a", "m1", "text")).with_call(Call("b"))
    assert msgspec.json.decode(msgspec.json.encode(calls), type=Calls) == calls


@pytest.mark.promise("R27")
def test_a_long_answer_is_read_in_part() -> None:
    """Of a result of megabytes what is short is read, also in its objects, and the rest is not."""
    turns = [{"items": ["x"] * 1000}] * 1000
    thread = {"id": "t", "turns": turns, "more": {"deep": {"turns": turns}, "id": 1}}
    found = maybe_message(json.dumps({"id": 1, "result": {"thread": thread, "model": "m"}}))
    read = {"id": "t", "turns": {}, "more": {}}
    assert found == Response(1, {"thread": read, "model": "m"})
    assert maybe_message(json.dumps({"id": 1, "result": turns})) == Response(1, {})
