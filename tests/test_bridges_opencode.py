"""Tests of the bridge to opencode and its driver together: real processes, sockets of loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loki_twisted.agents.outputs import (
    Asked,
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Output,
    Spent,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
)
from loki_twisted.agents.providers.opencode.provider import BRIDGE_PROGRAM, OpencodeProvider
from loki_twisted.model.inputs import Answer, InputKind
from loki_twisted.model.spending import CostOrigin, Spending
from tests.opencode_support import TIMEOUT, Play, costs, install, message, play

DONE = TurnEnded(Verdict.DONE)
A_STEP = Spending(
    input_tokens=100,
    output_tokens=15,
    cache_read_tokens=40,
    cache_write_tokens=5,
    reasoning_tokens=5,
    api_calls=1,
    cost=0.25,
)


@contextmanager
def opencode(
    directory: Path, prompt: str, odd: str = "", ready: str = "60", **request: Any
) -> Iterator[Play]:
    """A run of the stand-in behind the bridge."""

    def argv(planned: list[str]) -> list[str]:
        return [ready if each == "60" else each for each in planned]

    environ: Mapping[str, str] = {"OPENCODE_STANDIN": odd}
    with play(OpencodeProvider(), directory, prompt, environ, argv, **request) as run:
        yield run


def said(words: str) -> Any:
    """Whether something is a text."""

    def is_it(output: Output) -> bool:
        data = getattr(output, "data", {})
        return data.get("kind") == "text" and data["output"] == words

    return is_it


def test_a_plain_run(tmp_path: Path) -> None:
    """Texts, thoughts, tools and spending are told once each, and it ends by itself."""
    with opencode(tmp_path, "plain work", model="acme/large") as run:
        assert run.finish() == 0
    assert run.said == ["I look at the files.", "Done: plain work"]
    assert [each.data["output"] for each in run.told("thinking")] == ["Let me see."]
    (call,), (result,) = run.told("tool_call"), run.told("tool_result")
    assert (call.data["tool"], call.data["input"]) == ("bash", {"command": "ls"})
    assert (result.data["output"], result.data["isError"]) == ("a.txt\n", False)
    assert call.data["callId"] == result.data["callId"]
    assert run.all_of(Spent) == [Spent(A_STEP, CostOrigin.REPORTED, model="acme/large")] * 2
    (conversation,) = run.all_of(Conversation)
    assert conversation.id.startswith("ses_")
    assert run.ends == [DONE]
    assert len(run.all_of(TurnBegan)) == len(run.all_of(EndInput)) == 1
    agents = [each for each in run.facts if each.type in ("agent:spawned", "agent:completed")]
    assert [(each.type, each.data["agentId"]) for each in agents] == [
        ("agent:spawned", "main"),
        ("agent:completed", "main"),
    ]


@pytest.mark.parametrize("reply", ["once", "always"])
def test_a_permission_that_is_given(tmp_path: Path, reply: str) -> None:
    """It waits for the answer, and goes on with it."""
    with opencode(tmp_path, "permission") as run:
        run.answers = lambda asked: Answer(values=(reply,))
        assert run.finish() == 0
    (asked,) = run.all_of(Asked)
    assert asked.kind is InputKind.PERMISSION
    assert "rm -r build" in asked.prompt
    assert [each.value for each in asked.options] == ["once", "always", "reject"]
    assert asked.details["arguments"] == {"command": "rm -r build"}
    assert run.said == [f"It was allowed: {{'reply': '{reply}'}}"]
    assert run.all_of(Withdrawn) == []
    assert run.ends == [DONE]


def test_a_permission_that_is_refused(tmp_path: Path) -> None:
    """The reason reaches it, and leaving off for that is not success."""
    with opencode(tmp_path, "permission") as run:
        run.answers = lambda asked: Answer(values=("reject",), message="not that")
        assert run.finish() == 0
    (result,) = run.told("tool_result")
    assert (result.data["output"], result.data["isError"]) == ("rejected: not that", True)
    (ended,) = run.ends
    assert ended.verdict is Verdict.FAILED
    assert "not allowed" in (ended.reason or "")


def test_a_permission_that_is_given_elsewhere(tmp_path: Path) -> None:
    """What somebody else has answered is taken back."""
    with opencode(tmp_path, "elsewhere") as run:
        assert run.finish() == 0
    (asked,), (withdrawn,) = run.all_of(Asked), run.all_of(Withdrawn)
    assert withdrawn.key == asked.key
    assert "once" in withdrawn.reason


def test_questions(tmp_path: Path) -> None:
    """Each question is put by itself; the answers go together, in their order."""
    answers = {"Which sizes?": ("Red", "Blue"), "Which colour?": ("green",)}
    with opencode(tmp_path, "questions") as run:
        run.until(lambda output: isinstance(output, Asked) and output.prompt == "Which sizes?")
        for asked in reversed(run.all_of(Asked)):
            given = Answer(values=answers[asked.prompt])
            run.do(lambda driver, key=asked.key, given=given: driver.answer(key, given))
        assert run.finish() == 0
    one, two = run.all_of(Asked)
    assert [(each.value, each.description) for each in one.options] == [
        ("Red", "warm"),
        ("Blue", "cold"),
    ]
    assert (one.multiple, two.multiple, one.takes_text) == (False, True, True)
    assert run.said == ['Answers: [["green"], ["Red", "Blue"]]']


def test_a_plan(tmp_path: Path) -> None:
    """The list of things to do is told as tasks, each change once."""
    with opencode(tmp_path, "todo") as run:
        assert run.finish() == 0
    told = [(each.type, each.data["title"]) for each in run.facts if each.type.startswith("task:")]
    assert told == [
        ("task:created", "Write"),
        ("task:started", "Write"),
        ("task:created", "Test"),
        ("task:completed", "Write"),
        ("task:started", "Test"),
        ("task:completed", "Test"),
    ]


def test_a_tool_that_fails(tmp_path: Path) -> None:
    """Its error is its result, and the turn may be a success all the same."""
    with opencode(tmp_path, "toolerror") as run:
        assert run.finish() == 0
    (result,) = run.told("tool_result")
    assert (result.data["output"], result.data["isError"]) == ("no such file", True)
    assert run.ends == [DONE]


def test_an_error(tmp_path: Path) -> None:
    """It says why, and the session has failed though all processes end well."""
    with opencode(tmp_path, "error") as run:
        assert run.finish() == 0
    assert run.ends == [TurnEnded(Verdict.FAILED, "the key is not valid")]
    assert "error: the key is not valid" in run.logged
    assert run.facts[-1].type == "agent:failed"


def test_it_is_held_up(tmp_path: Path) -> None:
    """While it tries again it says so, with the time, and takes it back."""
    with opencode(tmp_path, "retry") as run:
        assert run.finish() == 0
    (hindered,) = run.all_of(Hindered)
    assert hindered == Hindered(Trouble.RETRYING, "Overloaded", 1_800_000_000_000)
    assert run.outputs.index(hindered) < run.outputs.index(Freed())
    assert run.ends == [DONE]


def test_a_sub_agent(tmp_path: Path) -> None:
    """It has a name and a parent, what it asks is its own, and its spending counts."""
    with opencode(tmp_path, "child") as run:
        run.answers = lambda asked: Answer(values=("once",))
        assert run.finish() == 0
    spawned = [each.data for each in run.facts if each.type == "agent:spawned"]
    main, child = spawned
    assert main["agentId"] == "main"
    assert (child["type"], child["parentId"], child["task"]) == ("explore", "main", "Look around")
    (asked,) = run.all_of(Asked)
    assert asked.agent_id == child["agentId"]
    told = {each.data["output"]: each.data["agentId"] for each in run.told("text")}
    assert told == {
        "I have looked around.": child["agentId"],
        "My helper has looked around.": "main",
    }
    ended = [each.data["agentId"] for each in run.facts if each.type == "agent:completed"]
    assert ended == [child["agentId"], "main"]
    assert costs(run) == [0.25, 0.25]


def test_a_message_while_it_works(tmp_path: Path) -> None:
    """It reaches what is being done, is confirmed, and begins no turn of its own."""
    with opencode(tmp_path, "wait") as run:
        run.until(said("I wait."))
        run.do(lambda driver: driver.say(message("m1", "Hurry up")))
        assert run.finish() == 0
    assert run.all_of(Taken) == [Taken("m1")]
    assert run.said == ["I wait.", "Heard: Hurry up"]
    assert run.ends == [DONE]
    assert len(run.all_of(TurnBegan)) == 1


def test_it_is_interrupted_and_goes_on(tmp_path: Path) -> None:
    """It leaves off, stays, and takes the next message as the next turn."""
    with opencode(tmp_path, "wait") as run:
        run.until(said("I wait."))
        run.do(lambda driver: driver.interrupt())
        assert run.until_ended().verdict is Verdict.INTERRUPTED
        assert run.all_of(EndInput) == []
        run.do(lambda driver: driver.say(message("m1", "plain rest")))
        assert run.finish() == 0
    assert run.said[-1] == "Done: plain rest"
    assert [each.verdict for each in run.ends] == [Verdict.INTERRUPTED, Verdict.DONE]


def test_it_stays_open(tmp_path: Path) -> None:
    """Turn after turn in the same session, until its input ends."""
    with opencode(tmp_path, "plain one", stays_open=True) as run:
        for number in range(3):
            assert run.until_ended() == DONE
            run.do(lambda driver, name=f"m{number}": driver.say(message(name, f"plain {name}")))
        assert run.until_ended() == DONE
        assert run.all_of(EndInput) == []
        run.end_input()
        assert run.finish() == 0
    assert [each for each in run.said if each.startswith("Done")] == [
        "Done: plain one",
        "Done: plain m0",
        "Done: plain m1",
        "Done: plain m2",
    ]
    assert len(run.ends) == len(run.all_of(TurnBegan)) == 4


def test_its_input_ends_while_it_works(tmp_path: Path) -> None:
    """It does first what it was told."""
    with opencode(tmp_path, "plain", stays_open=True) as run:
        run.end_input()
        assert run.finish() == 0
    assert run.said[-1] == "Done: plain"
    assert run.ends == [DONE]


def test_the_stream_is_cut(tmp_path: Path) -> None:
    """What was said while nobody could hear it is told once, between what was before and after."""
    with opencode(tmp_path, "cut") as run:
        assert run.finish() == 0
    assert run.said == ["Before.", "Meanwhile.", "After."]
    assert [each.data["output"] for each in run.told("tool_result")] == ["made"]
    assert len(run.told("tool_call")) == 1
    assert costs(run) == [0.25]
    assert run.ends == [DONE]


def test_the_turn_ends_while_it_is_read_again(tmp_path: Path) -> None:
    """It is not taken for ended before all that it says is told."""
    with opencode(tmp_path, "cutlate") as run:
        assert run.finish() == 0
    assert run.said == ["Before.", "After."]
    assert costs(run) == [0.25]
    assert run.ends == [DONE]


def test_the_end_of_the_turn_is_missed(tmp_path: Path) -> None:
    """That it is idle is found out, and nothing hangs."""
    with opencode(tmp_path, "cutend") as run:
        assert run.finish() == 0
    assert run.said == ["Before.", "Meanwhile."]
    assert costs(run) == [0.25]
    assert run.ends == [DONE]


def test_it_dies(tmp_path: Path) -> None:
    """What it had begun to say is told, and why there is no more of it."""
    with opencode(tmp_path, "die") as run:
        assert run.finish() == 1
    assert run.said == ["I was about to"]
    assert run.ends == [
        TurnEnded(Verdict.FAILED, "opencode has ended by itself, with exit code 3.")
    ]


def test_it_cannot_begin(tmp_path: Path) -> None:
    """A server that ends at once is told with its code, and what it said is there."""
    with opencode(tmp_path, "plain", "broken") as run:
        assert run.finish() == 1
    assert run.ends == [
        TurnEnded(Verdict.FAILED, "opencode has ended by itself, with exit code 1.")
    ]
    assert run.errors == ["Error: the configuration cannot be read"]
    assert "error: Error: the configuration cannot be read" in run.logged


def test_it_never_listens(tmp_path: Path) -> None:
    """It is not waited for without end."""
    with opencode(tmp_path, "plain", "deaf", ready="0.3") as run:
        assert run.finish() == 1
    why = "opencode has not become ready within 0.3 seconds."
    assert run.ends == [TurnEnded(Verdict.FAILED, why)]


def test_very_much_at_once(tmp_path: Path) -> None:
    """A result of 30 MB is told cut, and what cannot be cut is left out and told of."""
    with opencode(tmp_path, "large") as run:
        assert run.finish() == 0
        assert max(map(len, run.errors), default=0) < 1000
    (result,) = run.told("tool_result")
    assert result.data["output"].startswith("line\nline\n")
    assert len(result.data["output"]) < 70_000
    assert "bytes in all]" in result.data["output"]
    assert any(each.startswith("warn: An event of 2097") for each in run.logged)
    assert run.said == ["That was much."]
    assert run.ends == [DONE]


def test_noise(tmp_path: Path) -> None:
    """What means nothing breaks nothing; kinds that are not known are counted."""
    with opencode(tmp_path, "noise") as run:
        assert run.finish() == 0
    assert [each.replace("?", "\ufffd") for each in run.said] == ["Still here, \ufffd and all."]
    assert "\ufffd\ufffd not JSON {" in run.errors
    assert "warn: Warning: something is odd" in run.logged
    (counted,) = [each for each in run.logged if "not known" in each]
    assert "2 lines" in counted
    assert "a.new.kind" in counted
    assert run.ends == [DONE]


def test_an_older_version(tmp_path: Path) -> None:
    """Its routes and events are others, and it works all the same."""
    with opencode(tmp_path, "permission", "old") as run:
        run.answers = lambda asked: Answer(values=("once",))
        assert run.finish() == 0
    (asked,) = run.all_of(Asked)
    assert asked.prompt == "rm -r build"
    assert run.said == ["It was allowed: {'response': 'once'}"]
    assert run.ends == [DONE]


def test_a_conversation_is_continued(tmp_path: Path) -> None:
    """It goes on in its session; what was said before is not told again."""
    with opencode(tmp_path, "cut", conversation="ses_before") as run:
        assert run.finish() == 0
    assert run.all_of(Conversation) == [Conversation("ses_before")]
    assert run.said == ["Before.", "Meanwhile.", "After."]


def test_a_conversation_that_is_gone(tmp_path: Path) -> None:
    """It is not replaced by a new one without a word."""
    with opencode(tmp_path, "plain", conversation="ses_gone") as run:
        assert run.finish() == 1
    why = "The session cannot be opened: no session ses_gone."
    assert run.ends == [TurnEnded(Verdict.FAILED, why)]
    assert run.all_of(Conversation) == []


def test_what_the_user_says_is_on_no_command_line(tmp_path: Path) -> None:
    """Nor is the password of the server."""
    with opencode(tmp_path, "wait --port=1") as run:
        run.until(said("I wait."))
        lines = [
            (Path("/proc") / pid / "cmdline").read_bytes()
            for pid in [str(run.process.pid), *children(run.process.pid)]
        ]
        run.do(lambda driver: driver.say(message("m1", "enough")))
        assert run.finish() == 0
    assert len(lines) >= 2
    assert not any(b"--port=1\0" in each or b"wait" in each for each in lines)
    assert lines[-1].split(b"\0")[-4:] == [b"serve", b"--hostname=127.0.0.1", b"--port=0", b""]


def test_a_script_that_starts_opencode(tmp_path: Path) -> None:
    """Both end, and nothing is waited for in vain."""
    with opencode(tmp_path, "plain", how="") as run:
        assert run.finish() == 0
    assert run.ends == [DONE]
    assert [each for each in Path("/proc").iterdir() if lives_in(each, tmp_path)] == []


def test_it_is_ended_by_a_signal(tmp_path: Path) -> None:
    """It takes opencode along, also where no keeper does that."""
    with opencode(tmp_path, "wait for me") as run:
        run.until(said("I wait."))
        run.process.terminate()
        assert run.finish() == 143
    assert [each for each in Path("/proc").iterdir() if lives_in(each, tmp_path)] == []


def lives_in(process: Path, directory: Path) -> bool:
    """Whether a process has a directory as its own."""
    try:
        return process.name.isdecimal() and (process / "cwd").readlink() == directory
    except OSError:
        return False


def children(pid: int) -> list[str]:
    """The children of a process."""
    return (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()


def bridge(tmp_path: Path, *orders: dict[str, Any], program: str | None = None) -> list[Any]:
    """Give the bridge orders, and read what it says to its end."""
    argv = [sys.executable, "-I", "-S", BRIDGE_PROGRAM, "opencode", "60", "--"]
    argv.append(program or str(install(tmp_path)))
    said = "".join(json.dumps(each) + "\n" for each in orders)
    done = subprocess.run(
        argv, input=said.encode(), capture_output=True, timeout=TIMEOUT, check=False
    )
    return [*map(json.loads, done.stdout.splitlines()), done.returncode]


def test_it_is_told_to_end(tmp_path: Path) -> None:
    """Then it ends at once, whatever it was doing."""
    *_, last, code = bridge(
        tmp_path,
        {"do": "open", "conversation": None},
        {"do": "prompt", "id": "p", "text": "wait"},
        {"do": "end"},
    )
    assert (last["loki.bridge"], last["ok"], code) == ("ended", True, 0)


def test_nothing_is_asked_of_it(tmp_path: Path) -> None:
    """It ends, and does not wait for ever."""
    last, code = bridge(tmp_path)
    assert (last["loki.bridge"], last["ok"], code) == ("ended", True, 0)


def test_there_is_no_opencode(tmp_path: Path) -> None:
    """It says so."""
    last, code = bridge(tmp_path, program=str(tmp_path / "missing"))
    assert (last["ok"], code) == (False, 1)
    assert "cannot be started" in last["why"]


def test_orders_that_are_none(tmp_path: Path) -> None:
    """They are refused, by their name."""
    lines = bridge(
        tmp_path,
        {"do": "open", "conversation": None},
        {"do": "dance", "id": "d"},
        {"do": "permission", "id": "x", "session": "s", "request": "none", "reply": "once"},
    )
    refused = {each["id"]: each["why"] for each in lines[:-1] if each["loki.bridge"] == "refused"}
    assert refused == {"d": "there is no such order", "x": "no such request"}
    assert lines[-1] == 0
