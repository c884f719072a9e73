"""Tests of the driver of opencode as what it is: lines in, outputs out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.driving import IDriver, Messaging
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Asked,
    EndInput,
    Freed,
    Hindered,
    Output,
    Refused,
    Spent,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
    Write,
)
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.opencode.driver import OpencodeDriver
from loki_twisted.agents.providers.opencode.provider import (
    OpencodeProvider,
    OpencodeRunProvider,
)
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer
from tests.opencode_support import install, message

REQUEST = LaunchRequest(
    session_id="s1", project_dir="/p", loki_dir="/p", provider="opencode", prompt="Mend the test"
)
MAIN = "ses_main"


def event(kind: str, session: str | None = MAIN, **properties: Any) -> str:
    """A line of the bridge: an event."""
    about = {} if session is None else {"sessionID": session}
    return json.dumps(
        {"loki.bridge": "event", "event": {"type": kind, "properties": {**about, **properties}}}
    )


def word(name: str, **rest: Any) -> str:
    """A line of the bridge: a word of its own."""
    return json.dumps({"loki.bridge": name, **rest})


def part(name: str, kind: str, owner: str = "msg_a", session: str = MAIN, **rest: Any) -> str:
    """A line: a part of a message."""
    whole = {"id": name, "sessionID": session, "messageID": owner, "type": kind, **rest}
    return event("message.part.updated", session, part=whole)


def spoken(name: str, role: str, session: str = MAIN, **rest: Any) -> str:
    """A line: a message."""
    return event(
        "message.updated", session, info={"id": name, "sessionID": session, "role": role, **rest}
    )


def status(kind: str, session: str = MAIN, **rest: Any) -> str:
    """A line: where a session stands."""
    return event("session.status", session, status={"type": kind, **rest})


OPENED = [
    word("session", id=MAIN),
    word("done", id="first"),
    spoken("msg_u", "user"),
    status("busy"),
]
ANSWERING = [*OPENED, spoken("msg_a", "assistant", providerID="acme", modelID="large")]


def texts(outputs: Sequence[Output]) -> list[str]:
    """What agents say in outputs."""
    return [
        each.data["output"]
        for each in outputs
        if isinstance(each, Fact) and each.data.get("kind") in ("text", "thinking")
    ]


class Talk:
    """A driver and what it has said."""

    def __init__(self, *lines: str, request: LaunchRequest = REQUEST) -> None:
        self.driver: IDriver = OpencodeDriver(request, "")
        self.outputs: list[Output] = list(self.driver.begin())
        self.hear(*lines)

    def hear(self, *lines: str) -> list[Output]:
        """Take lines; give what is said to these."""
        said = [each for line in lines for each in self.driver.line("stdout", line)]
        self.outputs += said
        return said


def test_how_it_begins() -> None:
    """The session and the first prompt are orders; what the user says stands in a text."""
    driver = OpencodeDriver(REQUEST, "")
    opened, began, prompt = driver.begin()
    assert isinstance(opened, Write)
    assert isinstance(prompt, Write)
    assert began == TurnBegan()
    assert json.loads(opened.text) == {"do": "open", "conversation": None}
    assert json.loads(prompt.text) == {
        "do": "prompt",
        "id": "first",
        "text": "Mend the test",
        "model": None,
        "agent": None,
    }
    assert not driver.is_ready
    assert not driver.takes_now


def test_when_it_takes_messages() -> None:
    """Not before its session is open; at once while it works; as the next turn when it is idle."""
    talk = Talk()
    talk.hear(*OPENED)
    assert (talk.driver.is_ready, talk.driver.takes_now) == (False, True)
    talk.hear(part("p", "step-finish", reason="stop"), status("idle"))
    assert (talk.driver.is_ready, talk.driver.takes_now) == (True, True)


def test_it_is_idle_twice() -> None:
    """Both words for it end one turn, and the second does not end the next."""
    talk = Talk(*ANSWERING, part("p", "step-finish", reason="stop"), status("idle"))
    assert isinstance(talk.driver.say(message("m1", "More"))[0], TurnBegan)
    assert talk.hear(event("session.idle"), status("idle")) == []
    talk.hear(spoken("msg_v", "user"), status("busy"), part("q", "step-finish", reason="stop"))
    ended = talk.hear(status("idle"), event("session.idle"))
    assert ended == [TurnEnded(Verdict.DONE), EndInput()]


def test_a_message_that_came_as_it_became_idle() -> None:
    """The turn is not over before what is on its way was dealt with."""
    talk = Talk(*ANSWERING, part("p", "step-finish", reason="stop"))
    talk.driver.say(message("m1", "One more thing"))
    assert talk.hear(status("idle"), event("session.idle")) == []
    talk.hear(word("done", id="m1"), spoken("msg_v", "user"), status("busy"))
    talk.hear(part("q", "step-finish", "msg_b", reason="stop"))
    assert talk.hear(status("idle"))[0] == TurnEnded(Verdict.DONE)


def test_what_comes_late_begins_no_turn() -> None:
    """Old results that are thrown away, titles and summaries are no work."""
    talk = Talk(*ANSWERING, part("p", "step-finish", reason="stop"), status("idle"))
    old = {"status": "completed", "input": {}, "output": "x", "time": {"compacted": 5}}
    assert (
        talk.hear(
            part("old", "tool", "msg_0", tool="bash", callID="c", state=old),
            event("session.updated", info={"id": MAIN, "title": "A title"}),
            spoken("msg_u", "user", summary={"title": "x"}),
            event("session.diff", diff=[]),
        )
        == []
    )
    assert talk.driver.is_ready


def test_a_prompt_that_is_refused() -> None:
    """The message will never arrive, and the turn that it had begun has failed."""
    talk = Talk(*ANSWERING, part("p", "step-finish", reason="stop"), status("idle"))
    talk.driver.say(message("m1", "More"))
    refused, ended, _ = talk.hear(word("refused", id="m1", why="no such model", status=400))
    assert refused == Refused("m1", "no such model")
    assert ended == TurnEnded(Verdict.FAILED, "no such model")


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ("Overloaded", Trouble.RETRYING),
        ("Rate limit exceeded", Trouble.RATE_LIMITED),
        ("Too Many Requests", Trouble.RATE_LIMITED),
    ],
)
def test_why_it_is_held_up(words: str, trouble: Trouble) -> None:
    """A limit has an end that is known; it goes on by itself, and that is taken back."""
    talk = Talk(*ANSWERING)
    assert talk.hear(status("retry", attempt=1, message=words, next=7)) == [
        Hindered(trouble, words, 7)
    ]
    assert talk.hear(status("busy"), status("busy")) == [Freed()]
    talk.hear(status("retry", attempt=2, message=words, next=9))
    assert talk.hear(status("idle"))[0] == Freed()


def test_an_error_before_it_begins() -> None:
    """A prompt that cannot be worked on has no end but that."""
    error = {"name": "ProviderModelNotFoundError", "data": {"message": "no such model"}}
    talk = Talk(*OPENED[:2])
    _, ended, _ = talk.hear(event("session.error", error=error))
    assert ended == TurnEnded(Verdict.FAILED, "no such model")


def test_an_error_that_is_told_again_when_the_turn_is_over() -> None:
    """It is not that of the next turn, for which it comes too early."""
    error = {"name": "UnknownError", "data": {"message": "no such model"}}
    again = {"name": "UnknownError", "data": {"message": "Error: no such model\n  at prompt"}}
    talk = Talk(*OPENED, event("session.error", error=error), status("idle"))
    talk.driver.say(message("m1", "Again"))
    (told,) = talk.hear(event("session.error", error=again))
    assert isinstance(told, Fact)
    assert told.type == "log:debug"
    talk.hear(word("done", id="m1"))
    assert TurnEnded(Verdict.FAILED, "no such model") in talk.hear(
        event("session.error", error=error)
    )


def test_an_error_that_it_gets_over() -> None:
    """A further step takes it back: the conversation was too long, and was made shorter."""
    error = {"name": "ContextOverflowError", "data": {"message": "too long"}}
    talk = Talk(*ANSWERING, event("session.error", error=error), event("session.compacted"))
    talk.hear(part("p", "step-start", "msg_b"), part("q", "step-finish", "msg_b", reason="stop"))
    assert talk.hear(status("idle"))[0] == TurnEnded(Verdict.DONE)


@pytest.mark.parametrize("reason", ["length", "content-filter", "error", "tool-calls"])
def test_steps_that_end_badly(reason: str) -> None:
    """That opencode is idle does not mean that it is done."""
    talk = Talk(*ANSWERING, part("p", "step-finish", reason=reason))
    ended = talk.hear(status("idle"))[0]
    assert isinstance(ended, TurnEnded)
    assert (ended.verdict, bool(ended.reason)) == (Verdict.FAILED, True)


def test_no_answer_at_all() -> None:
    """It is no success either."""
    assert Talk(*OPENED).hear(status("idle"))[0] == TurnEnded(
        Verdict.FAILED, "It has ended without an answer."
    )


def test_a_text_in_pieces() -> None:
    """It is told once: as a whole when it is short, by paragraphs when it is long."""
    time = {"start": 1}
    talk = Talk(*ANSWERING, part("p", "text", text="", time=time))

    def delta(words: str) -> str:
        return event("message.part.delta", messageID="msg_a", partID="p", field="text", delta=words)

    paragraph = "word " * 500
    assert talk.hear(delta("Hello, "), delta("world.")) == []
    assert texts(talk.hear(delta(f"\n\n{paragraph}"))) == ["Hello, world."]
    assert texts(talk.hear(delta("\n\nThe end"))) == [paragraph]
    assert texts(talk.driver.quiet()) == ["The end"]
    whole = f"Hello, world.\n\n{paragraph}\n\nThe end."
    ended = part("p", "text", text=whole, time={"start": 1, "end": 2})
    assert texts(talk.hear(ended, ended)) == ["."]


def test_what_the_user_said_is_not_told() -> None:
    """Neither as a part of his message, nor what opencode puts into it."""
    assert (
        Talk(*OPENED).hear(
            part("p", "text", "msg_u", text="Mend the test"),
            part("q", "text", "msg_x", text="Mend the test"),
            part("r", "text", "msg_a", text="<file>", synthetic=True, time={"start": 1}),
        )
        == []
    )


def test_a_tool_whose_end_is_lost() -> None:
    """A call has a result, be it that nobody knows it."""
    state = {"status": "running", "input": {"command": "ls"}}
    talk = Talk(*ANSWERING, part("p", "tool", tool="bash", callID="c1", state=state))
    result = talk.hear(status("idle"))[0]
    assert isinstance(result, Fact)
    assert (result.data["kind"], result.data["callId"]) == ("tool_result", "c1")


@pytest.mark.parametrize(
    ("tokens", "written"),
    [
        ({"input": 1, "output": 10, "reasoning": 5, "cache": {"read": 2, "write": 3}}, 15),
        (
            {
                "total": 21,
                "input": 1,
                "output": 10,
                "reasoning": 5,
                "cache": {"read": 2, "write": 3},
            },
            15,
        ),
        (
            {
                "total": 16,
                "input": 1,
                "output": 10,
                "reasoning": 5,
                "cache": {"read": 2, "write": 3},
            },
            10,
        ),
    ],
)
def test_reasoning_is_a_part_of_the_output(tokens: dict[str, Any], written: int) -> None:
    """Whether the version counts it in or beside."""
    talk = Talk(*ANSWERING)
    (spent,) = talk.hear(part("p", "step-finish", reason="stop", cost=0.5, tokens=tokens))
    assert isinstance(spent, Spent)
    assert spent.amount.output_tokens == written
    assert spent.amount.reasoning_tokens == 5
    assert spent.model == "acme/large"


def test_todos_with_names() -> None:
    """As older versions have them; a change of the version in the middle is none of ours."""
    talk = Talk(*ANSWERING)
    named = [{"id": "a", "content": "Write", "status": "pending"}]
    (created,) = talk.hear(event("todo.updated", todos=named))
    assert isinstance(created, Fact)
    assert created.data["taskId"] == "a"
    assert talk.hear(event("todo.updated", todos=named)) == []
    assert talk.hear(event("todo.updated", todos=[{"content": "Write", "status": "completed"}]))
    assert talk.hear(event("todo.updated", "ses_other", todos=[])) == []


def test_a_question_that_cannot_be_put_is_turned_down() -> None:
    """So opencode does not wait for ever."""
    (turned_down,) = Talk(*ANSWERING).hear(event("question.asked", id="q1", questions=[]))
    assert isinstance(turned_down, Write)
    assert json.loads(turned_down.text)["do"] == "reject"


def test_what_is_open_is_taken_back_at_the_end_of_the_turn() -> None:
    """Nobody wants to know it any more."""
    talk = Talk(*ANSWERING, event("permission.asked", id="per_1", permission="bash"))
    assert any(isinstance(each, Withdrawn) for each in talk.hear(status("idle")))
    assert not talk.driver.answer("permission:per_1", Answer(values=("once",)))


def test_the_bridge_is_gone() -> None:
    """Without a last word the turn has not ended, and the agent has not done its work."""
    talk = Talk(*ANSWERING)
    assert OpencodeDriver.says_done
    last = talk.driver.ended()[-1]
    assert isinstance(last, Fact)
    assert last.type == "agent:failed"


def test_what_is_not_known_is_counted() -> None:
    """It is told once in a thousand, and at the end."""
    talk = Talk(*ANSWERING)
    lines = [event("a.new.kind"), word("something"), "no JSON", "[1]"] * 250
    (told,) = talk.hear(*lines)
    assert isinstance(told, Fact)
    assert told.type == "log:debug"
    assert told.data["message"].startswith("1000 lines")
    assert told.data["context"]["a.new.kind"] == 250
    talk.hear(event("a.new.kind"))
    assert "1 lines" in str(talk.driver.ended())


# Laws

LINES = [
    *ANSWERING,
    status("retry", attempt=1, message="Overloaded", next=5),
    part("p1", "text", text="Hel", time={"start": 1}),
    event("message.part.delta", messageID="msg_a", partID="p1", field="text", delta="lo"),
    part("p1", "text", text="Hello", time={"start": 1, "end": 2}),
    part("p2", "reasoning", text="Hm\n\n" * 800, time={"start": 1}),
    part("p3", "tool", tool="bash", callID="c", state={"status": "running", "input": {"a": [1]}}),
    part("p3", "tool", tool="bash", callID="c", state={"status": "completed", "output": "x"}),
    part("p4", "step-finish", reason="stop", cost=0.1, tokens={"input": 1, "cache": {"read": 2}}),
    event(
        "session.created",
        "ses_kid",
        info={"id": "ses_kid", "parentID": MAIN, "title": "x (@a subagent)"},
    ),
    part("p5", "text", "msg_k", "ses_kid", text="Kid", time={"start": 1, "end": 2}),
    event("permission.asked", id="per_1", permission="bash", patterns=["a"], metadata={"a": 1}),
    event("permission.updated", id="per_2", type="bash", pattern=["a"], title="t"),
    event("permission.replied", requestID="per_1", reply="once"),
    event(
        "question.asked", id="q1", questions=[{"question": "?", "options": [{"label": "a"}]}] * 2
    ),
    event("question.rejected", requestID="q1"),
    event("todo.updated", todos=[{"content": "a", "status": "pending"}, {"id": "b"}]),
    event("session.error", error={"name": "APIError", "data": {"message": "bad"}}),
    spoken("msg_a", "assistant", time={"completed": 2}, error={"name": "x"}, finish="stop"),
    status("idle", "ses_kid"),
    status("idle"),
    word("refused", id="m1", why="no"),
    word("dropped", bytes=5),
    word("gap", why="x"),
    word("ended", ok=False, why="died"),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS | st.sampled_from(["\ud800", "\x00", 10**30, MAIN, "idle", "ses_kid"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def mutated(value: Any, choices: list[int], other: Any) -> Any:
    """Put something else into a value, somewhere."""
    if not choices or not isinstance(value, dict | list) or not value:
        return other
    here, *rest = choices
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[here % len(keys)]
    copy = value.copy()
    copy[key] = mutated(value[key], rest, other)
    return copy


@st.composite
def hostile_lines(draw: st.DrawFn) -> list[str]:
    """Lines in any order, some of them not as they should be."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=25))
    for number in draw(st.lists(st.integers(0, 24), max_size=8)):
        if number < len(lines):
            choices = draw(st.lists(st.integers(0, 5), max_size=6))
            lines[number] = json.dumps(mutated(json.loads(lines[number]), choices, draw(JSON)))
    return [*OPENED, *lines] if draw(st.booleans()) else lines


def deeds(driver: IDriver, line: str, number: int) -> list[Any]:
    """What is done to a driver with a line."""
    outputs = [*driver.line("stdout", line)]
    if number % 5 == 3:
        outputs += driver.quiet()
    if number % 4 == 2:
        outputs += driver.say(message(f"m{number}", "More"))
    for asked in [each for each in outputs if isinstance(each, Asked)]:
        outputs += driver.answer(asked.key, Answer(values=("once",), message="so"))
    return [*outputs, driver.is_ready, driver.takes_now]


@given(hostile_lines())
def test_no_line_breaks_it_and_all_of_it_is_remembered(lines: list[str]) -> None:
    """A driver that is made anew from its memory at each line says the same, whatever comes."""
    lasting = OpencodeDriver(REQUEST, "")
    lasting.begin()
    memory = lasting.memory()
    for number, line in enumerate(lines):
        anew = OpencodeDriver(REQUEST, memory)
        assert deeds(anew, line, number) == deeds(lasting, line, number)
        memory = anew.memory()
        assert memory == lasting.memory()
    assert list(OpencodeDriver(REQUEST, memory).ended()) == list(lasting.ended())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[[]]",
        "\x00",
        "\ud800",
        "[" * 10_000,
        '{"loki.bridge":' * 10_000,
        "x" * 3_000_000,
    ],
)
def test_no_shape_of_a_line_breaks_it(line: str) -> None:
    """Also those that no bridge of ours writes."""
    assert Talk(*ANSWERING).hear(line, event("session.error", error=None))


def test_deep_arguments() -> None:
    """What a tool is called with may be nested deeper than anything should be."""
    deep: Any = 10**40
    for _ in range(60):
        deep = {"\ud800": deep}
    state = {"status": "completed", "input": deep, "output": [deep]}
    call, result = Talk(*ANSWERING).hear(part("p", "tool", tool="x", callID="c", state=state))
    assert isinstance(call, Fact)
    assert isinstance(result, Fact)


# Providers


def test_abilities() -> None:
    """What people can expect of each of the two."""
    server, run = OpencodeProvider().abilities, OpencodeRunProvider().abilities
    assert (server.asks, server.messaging, server.continues) == (True, Messaging.NOW, True)
    assert (run.asks, run.messaging, run.continues) == (False, Messaging.NEVER, True)


@pytest.mark.parametrize("provider", [OpencodeProvider(), OpencodeRunProvider()])
def test_what_cannot_be_started(provider: Any, tmp_path: Any) -> None:
    """Nothing to do, a model without a provider, and no opencode."""
    machine = Machine({"PATH": str(tmp_path)})
    for wrong in ({"prompt": None}, {"model": "large"}):
        request = LaunchRequest(
            **{
                "session_id": "s",
                "project_dir": "/p",
                "loki_dir": "/p",
                "provider": "opencode",
                "prompt": "x",
            }
            | wrong
        )
        with pytest.raises(InvalidRequest):
            provider.plan(request, machine)
    with pytest.raises(ProviderNotAvailable):
        provider.plan(REQUEST, machine)
    install(tmp_path)
    assert provider.program(machine) == str(tmp_path / "opencode")
    assert provider.plan(REQUEST, machine).cwd == "/p"
