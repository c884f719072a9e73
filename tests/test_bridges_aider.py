"""The bridge of ``aider``, with a stand-in that is started for each message."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

from tests.bridges_support import BridgeProcess, standin

FIXED = ["--yes-always", "--no-pretty"]


def bridge_of(tmp_path: Path, *, name: str = "talk", is_impatient: bool = False) -> BridgeProcess:
    """Run the bridge with the stand-in."""
    place = str(tmp_path / "state" / name)
    command = [*standin("aider"), *FIXED]
    return BridgeProcess("aider", place, "--", *command, cwd=tmp_path, is_impatient=is_impatient)


def test_one_message(tmp_path: Path) -> None:
    """Its reports and its output are told between the beginning and the end of its turn."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play edit", id="m1")
        assert bridge.until("ended")["code"] == 0
        assert bridge.end() == 0
    told = [each for each in bridge.own() if each["loki.bridge"] != "idle"]
    assert [each["loki.bridge"] for each in told] == [
        "begin",
        "turn",
        *["analytics"] * 4,
        "ended",
    ]
    assert told[0]["conversation"] == "talk"
    assert told[1]["message"] == told[-1]["message"] == "m1"
    assert told[-1] == told[-1] | {"signal": None, "interrupted": False}
    assert [each["event"] for each in told[2:-1]] == [
        "launched",
        "message_send_starting",
        "message_send",
        "exit",
    ]
    assert told[4]["properties"]["prompt_tokens"] == 4200
    printed = bridge.passed_on()
    assert b"Applied edit to parser.py\nCommit 0a1b2c3 fix: the parser\n" in printed
    assert printed.startswith(b"Aider v0.86.3\n")


def test_messages_one_after_the_other(tmp_path: Path) -> None:
    """Each has a process of its own, and knows those before it."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play restored", id="m1")
        bridge.order(message="play restored", id="m2")
        assert bridge.end() == 0
    printed = bridge.passed_on()
    assert printed.index(b"I remember 0 messages.") < printed.index(b"I remember 1 messages.")
    turns = [each["message"] for each in bridge.own() if each["loki.bridge"] == "turn"]
    assert turns == ["m1", "m2"]


def test_a_conversation_goes_on_in_another_run(tmp_path: Path) -> None:
    """By the name of its directory; another name is another conversation."""
    for name, count in (("talk", 0), ("talk", 1), ("other", 0)):
        with bridge_of(tmp_path, name=name) as bridge:
            bridge.order(message="play restored")
            assert bridge.end() == 0
        assert b"I remember %d messages." % count in bridge.passed_on()


def test_what_is_said_stays_private(tmp_path: Path) -> None:
    """Nobody else can read the message, and no list of processes shows it."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play endless s3cret")
        bridge.until_printed(b"I work.")
        place = tmp_path / "state" / "talk"
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert stat.S_IMODE((place / "message.txt").stat().st_mode) == 0o600
        children = Path(f"/proc/{bridge.process.pid}/task/{bridge.process.pid}/children")
        for pid in [bridge.process.pid, *children.read_text().split()]:
            assert b"s3cret" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_an_interrupted_message(tmp_path: Path) -> None:
    """The process ends, the bridge stays and takes the next message."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play endless", id="m1")
        bridge.until_printed(b"I work.")
        bridge.order(interrupt=True)
        ended = bridge.until("ended")
        assert ended["interrupted"] is True
        bridge.order(message="play answer", id="m2")
        assert bridge.until("ended")["interrupted"] is False
        assert bridge.end() == 0


def test_it_says_that_it_has_nothing_to_do(tmp_path: Path) -> None:
    """Once after each turn, when no message has come for a second."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play answer")
        bridge.until("idle")
        bridge.order(message="play answer")
        bridge.until("idle")
        assert bridge.end() == 0
    assert sum(each["loki.bridge"] == "idle" for each in bridge.own()) == 2


def test_a_process_that_is_done_and_does_not_end(tmp_path: Path) -> None:
    """It is ended when it has reported its end and hangs."""
    with bridge_of(tmp_path, is_impatient=True) as bridge:
        bridge.order(message="play hang")
        assert bridge.until("ended")["signal"] == signal.SIGTERM
        assert bridge.end() == -signal.SIGTERM


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    """That is told, and is the end of the bridge too, when there is nothing more to do."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play gone")
        assert bridge.until("ended")["signal"] == signal.SIGKILL
        assert bridge.end() == -signal.SIGKILL


def test_a_process_that_fails(tmp_path: Path) -> None:
    """The exit code of the last message is that of the bridge."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play bad")
        assert bridge.until("ended")["code"] == 1
        assert bridge.end() == 1
    assert b"bad configuration" in bridge.errors


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """Each message ends with the reason."""
    place = str(tmp_path / "state" / "talk")
    with BridgeProcess("aider", place, "--", "/nothing/at/all", cwd=tmp_path) as bridge:
        bridge.order(message="play answer")
        assert bridge.until("ended")["problem"].endswith("No such file or directory")
        assert bridge.end() == 127


def test_a_line_of_30_mb(tmp_path: Path) -> None:
    """It is passed on whole, and the reports that come meanwhile are told behind it."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play long answer")
        assert bridge.until("ended")["code"] == 0
        assert bridge.end() == 0
    (line,) = [each for each in bridge.said if len(each) > 1_000_000]
    assert line == b"x" * 30_000_000 + b"\n"
    events = [each.get("event") for each in bridge.own() if each["loki.bridge"] == "analytics"]
    assert events == ["launched", "message_send_starting", "message_send", "exit"]


def test_what_the_model_writes_is_not_the_bridges(tmp_path: Path) -> None:
    """A line that looks like the bridge's is passed on, and has not its key."""
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play forged")
        assert bridge.end() == 0
    forged = [line for line in bridge.said if b'"code": 3' in line]
    assert len(forged) == 1
    assert json.loads(forged[0])["key"] != json.loads(bridge.said[0])["key"]


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Also while it waits for a message, and messages that wait are left."""
    with bridge_of(tmp_path) as bridge:
        bridge.until("begin")
        bridge.process.send_signal(signal.SIGTERM)
        assert bridge.process.wait() == 0
    with bridge_of(tmp_path) as bridge:
        bridge.order(message="play endless")
        bridge.order(message="play answer")
        bridge.until_printed(b"I work.")
        bridge.process.send_signal(signal.SIGTERM)
        assert bridge.end() == -signal.SIGTERM
    assert sum(each["loki.bridge"] == "turn" for each in bridge.own()) == 1
