"""Talks with agents of the Agent Client Protocol: with lines that are made here, or a stand-in."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.lines import Cursor, cut_lines
from loki_twisted.agents.outputs import Asked, EndInput, Output, Spent, TurnEnded, Write
from loki_twisted.agents.providers.acp import AcpDriver
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message

STANDIN = Path(__file__).parent / "standins" / "acp_agent.py"
SESSION = "sess-1"
AGENT = "gemini"
PATIENCE = 60
"""Seconds after which a stand-in that hangs is killed."""

REQUEST = LaunchRequest(
    session_id="s1", project_dir="/p", loki_dir="/p", provider=AGENT, prompt="Mend it, please"
)


def request(**changes: Any) -> LaunchRequest:
    """A request that differs in some fields."""
    return attrs.evolve(REQUEST, **changes)


def message(text: str, number: int = 1) -> Message:
    """A message from people."""
    at = "2026-11-26T00:00:00.000Z"
    return Message(id=f"message_{number}", session_id="s1", text=text, created_at=at)


def answer(*values: str) -> Answer:
    """An answer."""
    return Answer(values=values)


def facts_of(outputs: Iterable[Output]) -> list[tuple[str, dict[str, Any]]]:
    """The facts among outputs: type and data, without what is always the same."""
    return [
        (each.type, {k: v for k, v in each.data.items() if k not in ("agentId", "type", "source")})
        for each in outputs
        if isinstance(each, Fact)
    ]


def texts_of(outputs: Iterable[Output], kind: str = "text") -> list[str]:
    """What was said, or thought."""
    return [data["output"] for _, data in facts_of(outputs) if data.get("kind") == kind]


def asked_in(outputs: Iterable[Output]) -> list[Asked]:
    """What was asked."""
    return [each for each in outputs if isinstance(each, Asked)]


def turns_of(outputs: Iterable[Output]) -> list[TurnEnded]:
    """How turns ended."""
    return [each for each in outputs if isinstance(each, TurnEnded)]


def spent_in(outputs: Iterable[Output]) -> list[Spent]:
    """What was spent."""
    return [each for each in outputs if isinstance(each, Spent)]


def written_in(outputs: Iterable[Output]) -> list[dict[str, Any]]:
    """The messages that were written, without what each of them has."""
    messages = []
    for each in outputs:
        if isinstance(each, Write):
            assert each.text.endswith("\n")
            assert each.text.count("\n") == 1
            said = json.loads(each.text)
            assert said.pop("jsonrpc") == "2.0"
            messages.append(said)
    return messages


class Talk:
    """
    A driver, and lines for it that are made here.

    It is made anew from its memory before each line, as if the server had been.
    """

    def __init__(self, **changes: Any) -> None:
        self.request = request(**changes)
        self.driver = AcpDriver(AGENT, self.request)
        self.outputs: list[Output] = []
        self._ids = itertools.count(100)
        self._take(self.driver.begin())

    def _take(self, outputs: Sequence[Output]) -> list[Output]:
        self.outputs += outputs
        return list(outputs)

    def line(self, text: str, stream: str = "stdout") -> list[Output]:
        """Give a line."""
        self.driver = AcpDriver(AGENT, self.request, self.driver.memory())
        return self._take(self.driver.line(stream, text))

    def send(self, **said: Any) -> list[Output]:
        """Give a message."""
        return self.line(json.dumps({"jsonrpc": "2.0", **said}))

    def reply(self, result: Any) -> list[Output]:
        """Answer the last request."""
        return self.send(id=self.last_request["id"], result=result)

    def fail(self, code: int, text: str, data: Any = None) -> list[Output]:
        """Refuse the last request."""
        error = {"code": code, "message": text, "data": data}
        return self.send(id=self.last_request["id"], error=error)

    @property
    def last_request(self) -> dict[str, Any]:
        """The last request of the driver."""
        return [each for each in written_in(self.outputs) if "method" in each and "id" in each][-1]

    def update(self, kind: str, /, **fields: Any) -> list[Output]:
        """Report something."""
        params = {"sessionId": SESSION, "update": {"sessionUpdate": kind, **fields}}
        return self.send(method="session/update", params=params)

    def say(self, text: str, kind: str = "agent_message_chunk", **fields: Any) -> list[Output]:
        """Report a piece of text."""
        return self.update(kind, content={"type": "text", "text": text}, **fields)

    def tell(self, text: str, number: int = 1) -> list[Output]:
        """Give the driver a message of people."""
        return self._take(self.driver.say(message(text, number)))

    def quiet(self) -> list[Output]:
        """Let nothing come for a second."""
        return self._take(self.driver.quiet())

    def ask(self, method: str, **params: Any) -> tuple[int, list[Output]]:
        """Ask for something; the id and what the driver made of it."""
        number = next(self._ids)
        outputs = self.send(id=number, method=method, params={"sessionId": SESSION, **params})
        return number, outputs

    def ask_permission(self, **changes: Any) -> tuple[int, list[Output]]:
        """Ask for a permission."""
        params = {
            "toolCall": {"toolCallId": "c1", "title": "Run make", "kind": "execute"},
            "options": [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}],
        }
        return self.ask("session/request_permission", **{**params, **changes})

    def open(self, **greeting: Any) -> list[Output]:
        """Greet, and open the session."""
        self.reply({"protocolVersion": 1, **greeting})
        return self.reply({"sessionId": SESSION})


@attrs.define
class Run:
    """
    A run of the stand-in over pipes, with a driver that is made anew before each line.

    :ivar manner: How it begins.
    :ivar answers: Answers what is asked, at once; None for nobody.
    :ivar messages: Said whenever the driver is ready.
    :ivar interrupts_at: Whether to interrupt, seeing what was said so far; once.
    :ivar kills_at_end: Kill it once its input has ended, because it does not end by itself.
    :ivar complains: See :class:`AcpDriver`.
    :ivar outputs: All that the driver said.
    :ivar code: Its exit code; below 0 where we killed it.
    """

    manner: str
    request: LaunchRequest
    answers: Callable[[Asked], Answer] | None
    messages: list[Message]
    interrupts_at: Callable[[Sequence[Output]], bool]
    kills_at_end: bool
    complains: bool
    outputs: list[Output] = attrs.field(factory=list)
    code: int | None = None

    def run(self) -> None:
        """Let it run to its end."""
        argv = [sys.executable, "-I", str(STANDIN), self.manner]
        pipe = subprocess.PIPE
        driver = self._driver("")
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            guard = threading.Timer(PATIENCE, process.kill)
            guard.start()
            self._carry_out(process, driver, driver.begin())
            while line := process.stdout.readline():
                (text,), _ = cut_lines(Cursor(), line, is_last=True, limit=driver.line_limit)
                driver = self._driver(driver.memory())
                self._carry_out(process, driver, driver.line("stdout", text))
                if "available_commands_update" in text:
                    # After that the stand-in says nothing by itself, when it was loaded.
                    self._carry_out(process, driver, driver.quiet())
            for error in process.stderr.read().decode().splitlines():
                self.outputs += driver.line("stderr", error)
            self.code = process.wait()
            guard.cancel()
        self.outputs += driver.ended()

    def _driver(self, memory: str) -> AcpDriver:
        return AcpDriver(AGENT, self.request, memory, complains=self.complains)

    def _carry_out(
        self, process: subprocess.Popen[bytes], driver: AcpDriver, outputs: Iterable[Output]
    ) -> None:
        """Do what the driver wants, and what people want of it then."""
        assert process.stdin is not None
        for output in outputs:
            self.outputs.append(output)
            if isinstance(output, Write):
                process.stdin.write(output.text.encode())
                process.stdin.flush()
            elif isinstance(output, EndInput) and not self.messages:
                process.stdin.close()
                if self.kills_at_end:
                    process.kill()
            elif isinstance(output, Asked) and self.answers is not None:
                self._carry_out(process, driver, driver.answer(output.key, self.answers(output)))
        if self.interrupts_at(self.outputs):
            self.interrupts_at = lambda _: False
            self._carry_out(process, driver, driver.interrupt())
        elif driver.is_ready and self.messages:
            self._carry_out(process, driver, driver.say(self.messages.pop(0)))


def run_standin(
    manner: str,
    wanted: LaunchRequest,
    answers: Callable[[Asked], Answer] | None = lambda asked: answer(asked.options[0].value),
    messages: Sequence[Message] = (),
    *,
    interrupts_at: Callable[[Sequence[Output]], bool] = lambda _: False,
    kills_at_end: bool = False,
    complains: bool = False,
) -> Run:
    """Let the stand-in run to its end; see :class:`Run`."""
    run = Run(manner, wanted, answers, list(messages), interrupts_at, kills_at_end, complains)
    run.run()
    return run
