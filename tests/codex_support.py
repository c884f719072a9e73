"""What the tests of codex's drivers share: its lines, and a codex at the other end of pipes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import Asked, EndInput, Output, TurnEnded, Write
from loki_twisted.agents.providers.codex_app_server import AppServerDriver
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Delivery, Message

STANDIN = str(Path(__file__).parent / "standins" / "codex.py")

MakeDriver = Callable[[str], IDriver]


def request(prompt: str = "plain work", **changes: Any) -> LaunchRequest:
    """A request for a session of codex."""
    fields = {"session_id": "s1", "project_dir": "/p", "loki_dir": "/p", "provider": "codex"}
    return LaunchRequest(**{**fields, "prompt": prompt, **changes})


def message(text: str, delivery: Delivery = Delivery.NOW, name: str = "m1") -> Message:
    """A message of a user."""
    at = "2026-11-26T00:00:00.000Z"
    return Message(id=name, session_id="s1", text=text, created_at=at, delivery=delivery)


def choose(*values: str, message: str | None = None) -> Answer:
    """An answer."""
    return Answer(values=values, message=message)


def line(**members: Any) -> str:
    """A line, as JSON."""
    return json.dumps(members)


def tell(method: str, **params: Any) -> str:
    """A notification in the turn that is on."""
    return line(method=method, params={"threadId": "t", "turnId": "u1", **params})


def ask(method: str, call: Any = 70, **params: Any) -> str:
    """A request in the turn that is on."""
    whole = {"threadId": "t", "turnId": "u1", "itemId": "i1", **params}
    return line(id=call, method=method, params=whole)


def begun(turn: str = "u1") -> str:
    """A turn has begun."""
    return tell("turn/started", turn={"id": turn, "status": "inProgress"})


def over(status: str = "completed", turn: str = "u1", error: Any = None) -> str:
    """A turn is over."""
    return tell("turn/completed", turn={"id": turn, "status": status, "error": error})


OPENING = (
    line(id=1, result={"userAgent": "codex"}),
    line(id=2, result={"account": {"type": "apiKey"}, "requiresOpenaiAuth": True}),
    line(id=3, result={"thread": {"id": "t"}, "model": "gpt"}),
)
"""The answers that come before the first turn."""

WORKING = (*OPENING, line(id=4, result={"turn": {"id": "u1"}}))
"""And that of the turn."""


def hear(driver: IDriver, *lines: str) -> list[Output]:
    """Give a driver lines of standard output."""
    return [output for each in lines for output in driver.line("stdout", each)]


def working(**changes: Any) -> AppServerDriver:
    """A driver of a codex that is at work on its first turn."""
    driver = AppServerDriver(request(**changes), "")
    driver.begin()
    hear(driver, *WORKING)
    return driver


def written(outputs: Iterable[Output]) -> list[Any]:
    """What outputs write, read back."""
    return [json.loads(each.text) for each in outputs if isinstance(each, Write)]


def facts(outputs: Iterable[Output], prefix: str = "") -> list[Fact]:
    """The facts among outputs whose type begins so."""
    found = [each for each in outputs if isinstance(each, Fact)]
    return [each for each in found if each.type.startswith(prefix)]


def said(outputs: Iterable[Output], kind: str = "text") -> list[str]:
    """What agents put out of a kind."""
    told = facts(outputs, "agent:output")
    return [each.data["output"] for each in told if each.data["kind"] == kind]


def of(kind: type[Any], outputs: Iterable[Output]) -> list[Any]:
    """The outputs of a kind."""
    return [each for each in outputs if isinstance(each, kind)]


class Play:
    """
    A driver, with a codex that plays at the other end of pipes.

    :ivar outputs: All that the driver has said.
    :ivar react: Called with each output, to do something about it.
    """

    def __init__(self, make: MakeDriver, arguments: Sequence[str]) -> None:
        self.make = make
        self._arguments = arguments
        self.driver = make("")
        self.outputs: list[Output] = []
        self.react: Callable[[Output], None] = lambda _: None

    def run(self, *, remade: bool = False) -> int:
        """
        Play to the end.

        :param remade: Whether the driver is made anew from its memory after each line.
        :returns: The exit code.
        """
        with tempfile.TemporaryFile("w+") as errors:
            agent = subprocess.Popen(
                [sys.executable, STANDIN, *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )
            self._agent = agent
            with agent:
                self.take(self.driver.begin())
                assert agent.stdout is not None
                for each in agent.stdout:
                    if remade:
                        self.driver = self.make(self.driver.memory())
                    self.take(self.driver.line("stdout", each.rstrip("\n")))
            errors.seek(0)
            for each in errors:
                self.take(self.driver.line("stderr", each.rstrip("\n")))
        self.take(self.driver.ended())
        return agent.returncode

    def take(self, outputs: Iterable[Output]) -> None:
        """Do what the driver says."""
        assert self._agent.stdin is not None
        for each in outputs:
            self.outputs.append(each)
            if isinstance(each, Write):
                try:
                    self._agent.stdin.write(each.text)
                    self._agent.stdin.flush()
                except BrokenPipeError:
                    continue  # It has ended, which is seen by the end of its output.
            elif isinstance(each, EndInput):
                self._agent.stdin.close()
            self.react(each)

    def answering(self, *answers: Answer) -> None:
        """Answer what is asked, in order; what comes after that stays open."""
        rest = list(answers)

        def react(output: Output) -> None:
            if isinstance(output, Asked) and rest:
                self.take(self.driver.answer(output.key, rest.pop(0)))

        self.react = react

    def verdicts(self) -> list[TurnEnded]:
        """How the turns ended."""
        return of(TurnEnded, self.outputs)

    def stop(self) -> None:
        """End the agent."""
        self._agent.kill()

    def written(self) -> list[Any]:
        """What was written to the agent, read back."""
        return written(self.outputs)


def app_server(prompt: str, **changes: Any) -> Play:
    """A play of ``codex app-server``."""
    wanted = request(prompt, **changes)
    return Play(lambda memory: AppServerDriver(wanted, memory), ["app-server"])
