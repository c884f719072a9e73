"""What is asked for: streams, sessions that stand elsewhere or nowhere, limits. B61 to B76."""

from __future__ import annotations

from itertools import product
from typing import Any

from tests.bad_input.cases import ENDED, KEY, RUNNING, asked, get, joined, post, row

_ONE = b"/api/sessions/"
_ORDERS = (b"/stop", b"/pause", b"/resume", b"/interrupt")
_HUGE = b"9" * 30
_NO_NUMBERS = (
    b"",
    b"abc",
    b"1.5",
    b"1e3",
    b"0x10",
    b"%2B1",
    b"+1",
    b"%201",
    b"1%00",
    b"NaN",
    b"Infinity",
    b"%EF%BC%91",
    b"1,2",
    b"true",
    b"null",
    b"9" * 5000,
)
_NO_MOMENTS = (
    *(b"", b"yesterday", b"10m", b"14:30", b"2026-02-30", b"2026-11-23T22:43:11", b"1795478400000"),
    *(b"-1", b"2026-11-23T22:43:11%2B01:00", b"%EF%BC%92026-11-23", b"2026-11-23%00", _HUGE),
)
_NO_IDS = (b"", b"abc", b"-1", b"evt_", b"evt_0_1", b"evt_-1_1", b"evt_01_1", b"evt_1", _HUGE)


def _wanted(**fields: Any) -> bytes:
    return post(b"/api/sessions", fields)


def _options(**fields: Any) -> bytes:
    return _wanted(options=fields)


def _input(**fields: Any) -> bytes:
    return post(_ONE + RUNNING + b"/input", fields)


CASES = joined(
    # A browser that comes back is never answered with an error: it would stay away for good.
    row(
        "B61",
        200,
        None,
        *(
            get(b"/api/events", b"Last-Event-ID: " + value)
            for value in (
                b"abc",
                b"-1",
                _HUGE,
                b"evt_0_1",
                b"evt_99999_1",
                b"evt_%s_1" % _HUGE,
                b"evt_1_1; x",
                b"x" * 10_000,
                b"\xff\xfe",
                b"<script>",
            )
        ),
        begins=b"event: stream:reset\n",
    ),
    row("B61", 200, None, get(b"/api/events", b"Last-Event-ID:"), begins=b": connected"),
    row(
        "B62",
        422,
        "VALIDATION_ERROR",
        *(
            get(b"/api/events?lastEventId=" + value)
            for value in (b"", b"%00", b"%0a", b"a%0Ab", b"%C3%A9", b"x" * 257, b"x&lastEventId=x")
        ),
        get(b"/api/events?last_event_id=1"),
        get(b"/api/events?Last-Event-ID=1"),
    ),
    row(
        "B63",
        422,
        "VALIDATION_ERROR",
        *(get(b"/api/events?history=" + value) for value in (*_NO_NUMBERS, b"-1", b"10001", _HUGE)),
        *(
            get(b"/api/events/history?" + name + b"=" + value)
            for name, value in product((b"after", b"before"), _NO_IDS)
        ),
        get(b"/api/events/history?before=earliest"),
        get(b"/api/events/history?after=EARLIEST"),
        *(get(b"/api/events/history?since=" + value) for value in _NO_MOMENTS),
        get(b"/api/events/history?since=2026-11-01&after=earliest"),
    ),
    row(
        "B63",
        410,
        "EVENT_ID_EXPIRED",
        get(b"/api/events/history?after=evt_99999_1"),
        get(b"/api/events/history?before=evt_1_1"),
    ),
    row(
        "B64",
        422,
        "VALIDATION_ERROR",
        *(
            get(target + b"?limit=" + value)
            for target in (b"/api/events/history", b"/api/tasks", b"/api/sessions", b"/api/usage")
            for value in (*_NO_NUMBERS, b"-1", b"0", b"1001", _HUGE)
        ),
        *(
            get(target + b"?offset=" + value)
            for target in (b"/api/tasks", b"/api/sessions", b"/api/usage")
            for value in (b"", b"abc", b"-5", b"-0.1", _HUGE, b"1&offset=1")
        ),
        *(
            get(target + b"?types=" + value)
            for target in (b"/api/events", b"/api/events/history")
            for value in (b"", b",", b"x", b"task", b"*", b"task:*,x", b"session:started,", b"%00")
        ),
        *(
            get(target + b"?minLevel=" + value)
            for target in (b"/api/events", b"/api/events/history")
            for value in (b"", b"INFO", b"trace", b"info,warn", b"1")
        ),
        *(
            get(target + b"?sessionId=" + value)
            for target in (b"/api/events", b"/api/events/history", b"/api/usage")
            for value in (b"", b"..", b"a/b", b"a.b", b"x" * 65, b"'%20OR%201=1", b"%C3%A9")
        ),
        *(
            get(b"/api/tasks?" + query)
            for query in (
                b"status=done",
                b"status=",
                b"status=running,",
                b"status=RUNNING",
                b"after=x",
                b"after=",
                b"x=1",
                b"Limit=1",
                b"limit",
                b"=1",
                b"limit=1;offset=2",
                b"limit[]=1",
            )
        ),
        get(b"/api/usage?by=x"),
        *(get(b"/api/usage?since=" + value) for value in _NO_MOMENTS),
        get(b"/api/usage?until=2026-02-30"),
        get(b"/api/usage?projectDir=relative"),
        get(b"/api/sessions?provider=..%2f.."),
        get(b"/api/sessions?status=gone"),
        get(_ONE + RUNNING + b"/output?after=999999999"),
        get(_ONE + RUNNING + b"/output?stream=stdin"),
        get(_ONE + RUNNING + b"/output?follow=1"),
        get(b"/health/live?x=1"),
        get(b"/openapi.json?callback=x"),
    ),
    row(
        "B64",
        400,
        "BAD_REQUEST",
        get(b"/api/tasks?limit=%ff"),
        get(b"/api/tasks?%ff=1"),
        get(b"/api/events/history?types=%ed%a0%80"),
    ),
    row(
        "B66",
        404,
        "SESSION_NOT_FOUND",
        *(asked(b"POST", _ONE + b"none" + order) for order in _ORDERS),
        asked(b"DELETE", _ONE + b"none"),
        post(_ONE + b"none/input", {"input": "x"}),
        post(_ONE + b"none/inputs/1", {"answer": "x"}),
        post(_ONE + b"none/continue", {"message": "x"}),
    ),
    row(
        "B66",
        404,
        "NOT_FOUND",
        post(_ONE + RUNNING + b"/inputs/none", {"answer": "x"}),
    ),
    row(
        "B67",
        409,
        "CONFLICT",
        post(_ONE + ENDED + b"/input", {"input": "x"}),
        post(_ONE + ENDED + b"/input", {"input": "x", "delivery": "now"}),
    ),
    row(
        "B68",
        422,
        "VALIDATION_ERROR",
        _input(),
        _input(input=""),
        _input(input=None),
        _input(input=1),
        _input(input=["x"]),
        _input(input={"x": 1}),
        _input(input="x" * 100_001),
        _input(input="x", context="x" * 100_001),
        _input(input="x", delivery="later"),
        _input(input="x", delivery=None),
        _input(input="x", more="x"),
        _input(Input="x"),
        asked(b"POST", _ONE + RUNNING + b"/input"),
    ),
    row(
        "B69",
        422,
        "VALIDATION_ERROR",
        *(
            _wanted(prdPath=path)
            for path in (
                "../../etc/passwd",
                "/etc/passwd",
                "/etc/../etc/passwd",
                "outside/passwd",  # through a link
                "/dev/zero",
                "/proc/self/environ",
                ".",
                "..",
                "~/x",
                "none.md",
                "",
                "x" * 4097,
                "file:///etc/passwd",
                "C:\\x",
            )
        ),
        *(
            _wanted(projectDir=path)
            for path in ("/", "/etc", "..", "outside", "none", "", "~", "x" * 4097, "prd.md")
        ),
    ),
    row(
        "B70",
        422,
        "VALIDATION_ERROR",
        *(_wanted(prdPath=path) for path in ("--bg", "-x", "--", "--dangerous-flag=1", "-")),
        *(_wanted(provider=name) for name in ("../x", "Claude", "claude;id", "--x", "", "none")),
        *(_wanted(model=name) for name in ("--x", "-m", "a b", "$(id)", "", "x" * 129)),
        _wanted(command=["touch", "F"]),
        _wanted(provider="demo", command=["touch", "F"]),
        _wanted(provider="command", command=["touch", "F"]),
        _wanted(command=[]),
        _wanted(command="touch F"),
        _wanted(prdPath={"$ne": None}),
        _wanted(prdPath=["x"]),
        _wanted(prompt=1),
        _wanted(queue="yes"),
        _wanted(priority="1"),
        _wanted(priority=101),
        _wanted(priority=-101),
        _wanted(options=None),
        _wanted(options=[]),
        _wanted(id="x"),
        _wanted(__proto__={"x": 1}),
        _options(dryRun="false"),
        _options(dryRun=1),
        _options(timeout="100"),
        _options(timeout=0),
        _options(timeout=-1),
        _options(timeout=2_592_000_001),
        _options(maxTokens=0),
        _options(budgetUsd=0),
        _options(onUnanswered="maybe"),
        _options(env={"PATH": "/"}),
    ),
    # The key of a session that was started before, for something else.
    row(
        "B71",
        409,
        "CONFLICT",
        post(b"/api/sessions", {"prompt": "other"}, b"Idempotency-Key: " + KEY.encode()),
        post(_ONE + RUNNING + b"/input", {"input": "x"}, b"Idempotency-Key: " + KEY.encode()),
    ),
    row(
        "B71",
        422,
        "VALIDATION_ERROR",
        *(
            post(b"/api/sessions", {}, b"Idempotency-Key: " + key)
            for key in (b"", b"a b", b"x" * 256, b"\xc3\xa9", b"a\tb", b"\x7f")
        ),
        # What is wrong with the request comes before the key.
        post(b"/api/sessions", {"x": 1}, b"Idempotency-Key: " + KEY.encode()),
    ),
    row("B72", 429, "TOO_MANY_SESSIONS", _wanted(projectDir="other", provider="demo")),
    row(
        "B73",
        409,
        "CONFLICT",
        *(asked(b"POST", _ONE + ENDED + order) for order in _ORDERS),
        asked(b"POST", _ONE + RUNNING + b"/resume"),
    ),
    row(
        "B74",
        409,
        "SESSION_ALREADY_RUNNING",
        _wanted(),
        _wanted(prdPath="prd.md"),
        _wanted(provider="demo"),
        _wanted(projectDir="."),
    ),
    row(
        "B75",
        409,
        "CONFLICT",
        asked(b"DELETE", _ONE + RUNNING),
        post(_ONE + RUNNING + b"/continue", {"message": "x"}),
        post(_ONE + ENDED + b"/continue", {"message": "x"}),
    ),
    row(
        "B76",
        503,
        "PROVIDER_NOT_AVAILABLE",
        _wanted(provider="codex", options={"direct": True}),
        _wanted(provider="claude", options={"direct": True}),
    ),
)
