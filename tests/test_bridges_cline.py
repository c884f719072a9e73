"""The bridge of ``cline``, with a stand-in that asks by files."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from loki_twisted.agents.bridges import cline
from tests.bridges_support import BridgeProcess, standin

OPTIONS = ["--json", "--auto-approve", "false", "--"]


def play(cwd: Path, scenario: str, *, is_impatient: bool = False) -> BridgeProcess:
    """Run the bridge with the stand-in."""
    command = [*standin("cline"), *OPTIONS, f"play {scenario}"]
    return BridgeProcess("cline", "--", *command, cwd=cwd, is_impatient=is_impatient)


def alone(cwd: Path, scenario: str) -> subprocess.CompletedProcess[bytes]:
    """Run the stand-in itself."""
    command = [*standin("cline"), *OPTIONS, f"play {scenario}"]
    return subprocess.run(command, cwd=cwd, capture_output=True, timeout=60, check=False)


def left_over(cwd: Path) -> list[str]:
    return [name for name in os.listdir(cwd) if name.startswith("loki-cline-")]


@pytest.mark.parametrize(
    "scenario", ["text read usage agents result", "noise text result", "failure", "credentials"]
)
def test_all_is_passed_on(tmp_path: Path, scenario: str) -> None:
    """Both streams are as they are without it, and so is the exit code."""
    expected = alone(tmp_path, scenario)
    with play(tmp_path, scenario) as bridge:
        assert bridge.end() == expected.returncode
    assert bridge.passed_on() == expected.stdout
    assert bridge.errors == expected.stderr
    assert [each["loki.bridge"] for each in bridge.own()] == ["begin"]
    assert left_over(tmp_path) == []


def test_an_approval_that_is_given(tmp_path: Path) -> None:
    """The request is told with all that it holds; the decision lets the tool run."""
    with play(tmp_path, "approval result") as bridge:
        asked = bridge.until("approval")
        (directory,) = left_over(tmp_path)
        assert stat.S_IMODE((tmp_path / directory).stat().st_mode) == 0o700
        assert asked["request"] == 1
        assert asked["asked"]["toolName"] == "run_commands"
        assert asked["asked"]["input"] == {"commands": ["touch done"]}
        assert not (tmp_path / "done").exists()
        bridge.order(decision=1, approved=True)
        assert bridge.end() == 0
    assert (tmp_path / "done").exists()
    assert b'"success": true' in bridge.passed_on()
    assert left_over(tmp_path) == []


def test_an_approval_that_is_denied(tmp_path: Path) -> None:
    """The agent learns why."""
    with play(tmp_path, "approval result") as bridge:
        bridge.until("approval")
        bridge.order(decision=1, approved=False, reason="not today")
        assert bridge.end() == 0
    assert not (tmp_path / "done").exists()
    assert b"not today" in bridge.passed_on()


def test_an_approval_that_is_no_longer_wanted(tmp_path: Path) -> None:
    """When the agent has denied it for itself, that is told; a late decision changes nothing."""
    with play(tmp_path, "impatient approval result") as bridge:
        assert bridge.until("approval")["request"] == 1
        assert bridge.until("withdrawn")["request"] == 1
        assert bridge.until("approval")["request"] == 2
        bridge.order(decision=1, approved=True)
        bridge.order(decision=2, approved=False)
        assert bridge.end() == 0
    assert not (tmp_path / "done").exists()


def test_the_same_call_asked_again(tmp_path: Path) -> None:
    """It is another request, though its file has the same name."""
    with play(tmp_path, "approval again other result") as bridge:
        for number in (1, 2, 3):
            assert bridge.until("approval")["request"] == number
            bridge.order(decision=number, approved=True)
        assert bridge.end() == 0
    assert [each["loki.bridge"] for each in bridge.own()] == ["begin", *["approval"] * 3]


def test_a_request_that_is_written_while_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one request, though its file has changed between the look and the reading."""
    said: list[tuple[str, object]] = []

    class Heard:
        def say(self, kind: str, **fields: object) -> None:
            said.append((kind, fields["request"]))

    bridge = cline.Cline(["/bin/true"])
    monkeypatch.setattr(bridge, "voice", Heard())
    monkeypatch.setattr(bridge, "_directory", str(tmp_path))
    request = tmp_path / "session.request.c1.json"
    request.touch()
    read = cline._read

    def written_before(path: str) -> tuple[dict[str, object] | None, int]:
        request.write_text('{"toolName": "run_commands"}', encoding="utf-8")
        os.utime(request, ns=(1, 1))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(cline, "_read", written_before)
        bridge.look()
    bridge.look()
    assert said == [("approval", 1)]


def test_orders_that_are_none(tmp_path: Path) -> None:
    """They are told among the errors, and change nothing."""
    with play(tmp_path, "approval result") as bridge:
        bridge.until("approval")
        assert bridge.process.stdin is not None
        bridge.process.stdin.write(b'no JSON\n[1]\n{"decision": 7, "approved": true}\n')
        bridge.order(decision=1, approved="yes")  # not a yes: only true is
        assert bridge.end() == 0
    assert bridge.errors.count(b"not an order") == 2
    assert not (tmp_path / "done").exists()


def test_a_request_that_is_not_wholly_there(tmp_path: Path) -> None:
    """It is told when it is."""
    script = (
        "import os, time, pathlib\n"
        "place = pathlib.Path(os.environ['CLINE_TOOL_APPROVAL_DIR'])\n"
        "request = place / 's.request.c.json'\n"
        'request.write_text(\'{"toolName": "x\')\n'
        "time.sleep(0.3)\n"
        'request.write_text(\'{"toolName": "xyz"}\')\n'
        "while not (place / 's.decision.c.json').exists(): time.sleep(0.02)\n"
        "print((place / 's.decision.c.json').read_text())\n"
    )
    command = [standin("cline")[0], "-c", script]
    with BridgeProcess("cline", "--", *command, cwd=tmp_path) as bridge:
        assert bridge.until("approval")["asked"] == {"toolName": "xyz"}
        bridge.order(decision=1, approved=True, reason="ok")
        assert bridge.end() == 0
    assert json.loads(bridge.passed_on()) == {"approved": True, "reason": "ok"}


def test_a_line_of_30_mb(tmp_path: Path) -> None:
    """It is passed on whole, and costs the bridge next to no memory."""
    with play(tmp_path, "long text hang") as bridge:
        bridge.until_printed(b"Hello, world.")
        status = Path(f"/proc/{bridge.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        bridge.process.send_signal(signal.SIGTERM)
        bridge.end()
    assert int(peak.split()[1]) < 40_000
    (line,) = [each for each in bridge.said if len(each) > 1_000_000]
    assert len(line) > 30_000_000
    assert len(json.loads(line)["event"]["text"]) == 30_000_000


def test_the_end_by_a_signal(tmp_path: Path) -> None:
    """The bridge ends by the same signal."""
    command = ["/bin/sh", "-c", "echo last; kill -KILL $$"]
    with BridgeProcess("cline", "--", *command, cwd=tmp_path) as bridge:
        assert bridge.end() == -signal.SIGKILL
    assert bridge.passed_on() == b"last\n"
    assert left_over(tmp_path) == []


def test_a_program_that_only_notes_that_it_should_end(tmp_path: Path) -> None:
    """It is interrupted a second later, as its user would; nothing is left."""
    with play(tmp_path, "stubborn") as bridge:
        bridge.until_printed(b"prompt_submit")
        bridge.process.send_signal(signal.SIGTERM)
        assert bridge.end() == 0
    assert b"run_aborted" in bridge.passed_on()
    assert left_over(tmp_path) == []


def test_a_program_that_is_done_and_does_not_end(tmp_path: Path) -> None:
    """When that was said, it is ended."""
    with play(tmp_path, "result hang", is_impatient=True) as bridge:
        bridge.until_printed(b"run_result")
        bridge.order(done=True)
        assert bridge.end() == -signal.SIGTERM
    assert left_over(tmp_path) == []


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """Why it could not be started is told, and the exit code is that of a shell."""
    with BridgeProcess("cline", "--", str(tmp_path / "nothing"), cwd=tmp_path) as bridge:
        assert bridge.end() == 127
    assert bridge.own()[-1]["message"].endswith("No such file or directory")


def test_what_is_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    """A process that holds the output open does not keep the bridge."""
    command = ["/bin/sh", "-c", "sleep 300 & echo $!"]
    with BridgeProcess("cline", "--", *command, cwd=tmp_path) as bridge:
        assert bridge.process.stdout is not None
        bridge.said += [bridge.process.stdout.readline(), bridge.process.stdout.readline()]
        child = int(bridge.said[-1])
        try:
            assert bridge.process.wait() == 0
        finally:
            os.kill(child, signal.SIGKILL)
