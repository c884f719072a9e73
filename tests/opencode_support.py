"""What the tests of opencode share: a stand-in that is installed, and a run of it to its end."""

from __future__ import annotations

import os
import queue
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from loki_twisted.agents.driving import IDriver, IProvider
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Asked,
    EndInput,
    Output,
    Outputs,
    Spent,
    TurnEnded,
    Write,
)
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message

TIMEOUT = 60
STANDIN = Path(__file__).parent / "standins" / "opencode.py"


def install(directory: Path, how: str = "exec") -> Path:
    """
    Put the stand-in into a directory, as ``opencode``.

    :param how: Stands before the call of it in a script.
    """
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "opencode"
    program.write_text(f'#!/bin/sh\n{how} {shlex.join([sys.executable, str(STANDIN)])} "$@"\n')
    program.chmod(0o755)
    return program


def message(name: str, text: str) -> Message:
    """A message of somebody."""
    return Message(id=name, session_id="s1", text=text, created_at="2026-11-26T00:00:00.000Z")


class Play:
    """
    A run of a provider, driven as the server drives it, without its log.

    The driver is made anew from its memory before each line: what a server does that is started
    anew all the time.

    :ivar outputs: All that was said.
    :ivar answers: What becomes of what is asked; None leaves it open.
    """

    def __init__(
        self, provider: IProvider, request: LaunchRequest, process: subprocess.Popen[bytes]
    ) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.outputs: list[Output] = []
        self.errors: list[str] = []
        self.answers: Callable[[Asked], Answer | None] = lambda asked: None
        self._provider, self._request = provider, request
        self._memory = ""
        self._lines: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        self._open = 2
        for stream, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            threading.Thread(target=self._read, args=(stream, pipe), daemon=True).start()

    def _read(self, stream: str, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self._lines.put((stream, line.decode("utf-8", "replace").rstrip("\n")))
        self._lines.put((stream, None))

    @property
    def facts(self) -> list[Fact]:
        """The events so far."""
        return [each for each in self.outputs if isinstance(each, Fact)]

    @property
    def said(self) -> list[str]:
        """All texts so far."""
        return [each.data["output"] for each in self.told("text")]

    @property
    def logged(self) -> list[str]:
        """All log lines so far, with their levels."""
        return [
            f"{each.type[4:]}: {each.data['message']}"
            for each in self.facts
            if each.type.startswith("log:")
        ]

    @property
    def ends(self) -> list[TurnEnded]:
        """How turns have ended so far."""
        return self.all_of(TurnEnded)

    def told(self, kind: str) -> list[Fact]:
        """What agents said of a kind."""
        return [each for each in self.facts if each.data.get("kind") == kind]

    def all_of(self, kind: type[Any]) -> list[Any]:
        """All outputs of a type so far."""
        return [each for each in self.outputs if isinstance(each, kind)]

    def do(self, act: Callable[[IDriver], Outputs]) -> list[Output]:
        """Have a new driver do something, and carry out what it says."""
        driver = self._provider.driver(self._request, self._memory)
        outputs = list(act(driver))
        assert len(driver.memory()) <= 256 * 1024
        self._memory = driver.memory()
        self.outputs += outputs
        for output in outputs:
            if isinstance(output, Write):
                self.write(output.text)
            elif isinstance(output, EndInput):
                self.end_input()
            elif isinstance(output, Asked) and (answer := self.answers(output)) is not None:
                self.do(lambda driver, key=output.key, said=answer: driver.answer(key, said))
        return outputs

    def write(self, text: str) -> None:
        """Write to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end_input(self) -> None:
        """Let it see the end of its input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def until(self, wanted: Callable[[Output], object]) -> Any:
        """Go on until something is said; give that."""
        while self._open:
            found = next(filter(wanted, self._step()), None)
            if found is not None:
                return found
        raise AssertionError(f"it ended before: {self.outputs[-20:]}")

    def until_ended(self) -> TurnEnded:
        """Go on to the end of the turn."""
        ended: TurnEnded = self.until(lambda output: isinstance(output, TurnEnded))
        return ended

    def finish(self) -> int:
        """Go on to the end; give the exit code."""
        while self._open:
            self._step()
        self.do(lambda driver: driver.ended())
        return self.process.wait(TIMEOUT)

    def _step(self) -> list[Output]:
        stream, line = self._lines.get(timeout=TIMEOUT)
        if line is None:
            self._open -= 1
            return []
        if stream == "stderr":
            self.errors.append(line)
        return self.do(lambda driver: driver.line(stream, line))


@contextmanager
def play(
    provider: IProvider,
    directory: Path,
    prompt: str,
    environ: Mapping[str, str] | None = None,
    argv: Callable[[list[str]], list[str]] = list,
    how: str = "exec",
    **request: Any,
) -> Iterator[Play]:
    """
    Start a provider with the stand-in, and make sure of its end.

    :param argv: Changes the command line.
    :param how: See :func:`install`.
    """
    path = f"{install(directory / 'bin', how).parent}{os.pathsep}{os.environ['PATH']}"
    machine = Machine({**os.environ, "PATH": path, **(environ or {})})
    wanted = LaunchRequest(
        session_id="s1",
        project_dir=str(directory),
        loki_dir=str(directory),
        provider=provider.name,
        prompt=prompt,
        **request,
    )
    plan = provider.plan(wanted, machine)
    with subprocess.Popen(
        argv(list(plan.argv)),
        cwd=plan.cwd,
        env=dict(plan.env),
        stdin=subprocess.PIPE if plan.accepts_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        run = Play(provider, wanted, process)
        try:
            run.do(lambda driver: driver.begin())
            yield run
        finally:
            process.terminate()
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()


def costs(run: Play) -> list[float]:
    """What each step has cost."""
    return [each.amount.cost for each in run.all_of(Spent)]
