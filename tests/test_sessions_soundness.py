"""What drivers of others say, looked at before it is kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import (
    Asked,
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Output,
    Refused,
    Spent,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
    Write,
)
from loki_twisted.agents.providers.driver import Driver
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Effect, InputKind, Option
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.spending import CostOrigin, Spending
from loki_twisted.sessions.guarded import GuardedDriver
from loki_twisted.sessions.soundness import MOST_MEMORY, MOST_OUTPUT
from loki_twisted.sessions.state import SessionState, after_facts

LONE = "\ud800"
ANY: Any = None


def nested(levels: int) -> list[Any]:
    """Lists in lists."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def asked(**changes: Any) -> Asked:
    """A question with something wrong in it."""
    return Asked(**{"key": "k", "kind": InputKind.QUESTION, "prompt": "?", **changes})


SOUND: list[Output] = [
    Fact("log:info", {"level": "info", "message": "ready"}),
    asked(options=[Option(value="a", label="b", effect=Effect.DENY)], details={"x": [1, None]}),
    Withdrawn(None, "gone"),
    Write("x\n" * MOST_OUTPUT),
    EndInput(),
    Conversation("c"),
    Taken("m"),
    Refused("m", "no"),
    TurnBegan(),
    TurnEnded(Verdict.DONE),
    Spent(Spending(cost=float("nan"), input_tokens=10**30), CostOrigin.REPORTED, "all"),
    Hindered(Trouble.RETRYING, "again", 10**15),
    Freed(),
]
UNSOUND: list[Any] = [
    None,
    "text",
    Fact("no:event", {}),
    Fact("session:completed", {"status": "completed"}),
    Fact("heartbeat", {}),
    Fact("input:answered", {}),
    Fact(ANY, {}),
    Fact("log:info", ANY),
    Fact("log:info", {"message": object()}),
    Fact("log:info", {"message": LONE}),
    Fact("log:info", {"message": nested(100_000)}),
    Fact("log:info", {"message": "x" * MOST_OUTPUT}),
    asked(key=5),
    asked(key=[]),
    asked(prompt=LONE),
    asked(options=["a"]),
    asked(details=None),
    asked(timeout_ms="soon"),
    asked(timeout_ms=float("inf")),
    asked(agent_id=[]),
    Withdrawn("k", ANY),
    Write(b"x"),  # type: ignore[arg-type]
    Write(LONE),
    Conversation(5),  # type: ignore[arg-type]
    Taken(ANY),
    TurnEnded("well"),  # type: ignore[arg-type]
    TurnEnded(Verdict.DONE, object()),  # type: ignore[arg-type]
    Spent(ANY),
    Hindered(Trouble.RETRYING, "again", "soon"),  # type: ignore[arg-type]
]


class OtherDriver(Driver):
    """A driver of somebody else's that says, and remembers, what a test wants."""

    remembered: Any = ""

    def __init__(self, *said: Any) -> None:
        self.said = said

    def line(self, stream: str, text: str) -> Any:
        return self.said

    def memory(self) -> Any:
        return self.remembered


def guarded(driver: IDriver, memory: str = "") -> GuardedDriver:
    """The driver as the conductor has it."""
    return GuardedDriver(driver, "s1", memory)


@pytest.mark.parametrize("output", SOUND, ids=lambda output: type(output).__name__)
def test_what_is_sound(output: Output) -> None:
    """What has the shape that is promised goes on as it is."""
    assert str(guarded(OtherDriver(output)).line("stdout", "x")) == str([output])


@pytest.mark.parametrize("output", UNSOUND, ids=lambda output: type(output).__name__)
def test_what_is_not(output: Any) -> None:
    """What could not be stored, or read back, is told as an error in its place."""
    [told, after] = guarded(OtherDriver(output, SOUND[0])).line("stdout", "x")
    assert isinstance(told, Fact)
    assert told.type == "log:error"
    assert told.data["message"].startswith("The driver ")
    assert msgspec.json.encode(told)
    assert after == SOUND[0]


@pytest.mark.parametrize(
    "memory", [None, 5, b"x", LONE, "x" * (MOST_MEMORY + 1)], ids=["none", "5", "b", "lone", "long"]
)
def test_a_memory_that_is_none(memory: Any) -> None:
    """The driver keeps the memory that it had, which the next one can be made with."""
    driver = OtherDriver()
    known = guarded(driver, "before")
    driver.remembered = "after"
    assert known.memory() == "after"
    driver.remembered = memory
    assert known.memory() == "after"


@pytest.mark.parametrize("limit", [None, "long", 0, -1, float("inf")])
def test_a_limit_of_lines_that_is_none(limit: Any) -> None:
    """Lines are as long as they may be where a driver does not say."""
    driver = OtherDriver()
    driver.line_limit = limit
    assert guarded(driver).line_limit == 65536


@pytest.mark.parametrize("limit", [None, "many", 0, -1, float("inf")])
def test_a_limit_of_values_that_is_none(limit: Any) -> None:
    """Lines have as many values as they may where a driver does not say."""
    driver = OtherDriver()
    driver.value_limit = limit
    assert guarded(driver).value_limit == 32768


def test_a_driver_that_says_no_limit_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not, and nothing is logged of that."""
    driver = guarded(OtherDriver())
    monkeypatch.delattr(Driver, "value_limit")
    monkeypatch.setattr(driver, "_failed", pytest.fail)
    assert driver.value_limit == 32768


def test_fields_of_events() -> None:
    """Whatever an event of an agent carries, the session can be stored and read back."""
    facts = [
        Fact("task:created", {"taskId": "t", "title": [1], "description": {}, "status": []}),
        Fact("phase:started", {}),
        Fact("phase:started", {"phase": ["x"]}),
        Fact("agent:spawned", {"agentId": [], "type": 5}),
        Fact("metrics:update", {"costOrigin": [], "cost": "much", "tokensUsed": float("nan")}),
    ]
    session = Session(
        id="s1",
        status=SessionStatus.RUNNING,
        provider="other",
        project_dir="/p",
        started_at="2026-11-26T00:00:00.000Z",
        updated_at="2026-11-26T00:00:00.000Z",
    )
    state = after_facts(SessionState(session), facts, "2026-11-26T00:00:00.000Z")
    for row in (state.session, *state.tasks.values()):
        assert msgspec.json.decode(msgspec.json.encode(row), type=type(row)) == row
    assert state.active_agents == {"5": "5"}
