"""A driver of Claude Code for tests: by hand, line by line, and beside the stand-in over pipes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import Asked, EndInput, Hindered, Output, TurnEnded, Write
from loki_twisted.agents.providers.claude import ClaudeProvider
from loki_twisted.agents.providers.claude_driver import ClaudeDriver
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Delivery, Message

STANDIN = Path(__file__).parent / "standins" / "claude.py"
MOST_SECONDS = 60
"""A run of the stand-in that takes longer hangs."""

REQUEST = LaunchRequest(
    session_id="s1", project_dir="/p", loki_dir="/p", provider="claude", prompt="Mend the test"
)


def message(text: str, number: int = 1, delivery: Delivery = Delivery.NEXT) -> Message:
    """A message to the agent."""
    return Message(
        id=f"message_{number}",
        session_id="s1",
        text=text,
        created_at="2026-11-26T00:00:00.000Z",
        delivery=delivery,
    )


def answer(*values: str, words: str | None = None) -> Answer:
    """An answer of people."""
    return Answer(values=values, message=words)


def written(outputs: Iterable[Output]) -> list[Any]:
    """The lines that are written, as objects."""
    texts = [each.text for each in outputs if isinstance(each, Write)]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def facts(outputs: Iterable[Output], kind: str = "") -> list[Fact]:
    """The facts of a type, or of all."""
    return [each for each in outputs if isinstance(each, Fact) and each.type.startswith(kind)]


def words(outputs: Iterable[Output]) -> list[str]:
    """What agents say, and log lines."""
    found = facts(outputs)
    return [each.data.get("message") or each.data.get("output", "") for each in found]


def of_type(outputs: Iterable[Output], *types: type) -> list[Any]:
    """The outputs of some types."""
    return [each for each in outputs if isinstance(each, types)]


class Desk:
    """A driver that is made anew from its memory for each step, as if servers crashed all day."""

    def __init__(self, **changes: Any) -> None:
        self.request = attrs.evolve(REQUEST, **changes)
        self.memory = ""

    @property
    def driver(self) -> ClaudeDriver:
        """The driver as it is now."""
        return ClaudeDriver(self.request, self.memory)

    def step(self, name: str, *arguments: Any) -> list[Output]:
        """Call a method of the driver."""
        driver = self.driver
        outputs = list(getattr(driver, name)(*arguments))
        self.memory = driver.memory()
        return outputs

    def line(self, kind: str, **fields: Any) -> list[Output]:
        """Let it read an object."""
        return self.step("line", "stdout", json.dumps({"type": kind, **fields}))

    def lines(self, *lines: dict[str, Any]) -> list[Output]:
        """Let it read some objects."""
        return [output for each in lines for output in self.line(each.pop("type"), **each)]

    def say(self, *blocks: dict[str, Any], **fields: Any) -> list[Output]:
        """Let it read an answer of the model."""
        return self.line("assistant", message={"id": "msg_1", "content": list(blocks)}, **fields)

    def result(self, **fields: Any) -> list[Output]:
        """Let it read the end of a turn."""
        line = {"subtype": "success", "is_error": False, "result": "Done", "num_turns": 1}
        return self.line("result", **{**line, **fields})

    def over(self, **fields: Any) -> list[Output]:
        """Let it read the end of a turn, and nothing for a second."""
        return self.result(**fields) + self.step("quiet")

    def asks(self, tool: str, request_id: str = "p1", **fields: Any) -> list[Output]:
        """Let it read a request for a permission."""
        request = {"subtype": "can_use_tool", "tool_name": tool, **fields}
        return self.line("control_request", request_id=request_id, request=request)

    @classmethod
    def at_work(cls, **changes: Any) -> Desk:
        """One whose agent is in its first turn."""
        desk = cls(**changes)
        desk.step("begin")
        desk.line("system", subtype="init", session_id="c1", model="m")
        return desk

    @classmethod
    def idle(cls, **changes: Any) -> Desk:
        """One whose agent has done, and waits for messages."""
        desk = cls.at_work(stays_open=True, **changes)
        desk.result()
        return desk


def install(directory: Path) -> Machine:
    """Put the stand-in on the PATH of a machine."""
    program = directory / "bin" / "claude"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{STANDIN}' \"$@\"\n", "utf-8")
    program.chmod(0o755)
    return Machine({"PATH": f"{program.parent}:/usr/bin:/bin"})


class Play:
    """
    The stand-in and a driver, joined by pipes; both are real but for the time that passes: behind a
    turn a second of silence, or what it is to be waited for, takes none.

    :param directory: Where the stand-in runs.
    :param answers: What people answer; None is nothing.
    :param then: Called with each output; gives what people do then, as calls of the driver.
    """

    def __init__(
        self,
        directory: Path,
        prompt: str,
        answers: Callable[[Asked], Answer | None] = lambda _: None,
        then: Callable[[Output], Sequence[tuple[Any, ...]]] = lambda _: (),
        **changes: Any,
    ) -> None:
        self.desk = Desk(prompt=prompt, project_dir=str(directory), **changes)
        self.outputs: list[Output] = []
        self._answers = answers
        self._then = then
        plan = ClaudeProvider().plan(self.desk.request, install(directory))
        self._process = subprocess.Popen(
            plan.argv,
            cwd=plan.cwd,
            env=dict(plan.env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )

    def kill(self) -> None:
        """End the stand-in."""
        self._process.kill()

    def run(self) -> Play:
        """Play to the end of the stand-in; its exit code is ``code``."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        limit = threading.Timer(MOST_SECONDS, process.kill)
        limit.start()
        try:
            with process:
                self._do("begin")
                for line in process.stdout:
                    self._do("line", "stdout", line.removesuffix("\n"))
                for line in process.stderr:
                    self._do("line", "stderr", line.removesuffix("\n"))
        finally:
            limit.cancel()
        self.code = process.returncode
        self._do("ended")
        return self

    def _do(self, name: str, *arguments: Any) -> None:
        outputs = self.desk.step(name, *arguments)
        self.outputs += outputs
        for output in outputs:
            self._take(output)
        if of_type(outputs, TurnEnded):
            self._do("wake" if of_type(outputs, Hindered) else "quiet")

    def _take(self, output: Output) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        match output:
            case Write(text):
                stdin.write(text)
                stdin.flush()
            case EndInput():
                stdin.close()
            case Asked():
                given = self._answers(output)
                if given is not None:
                    self._do("answer", output.key, given)
        for step in self._then(output):
            self._do(*step)
