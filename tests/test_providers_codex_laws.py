"""Laws of codex's drivers: nothing breaks them, and one that is made anew goes on all the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import Asked, Output, Write
from loki_twisted.agents.providers.codex_app_server import AppServerDriver
from loki_twisted.agents.providers.codex_exec import ExecDriver
from loki_twisted.model.events import Fact
from loki_twisted.model.messages import Delivery
from tests.codex_support import (
    OPENING,
    WORKING,
    ask,
    begun,
    choose,
    hear,
    line,
    message,
    over,
    request,
    tell,
    working,
)
from tests.standins.codex import exec_fail, exec_plain

MOST_MEMORY = 256 * 1024


def _item(kind: str, name: str = "i1", **members: Any) -> Sequence[str]:
    item = {"type": kind, "id": name, "status": "completed", **members}
    return [tell("item/started", item=item), tell("item/completed", item=item)]


WINDOW = {"usedPercent": 100, "resetsAt": 1_800_000_000}
CHANGE = {"path": "a", "kind": {"type": "add"}, "diff": "+1"}
SERVER_LINES = [
    *OPENING,
    line(id=4, result={"turn": {"id": "u1"}}),
    line(id=5, result={"turnId": "u1"}),
    line(id=5, error={"code": -32600, "message": "no"}),
    begun(),
    over(),
    over("failed", error={"message": "no", "codexErrorInfo": "usageLimitExceeded"}),
    line(method="thread/started", params={"thread": {"id": "t"}}),
    *_item("commandExecution", command="ls", aggregatedOutput="x", exitCode=0),
    *_item("fileChange", changes=[CHANGE]),
    *_item("mcpToolCall", server="s", tool="t", arguments={"a": 1}, result={"content": []}),
    *_item("collabAgentToolCall", tool="spawnAgent", receiverThreadIds=["o"], agentsStates={}),
    *_item("collabAgentToolCall", tool="wait", agentsStates={"o": {"status": "completed"}}),
    *_item("agentMessage", text="Hello"),
    *_item("reasoning", summary=["a"], content=["b"]),
    tell("turn/plan/updated", plan=[{"step": "a", "status": "inProgress"}, {"step": "b"}]),
    tell("thread/tokenUsage/updated", tokenUsage={"total": {"inputTokens": 5}, "last": {}}),
    line(method="account/rateLimits/updated", params={"rateLimits": {"primary": WINDOW}}),
    tell("error", error={"message": "x", "codexErrorInfo": {"other": 1}}, willRetry=True),
    tell("error", error={"message": "x"}, willRetry=False),
    line(method="serverRequest/resolved", params={"threadId": "t", "requestId": 70}),
    ask("item/commandExecution/requestApproval", command="ls", availableDecisions=["accept"]),
    ask("item/fileChange/requestApproval"),
    ask("item/permissions/requestApproval", permissions={"network": {}}),
    ask("item/tool/requestUserInput", questions=[{"id": "q", "options": [{"label": "a"}]}]),
    ask(
        "mcpServer/elicitation/request",
        serverName="s",
        mode="form",
        requestedSchema={"properties": {"a": {"type": "integer"}, "b": {"enum": ["x"]}}},
    ),
    ask("item/tool/call", tool="x"),
    tell("new/thing"),
    line(method="warning", params={"message": "x"}),
]
EXEC_LINES = [
    line(type="thread.started", thread_id="t"),
    line(type="turn.started"),
    *(line(**each) for each in (*exec_plain(), *exec_fail())),
    line(type="turn.completed", usage={"input_tokens": 5, "cached_input_tokens": 3}),
    line(type="new.thing"),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def lines_of(draw: Callable[[Any], Any], known: Sequence[str]) -> str:
    """One of the lines that are known, now and then with something else in one place of it."""
    found = json.loads(draw(st.sampled_from(known)))
    if draw(st.integers(0, 3)):
        return json.dumps(found)
    place: Any = found
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        if isinstance(place, dict) and draw(st.booleans()):
            del place[key]
        else:
            place[key] = draw(JSON)
        return json.dumps(found)


def occasions(known: Sequence[str]) -> st.SearchStrategy[Any]:
    """What may come to a driver, in any order: lines most of the time."""
    line_ = st.tuples(st.just("stdout"), lines_of(known))
    say = st.tuples(st.just("say"), st.sampled_from(Delivery))
    answer = st.tuples(st.just("answer"), st.sampled_from(["accept", "decline", "x", "7"]))
    noise = st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(max_size=20))
    others = st.tuples(st.sampled_from(["interrupt", "wake", "quiet"]), st.none())
    return st.lists(
        st.one_of(line_, line_, line_, line_, answer, say, others, noise),
        min_size=10,
        max_size=60,
    )


class Life:
    """A driver, and all that it was ever asked."""

    def __init__(self, make: Callable[[str], IDriver], *, remade: bool) -> None:
        self._make, self._remade = make, remade
        self.driver = make("")
        self.open: list[str] = []

    def meet(self, kind: str, what: Any) -> list[Output]:
        """Let something come to it."""
        if self._remade:
            self.driver = self._make(self.driver.memory())
        outputs = list(self._outputs(kind, what))
        self.open += [each.key for each in outputs if isinstance(each, Asked)]
        return outputs

    def _outputs(self, kind: str, what: Any) -> Sequence[Output]:
        driver = self.driver
        if kind == "say":
            takes = driver.is_ready or driver.takes_now
            return driver.say(message("more", what)) if takes else ()
        if kind == "answer":
            key = self.open.pop(0) if self.open else "none"
            return driver.answer(key, choose(what, message=None if what == "x" else "why"))
        if kind in {"stdout", "stderr"}:
            return driver.line(kind, what)
        outputs: Sequence[Output] = getattr(driver, kind)()
        return outputs


def check(make: Callable[[str], IDriver], met: Sequence[tuple[str, Any]]) -> None:
    """Let two drivers live through the same, one of them made anew each time."""
    one, other = Life(make, remade=False), Life(make, remade=True)
    for kind, what in [("begin", None), *met, ("ended", None)]:
        outputs = one.meet(kind, what)
        assert other.meet(kind, what) == outputs
        assert (one.driver.is_ready, one.driver.takes_now) == (
            other.driver.is_ready,
            other.driver.takes_now,
        )
        assert len(one.driver.memory().encode()) <= MOST_MEMORY
        for output in outputs:
            if isinstance(output, Fact):
                assert len(msgspec.json.encode(output.data)) < 512 * 1024
                assert not output.type.startswith(("session:", "message:"))
            if isinstance(output, Asked):
                msgspec.json.encode([output.details, output.options, output.prompt])
            if isinstance(output, Write):
                assert output.text.endswith("\n") or kind == "begin"


@given(occasions(SERVER_LINES), st.sampled_from(["new", "opened", "working"]), st.booleans())
def test_the_app_server(met: Sequence[tuple[str, Any]], stage: str, stays_open: bool) -> None:
    """Whatever it prints, in whatever order, a driver bears, remembers and goes on from."""
    before = {"new": (), "opened": OPENING, "working": WORKING}[stage]
    opening = [("stdout", each) for each in before]
    wanted = request(stays_open=stays_open)
    check(lambda memory: AppServerDriver(wanted, memory), [*opening, *met])


@given(occasions(EXEC_LINES))
def test_exec(met: Sequence[tuple[str, Any]]) -> None:
    """So does that of ``codex exec``."""
    check(lambda memory: ExecDriver(request(model="o9"), memory), met)


HOSTILE = [
    "{" * 10_000,
    '{"method":"item/completed","params":' + '{"item":' * 900 + "1" + "}" * 901,
    '{"type":"item.completed","item":' + "[" * 900 + "]" * 900 + "}",
    '{"method":"\ud800"}',
    "\ud800",
    "\0",
    '{"method":"item/started","params":{"item":{"type":"mcpToolCall","id":"a","arguments":'
    + "[" * 940
    + "]" * 940
    + "}}}",
]


def test_hostile_lines() -> None:
    """Depth, lone surrogates and zeros are borne, and facts that come of them can be stored."""
    for driver in (working(), ExecDriver(request(), "")):
        for each in HOSTILE:
            for stream in ("stdout", "stderr"):
                for output in driver.line(stream, each):
                    assert isinstance(output, Fact)
                    msgspec.json.encode(output.data)


def test_the_most_that_is_remembered() -> None:
    """Filled with all that it can hold, the memory keeps within its limit."""
    driver = working()
    wide = '\n"' * 1500
    changes = [{"path": wide, "kind": {"type": "add"}}]
    for number in range(80):
        name = f"{number:<128}"
        item = {"type": "fileChange", "id": name, "changes": changes}
        started = {"type": "collabAgentToolCall", "id": "c", "tool": "spawnAgent"}
        hear(
            driver,
            tell("item/started", item=item),
            tell("item/completed", item={**started, "receiverThreadIds": [name], "prompt": wide}),
            ask("item/commandExecution/requestApproval", number, command=wide),
            ask("item/permissions/requestApproval", f"p{number}", permissions={"a": wide}),
            tell(f"new/{wide}{number}"),
            tell("error", error={"message": wide, "codexErrorInfo": wide}),
        )
        driver.say(message(wide, name=f"m{number}"))
    steps = [{"step": f"{number}{wide}", "status": wide} for number in range(1000)]
    hear(driver, tell("turn/plan/updated", plan=steps))
    assert 100_000 < len(driver.memory().encode()) <= MOST_MEMORY
