"""What the tests of bridges share: a bridge as a process, with a stand-in behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from loki_twisted.agents import bridges

PROGRAM = Path(bridges.__file__).with_name("__main__.py")
STANDINS = Path(__file__).parent / "standins"

_IMPATIENT = """
import sys
sys.path.append({agents!r})
from bridges import {name}
{name}.HANG_SECONDS = 0.1
sys.exit({name}.main(sys.argv[1:]))
"""
"""The same program, but one that does not wait for long."""


class BridgeProcess:
    """
    A bridge that runs.

    :ivar said: All lines that it has printed so far.
    """

    def __init__(
        self,
        name: str,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        is_impatient: bool = False,
    ) -> None:
        how = [str(PROGRAM), name]
        if is_impatient:
            agents = str(PROGRAM.parent.parent)
            how = ["-c", _IMPATIENT.format(agents=agents, name=name)]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", *how, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(cwd), **(env or {})},
        )
        self.said: list[bytes] = []
        self.errors = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            # Its program would go on without it: a keeper would end it, but here there is none.
            pid = self.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            self.process.kill()
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):  # what it did not read
                stream.close()

    def order(self, **fields: Any) -> None:
        """Give it an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(fields).encode() + b"\n")
        self.process.stdin.flush()

    def lines(self) -> Iterator[bytes]:
        """Read on, line by line, to its end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            yield line

    def until(self, kind: str) -> dict[str, Any]:
        """Read on to the next line of its own of a kind."""
        for line in self.lines():
            found = own(line)
            if found.get("loki.bridge") == kind:
                return found
        raise AssertionError(f"it ended without {kind!r}: {self.said}")

    def until_printed(self, words: bytes) -> None:
        """Read on to a line that holds some words."""
        assert any(words in line for line in self.lines()), self.said

    def end(self) -> int:
        """Let its input end, and read all that comes; gives its exit code, or minus the signal."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        for _ in self.lines():
            pass
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()
        return self.process.wait()

    def own(self) -> list[dict[str, Any]]:
        """Those lines so far that are the bridge's."""
        key = own(self.said[0])["key"]
        return [each for each in map(own, self.said) if each.get("key") == key]

    def passed_on(self) -> bytes:
        """What it has printed beside those."""
        key = own(self.said[0])["key"]
        return b"".join(line for line in self.said if own(line).get("key") != key)


def own(line: bytes) -> dict[str, Any]:
    """A line of a bridge; empty for any other."""
    if not line.startswith(b'{"loki.bridge"'):
        return {}
    found: dict[str, Any] = json.loads(line)
    return found


def standin(name: str) -> list[str]:
    """How a stand-in is started."""
    return [sys.executable, str(STANDINS / f"{name}.py")]
