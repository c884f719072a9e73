"""The parent that starts a program anew when its source changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loki_twisted.command.reload import changed, snapshot

PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
signal.signal(signal.SIGINT, lambda *_: sys.exit(6))
print("first", os.getpid(), flush=True)
signal.pause()
"""
PARENT = """
import sys
from pathlib import Path
from loki_twisted.command import reload
reload.SECONDS_BETWEEN_LOOKS = 0.02
sys.exit(reload.supervise([sys.executable, sys.argv[1]], Path(sys.argv[1]).parent))
"""


class Supervised:
    """A parent and its program."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def write(self, text: str) -> None:
        """Change the program at one stroke, as editors do."""
        new = self.source.with_suffix(".new")
        new.write_text(text)
        new.replace(self.source)

    def line(self) -> list[str]:
        """The next line that the program prints, as words."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def told(self) -> str:
        """The next line that the parent prints."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def end(self, number: signal.Signals) -> int:
        """Send the parent a signal; gives its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    """A program that prints a word and its process id, and waits."""
    source = tmp_path / "program.py"
    source.write_text(PROGRAM)
    supervised = Supervised(source)
    yield supervised
    if supervised.process.poll() is None:
        supervised.end(signal.SIGTERM)
    for stream in (supervised.process.stdout, supervised.process.stderr):
        assert stream is not None
        stream.close()


def is_running(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return False
    return True


def test_it_starts_anew(supervised: Supervised) -> None:
    """After a change the program is ended and the new one runs; SIGTERM ends both."""
    word, before = supervised.line()
    assert word == "first"
    supervised.write(PROGRAM.replace("first", "second"))
    word, after = supervised.line()

    assert word == "second"
    assert "program.py changed" in supervised.told()
    assert not is_running(before)
    assert supervised.end(signal.SIGTERM) == 5
    assert not is_running(after)


def test_a_mistake_is_survived(supervised: Supervised) -> None:
    """A program that cannot start is started again when it has been mended."""
    supervised.line()
    supervised.write("this is no Python")
    while "ended with code 1" not in supervised.told():
        pass
    supervised.write(PROGRAM.replace("first", "mended"))

    assert supervised.line()[0] == "mended"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 5), (signal.SIGINT, 6)])
def test_signals_are_handed_on(supervised: Supervised, number: signal.Signals, code: int) -> None:
    """The program gets the signal that its parent gets, and its exit code is the parent's."""
    _, process_id = supervised.line()

    assert supervised.end(number) == code
    assert not is_running(process_id)


def test_an_end_of_its_own_is_waited_out(supervised: Supervised) -> None:
    """A program that was killed is not started again by itself; its end is told as shells do."""
    _, process_id = supervised.line()
    os.kill(int(process_id), signal.SIGKILL)

    assert "ended with code 137" in supervised.told()
    assert supervised.end(signal.SIGTERM) == 137


def test_what_counts_as_a_change(tmp_path: Path) -> None:
    """Source files that came, went or changed are named; other files do not count."""
    package = tmp_path / "package"
    package.mkdir()
    for name in ("stays.py", "goes.py", "changes.py", "data.txt"):
        (package / name).write_text("1")
    before = snapshot(tmp_path)
    assert changed(before, snapshot(tmp_path)) == []

    (package / "goes.py").unlink()
    (package / "comes.py").touch()
    (package / "changes.py").write_text("22")
    (package / "data.txt").write_text("22")

    names = [Path(path).name for path in changed(before, snapshot(tmp_path))]
    assert names == ["changes.py", "comes.py", "goes.py"]
