"""Tests of what Claude Code asks, and of how it is answered."""

from __future__ import annotations

from typing import Any

import pytest

from loki_twisted.agents.outputs import (
    Asked,
    Output,
    Withdrawn,
)
from loki_twisted.model.inputs import Effect
from tests.claude_support import (
    RULE,
    Desk,
    answer,
    of_type,
    schema,
    use,
    words,
    written,
)


def test_a_permission_of_a_sub_agent() -> None:
    """It is known by the use of the tool, else by the name that it gives."""
    desk = Desk.at_work()
    desk.say(use("t1", "Bash", command="ls"), parent_tool_use_id="h1")
    (asked,) = of_type(desk.asks("Bash", tool_use_id="t1", agent_id="a9"), Asked)
    assert asked.agent_id == "h1"
    (asked,) = of_type(desk.asks("Bash", "p2", tool_use_id="t2", agent_id="a9"), Asked)
    assert asked.agent_id == "a9"
    desk.say(use("t3", "Bash", command="ls"))
    (asked,) = of_type(desk.asks("Bash", "p3", tool_use_id="t3"), Asked)
    assert asked.agent_id is None


def test_what_a_permission_is_about() -> None:
    """Its own title is the prompt; why it asks is among the details."""
    (asked,) = of_type(
        Desk.at_work().asks(
            "Write",
            title="Write to \x1b[1m/etc\x1b[0m?",
            input={"file_path": "/etc/x", "content": "y"},
            decision_reason="outside",
            blocked_path="/etc",
            description="A file",
        ),
        Asked,
    )
    assert asked.prompt == "Write to /etc?"
    assert asked.details == {
        "tool": "Write",
        "arguments": {"file_path": "/etc/x", "content": "y"},
        "description": "A file",
        "reason": "outside",
        "path": "/etc",
    }
    assert [(each.value, each.effect) for each in asked.options] == [
        ("allow", Effect.ALLOW),
        ("deny", Effect.DENY),
    ]


@pytest.mark.parametrize(
    ("suggested", "label"),
    [
        (RULE, "Read"),
        ({"type": "setMode", "mode": "acceptEdits"}, "mode acceptEdits"),
        ({"type": "addDirectories", "directories": ["/a", "/b"]}, "/a, /b"),
        ({"type": "setMode", "mode": "bypassPermissions"}, None),
        ({**RULE, "behavior": "deny"}, None),
        ({"type": "removeRules", "rules": []}, None),
        ({**RULE, "rules": [{"toolName": "x" * 2000}]}, None),
        ({}, None),
    ],
)
def test_what_is_offered_for_the_session(suggested: dict[str, Any], label: str | None) -> None:
    """What it suggests, as far as that allows something and not everything."""
    desk = Desk.at_work()
    (asked,) = of_type(desk.asks("Read", permission_suggestions=[suggested, 5]), Asked)
    labels = [each.label for each in asked.options if each.value == "allow_session"]
    assert labels == ([] if label is None else [f"Allow for this session: {label}"])
    (line,) = written(desk.step("answer", asked.key, answer("allow_session")))
    updates = line["response"]["response"].get("updatedPermissions")
    assert updates == (None if label is None else [{**suggested, "destination": "session"}])


def test_rules_that_must_not_be_offered() -> None:
    """It says so itself."""
    fields = {"permission_suggestions": [RULE], "suppress_always_allow_rule": True}
    (asked,) = of_type(Desk.at_work().asks("Read", **fields), Asked)
    assert len(asked.options) == 2


def test_arguments_that_are_too_long_to_keep() -> None:
    """Allowed, the tool is given none, and goes on with its own; so does a plan."""
    desk = Desk.at_work()
    (asked,) = of_type(desk.asks("Write", input={"content": "x" * 10_000}), Asked)
    (line,) = written(desk.step("answer", asked.key, answer("allow")))
    assert line["response"]["response"] == {"behavior": "allow", "updatedInput": {}}
    (asked,) = of_type(desk.asks("ExitPlanMode", input={"plan": "x"}), Asked)
    (line,) = written(desk.step("answer", asked.key, answer("allow")))
    assert line["response"]["response"] == {"behavior": "allow", "updatedInput": {}}


def test_answers_are_taken_once() -> None:
    """One to what is not open, or is no more, says nothing."""
    desk = Desk.at_work()
    desk.asks("Bash")
    for key in ("", "p1", "p1#1", "p1#x", "p2#0", "#", "p1#-0"):
        assert desk.step("answer", key, answer("allow")) == []
    assert written(desk.step("answer", "p1#0", answer("allow")))
    assert desk.step("answer", "p1#0", answer("allow")) == []


def test_what_is_asked_again() -> None:
    """Told with the answer to our request too, it is asked once."""
    desk = Desk()
    desk.step("begin")
    pending = {
        "type": "control_request",
        "request_id": "p1",
        "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}},
    }
    response = {
        "subtype": "success",
        "request_id": "loki-1",
        "pending_permission_requests": [pending],
    }
    assert len(of_type(desk.line("control_response", response=response), Asked)) == 1
    assert desk.asks("Bash") == []


def test_what_it_no_longer_wants_to_know() -> None:
    """Every open part is withdrawn, and an answer then is none."""
    desk = Desk.at_work()
    asked = [{"question": "One?"}, {"question": "Two?"}, {"question": "Three?"}]
    desk.asks("AskUserQuestion", input={"questions": asked})
    desk.step("answer", "p1#1", answer("x"))
    outputs = desk.line("control_cancel_request", request_id="p1")
    assert [each.key for each in of_type(outputs, Withdrawn)] == ["p1#0", "p1#2"]
    assert desk.step("answer", "p1#0", answer("x")) == []
    assert desk.line("control_cancel_request", request_id="p1") == []


def test_answers_in_its_own_words() -> None:
    """What was chosen by the name that we could show is what it called it itself."""
    desk = Desk.at_work()
    question = {
        "question": "Which\x07?",
        "options": [{"label": " \x1b[1mRed\x1b[0m"}, {"label": "Red"}, {"label": ""}, 5],
    }
    (asked,) = of_type(desk.asks("AskUserQuestion", input={"questions": [question, {}]}), Asked)
    assert asked.prompt == "Which?"
    assert [each.value for each in asked.options] == ["Red"]
    assert asked.takes_text
    (line,) = written(desk.step("answer", asked.key, answer("Red", words="or so")))
    given = line["response"]["response"]
    assert given["behavior"] == "allow"
    assert given["updatedInput"]["answers"] == {"Which\x07?": " \x1b[1mRed\x1b[0m. or so"}
    assert given["updatedInput"]["questions"][0] == question


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"questions": []},
        {"questions": [{"question": "x" * 20_000}]},
        {"questions": [{"question": "?"}] * 11},
    ],
)
def test_questions_that_cannot_be_asked(arguments: dict[str, Any]) -> None:
    """The agent is told so, and goes on."""
    outputs = Desk.at_work().asks("AskUserQuestion", input=arguments)
    assert of_type(outputs, Asked) == []
    assert written(outputs)[0]["response"]["response"]["behavior"] == "deny"


def test_a_dry_run_is_dry() -> None:
    """No permission is asked for or given; questions are asked."""
    desk = Desk.at_work(dry_run=True)
    for number, tool in enumerate(("Bash", "Write", "ExitPlanMode")):
        outputs = desk.asks(tool, f"p{number}", input={})
        assert of_type(outputs, Asked) == []
        assert written(outputs)[0]["response"]["response"]["behavior"] == "deny"
    assert of_type(
        desk.asks("AskUserQuestion", "q", input={"questions": [{"question": "?"}]}), Asked
    )


def elicitation(desk: Desk, **fields: Any) -> list[Output]:
    request = {"subtype": "elicitation", "mcp_server_name": "s", "message": "Who?", **fields}
    return desk.line("control_request", request_id="e1", request=request)


@pytest.mark.parametrize(
    ("field", "options", "given", "value"),
    [
        ({"type": "string"}, [], ("Ada",), "Ada"),
        ({"type": "integer"}, [], ("36",), 36),
        ({"type": "number"}, [], ("1.5",), 1.5),
        ({"type": "integer"}, [], ("many",), "many"),
        ({"type": "boolean"}, ["yes", "no"], ("no",), False),
        ({"type": "string", "enum": ["a", "b"], "enumNames": ["A"]}, ["a", "b"], ("b",), "b"),
        ({"type": "string", "oneOf": [{"const": "a", "title": "A"}]}, ["a"], ("a",), "a"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, ["a", "b"], ("a", "b"), ["a", "b"]),
    ],
)
def test_forms(field: Any, options: list[str], given: tuple[str, ...], value: Any) -> None:
    """A value is asked for by its schema, and sent as that wants it."""
    desk = Desk.at_work()
    (asked,) = of_type(elicitation(desk, **schema(x=field)), Asked)
    assert [each.value for each in asked.options] == [*options, "decline"]
    assert asked.default == "decline"
    assert asked.takes_text == (not options)
    (line,) = written(desk.step("answer", asked.key, answer(*given)))
    assert line["response"]["response"] == {"action": "accept", "content": {"x": value}}


def test_a_form_that_is_refused() -> None:
    """One refusal is that of all of it."""
    desk = Desk.at_work()
    first, second = of_type(elicitation(desk, **schema(x={}, y={})), Asked)
    outputs = desk.step("answer", second.key, answer("decline"))
    assert [each.key for each in of_type(outputs, Withdrawn)] == [first.key]
    assert written(outputs)[0]["response"]["response"] == {"action": "decline"}


def test_what_is_only_to_be_accepted() -> None:
    """A page to open has no values."""
    desk = Desk.at_work()
    (asked,) = of_type(elicitation(desk, mode="url", url="https://example.org"), Asked)
    assert asked.details == {"server": "s", "url": "https://example.org"}
    (line,) = written(desk.step("answer", asked.key, answer("accept")))
    assert line["response"]["response"] == {"action": "accept", "content": {}}


def test_a_form_that_is_too_long() -> None:
    """It is refused in people's place."""
    outputs = elicitation(Desk.at_work(), **schema(**{f"x{number}": {} for number in range(11)}))
    assert written(outputs)[0]["response"]["response"] == {"action": "decline"}


def test_every_request_is_answered_or_open() -> None:
    """However many, and whatever they are named."""
    desk = Desk.at_work()
    for number in range(70):
        outputs = desk.asks("Bash", f"p{number}")
        assert bool(of_type(outputs, Asked)) == (number < 64)
        assert bool(written(outputs)) == (number >= 64)
    desk = Desk.at_work()
    assert written(desk.asks("Bash", "x" * 1000))[0]["response"]["subtype"] == "error"
    assert written(desk.asks("Bash", "two words"))[0]["response"]["subtype"] == "error"


def test_a_request_of_ours_that_fails() -> None:
    """It is told why. Our own answers are repeated to us, and are no news."""
    desk = Desk.at_work()
    response = {"subtype": "error", "request_id": "loki-1", "error": "no"}
    outputs = desk.line("control_response", response=response)
    assert words(outputs) == ["It did not do what it was asked: no"]
    assert desk.line("control_response", response={**response, "request_id": "p1"}) == []
