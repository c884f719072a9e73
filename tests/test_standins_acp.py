"""The driver for the Agent Client Protocol and a stand-in for such an agent, over plain pipes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from loki_twisted.agents.outputs import (
    Asked,
    Conversation,
    EndInput,
    Output,
    Taken,
    TurnEnded,
    Verdict,
    Withdrawn,
)
from loki_twisted.agents.providers.cleaning import MAX_TEXT
from loki_twisted.model.inputs import Answer, Effect
from tests.acp_support import (
    SESSION,
    answer,
    asked_in,
    facts_of,
    message,
    request,
    run_standin,
    spent_in,
    texts_of,
    turns_of,
)


def with_effect(effect: Effect) -> Callable[[Asked], Answer]:
    """Answers by the first option of an effect."""
    return lambda asked: answer(next(each.value for each in asked.options if each.effect is effect))


def verdict_of(outputs: Sequence[Output]) -> Verdict:
    """How the only turn ended."""
    (ended,) = turns_of(outputs)
    return ended.verdict


def test_a_plain_run() -> None:
    """Words, thoughts, tools, a plan and what it cost, in order and in few events."""
    run = run_standin("plain", request(prompt="plain"))
    assert run.code == 0
    assert Conversation(SESSION) in run.outputs
    assert run.outputs[-2:][0] == EndInput()
    assert verdict_of(run.outputs) is Verdict.DONE
    assert texts_of(run.outputs, "thinking") == ["Let me think."]
    assert texts_of(run.outputs) == ["I look at the file.\n\n", "It is done."]
    facts = facts_of(run.outputs)
    assert [
        (kind, data.get("kind") or data.get("title"), data.get("callId") or data.get("status"))
        for kind, data in facts
    ] == [
        ("agent:spawned", None, None),
        ("agent:output", "thinking", None),
        ("task:created", "Look", "pending"),
        ("task:created", "Write", "pending"),
        ("task:created", "Test", "pending"),
        ("agent:output", "text", None),
        ("agent:output", "tool_call", "c1"),
        ("agent:output", "tool_result", "c1"),
        ("task:completed", "Look", "completed"),
        ("task:started", "Write", "running"),
        ("agent:output", "tool_call", "c2"),
        ("agent:output", "tool_result", "c2"),
        ("agent:output", "tool_call", "c3"),
        ("agent:output", "tool_result", "c3"),
        ("agent:output", "text", None),
        ("agent:completed", None, None),
    ]
    results = [data["output"] for _, data in facts if data.get("kind") == "tool_result"]
    assert results == ["print(1)", "a.py\n- print(1)\n+ print(2)", "[terminal t1]"]
    assert [each.amount.cost for each in spent_in(run.outputs)] == [0.02, 0.03, 0.0]
    assert spent_in(run.outputs)[-1].amount.tokens == 150


@pytest.mark.parametrize(
    ("effect", "outcome"),
    [
        (Effect.ALLOW, {"outcome": "selected", "optionId": "yes"}),
        (Effect.DENY, {"outcome": "selected", "optionId": "no"}),
    ],
)
def test_permissions(effect: Effect, outcome: dict[str, str]) -> None:
    """What people choose is what the agent is told, and what goes least far comes first."""
    run = run_standin("plain", request(prompt="permit rm -r build"), with_effect(effect))
    (asked,) = asked_in(run.outputs)
    assert asked.details["arguments"] == {"command": "rm -r build"}
    assert texts_of(run.outputs) == [f"outcome {json.dumps(outcome)}"]
    assert verdict_of(run.outputs) is Verdict.DONE


def test_two_questions_at_once() -> None:
    """Both are open together, and each gets its own answer, in the order in which they come."""
    open_ones: list[Asked] = []

    def decide(asked: Asked) -> Answer:
        open_ones.append(asked)
        return answer("yes" if asked.prompt.endswith("clean") else "no")

    run = run_standin("plain", request(prompt="two"), decide)
    assert [each.prompt for each in open_ones] == ["Run make", "Run make clean"]
    assert "".join(texts_of(run.outputs)).split("\n\n") == [
        'first {"outcome": "selected", "optionId": "no"}',
        'second {"outcome": "selected", "optionId": "yes"}',
        "",
    ]


def test_a_form() -> None:
    """Fields are asked one by one, and the agent gets the form as a whole."""
    run = run_standin(
        "plain",
        request(prompt="form"),
        lambda asked: answer("7" if asked.takes_text else asked.default or ""),
    )
    filled = {"action": "accept", "content": {"colour": "g", "count": 7}}
    assert texts_of(run.outputs) == [f"form {json.dumps(filled)}"]


def test_a_question_that_is_taken_back() -> None:
    """It is withdrawn, and the agent goes on."""
    run = run_standin("plain", request(prompt="withdraw"), None)
    (asked,) = asked_in(run.outputs)
    assert [each.key for each in run.outputs if isinstance(each, Withdrawn)] == [asked.key]
    assert texts_of(run.outputs) == ["withdrawn -32800"]


@pytest.mark.parametrize("prompt", ["wait", "ask_two_and_wait"])
def test_an_interrupted_turn(prompt: str) -> None:
    """It ends as cancelled with all that was open, the agent stays, and the next turn is one."""
    needed = 2 if prompt == "ask_two_and_wait" else 0
    run = run_standin(
        "plain",
        request(prompt=prompt),
        None,
        [message("plain")],
        interrupts_at=lambda outputs: (
            len(asked_in(outputs)) == needed
            and (needed > 0 or bool(texts_of(outputs)) or len(outputs) > 5)
        ),
    )
    assert [each.verdict for each in turns_of(run.outputs)] == [Verdict.INTERRUPTED, Verdict.DONE]
    assert len([each for each in run.outputs if isinstance(each, Withdrawn)]) == needed
    assert "I leave off." in "".join(texts_of(run.outputs))
    assert Taken("message_1") in run.outputs
    assert run.code == 0


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("refuse", "It refused to go on."),
        ("tokens", "It reached the most tokens that it may use."),
        ("requests", "It reached the most requests that a turn may have."),
        ("broken", "Internal error: the model is overloaded"),
    ],
)
def test_turns_that_fail(prompt: str, words: str) -> None:
    """The agent ends with exit code 0, and has failed all the same."""
    run = run_standin("plain", request(prompt=prompt))
    assert turns_of(run.outputs) == [TurnEnded(Verdict.FAILED, words)]
    assert facts_of(run.outputs)[-1][0] == "agent:failed"
    assert run.code == 0


@pytest.mark.parametrize("manner", ["locked", "future"])
def test_agents_that_open_no_session(manner: str) -> None:
    """Each says why, and is told to end."""
    run = run_standin(manner, request())
    (ended,) = turns_of(run.outputs)
    assert ended.verdict is Verdict.FAILED
    assert ended.reason is not None
    wanted = "Log in with a browser, Use a key" if manner == "locked" else "version 2"
    assert wanted in ended.reason
    assert run.code == 0


@pytest.mark.parametrize(("manner", "code"), [("mute", 1), ("plain", 3)])
def test_agents_that_end_without_an_answer(manner: str, code: int) -> None:
    """There is no word of how the turn ended, so the driver says none either."""
    run = run_standin(manner, request(prompt="crash"))
    assert turns_of(run.outputs) == []
    assert run.code == code
    if manner == "plain":
        told = facts_of(run.outputs)
        assert ("log:info", {"level": "info", "message": "panic: at the disco"}) in told
        assert texts_of(run.outputs) == ["Something is"]
        assert told[-1][0] == "agent:failed"


def test_an_agent_that_answers_and_does_not_end() -> None:
    """Its turn is done, and its input has ended; what more is to be done to it is not ours."""
    run = run_standin("plain", request(prompt="stay"), kills_at_end=True)
    assert verdict_of(run.outputs) is Verdict.DONE
    assert run.code == -9
    assert facts_of(run.outputs)[-1][0] == "agent:completed"


def test_several_turns() -> None:
    """Messages are turns in the same session, each taken when it is said."""
    messages = [message("spend", 1), message("refuse", 2), message("plain", 3)]
    run = run_standin("plain", request(prompt="plain"), messages=messages)
    verdicts = [Verdict.DONE, Verdict.DONE, Verdict.FAILED, Verdict.DONE]
    assert [each.verdict for each in turns_of(run.outputs)] == verdicts
    taken = [each.message_id for each in run.outputs if isinstance(each, Taken)]
    assert taken == ["message_1", "message_2", "message_3"]


@pytest.mark.parametrize("manner", ["plain", "late", "resuming"])
def test_a_conversation_that_is_continued(manner: str) -> None:
    """Nothing of what was said before is told again; totals are those of the conversation."""
    run = run_standin(manner, request(prompt="spend", conversation=SESSION))
    assert Conversation(SESSION) in run.outputs
    assert [kind for kind, _ in facts_of(run.outputs)] == ["agent:spawned", "agent:completed"]
    assert [each.amount.cost for each in spent_in(run.outputs)] == [0.28, 1.03, 0.0]
    assert spent_in(run.outputs)[-1].amount.tokens == 42


@pytest.mark.parametrize(
    ("manner", "conversation", "words"),
    [
        ("forgetful", SESSION, "It cannot go on with a conversation."),
        ("plain", "gone", "Internal error: Invalid session identifier 'gone'"),
    ],
)
def test_one_that_cannot_be_continued(manner: str, conversation: str, words: str) -> None:
    """The run has failed, and says why; no other conversation is begun."""
    run = run_standin(manner, request(conversation=conversation))
    reason = f"The conversation cannot be continued: {words}"
    assert turns_of(run.outputs) == [TurnEnded(Verdict.FAILED, reason)]
    assert run.code == 0


def test_noise() -> None:
    """What is no message is a log line, what is unknown is counted, and the turn goes on."""
    run = run_standin("plain", request(prompt="noise"))
    assert verdict_of(run.outputs) is Verdict.DONE
    logs = [data["message"] for kind, data in facts_of(run.outputs) if kind == "log:info"]
    assert logs == [
        "[warn] old node",
        "[1, 2]",
        '{"half": ',
        "null",
        '{"a": 1}',
        "red",
        "\ufffd\ufffd broken",
        "Loaded cached credentials.",
    ]
    assert [data["message"] for kind, data in facts_of(run.outputs) if kind == "log:debug"] == [
        "3 messages of unknown kinds were passed over."
    ]
    assert "".join(texts_of(run.outputs)) == "Before. Half \ufffd of it. After."


def test_a_line_of_7_mb() -> None:
    """What it reports is told by its beginning."""
    run = run_standin("plain", request(prompt="huge"))
    assert verdict_of(run.outputs) is Verdict.DONE
    (result,) = texts_of(run.outputs, "tool_result")
    assert MAX_TEXT - 64 < len(result) <= MAX_TEXT


def test_a_dry_run() -> None:
    """The agent is in a mode in which it only looks, before it is told anything."""
    run = run_standin("plain", request(prompt="mode", dry_run=True))
    assert texts_of(run.outputs) == ["mode plan"]


@pytest.mark.parametrize("complains", [True, False])
def test_an_agent_that_says_its_errors_in_words(complains: bool) -> None:
    """Its turn has failed, where it is known to do that."""
    run = run_standin("plain", request(prompt="complain"), complains=complains)
    (ended,) = turns_of(run.outputs)
    wanted = TurnEnded(Verdict.FAILED, "no route to model") if complains else None
    assert ended == (wanted or TurnEnded(Verdict.DONE))


def test_what_is_not_offered() -> None:
    """Files and terminals are refused, and the agent goes on without."""
    run = run_standin("plain", request(prompt="files"))
    assert texts_of(run.outputs) == ["-32601 -32601"]


def test_another_currency() -> None:
    """What it costs is unknown, and that is said once."""
    run = run_standin("plain", request(prompt="euros"))
    assert spent_in(run.outputs) == []
    assert len([kind for kind, _ in facts_of(run.outputs) if kind == "log:info"]) == 1
