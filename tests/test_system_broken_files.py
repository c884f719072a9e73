"""R17: files of a state directory that are broken in every way, one after the other."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.figures import tell
from tests.history import history
from tests.system import Server
from tests.test_system_hostile_files import HOSTILE
from tests.test_system_stalls import Probe
from tests.test_system_stopped import known, wait_for, write

MOST_P99_SECONDS = 0.1
MOST_GOOD_SECONDS = 1.0
TASKS = [{"id": f"t{each}", "title": "x" * 30, "status": "pending"} for each in range(25)]


@pytest.mark.promise("R17")
@pytest.mark.timeout(600)
def test_r17_broken_files_disturb_nobody(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    What a file said before stays so however it is broken, and what is good again is seen.

    With the long figures: cut at each of its 2,000 bytes; the good content is seen within a second,
    and 99 of 100 requests beside it are answered within a tenth of one.
    """
    place = tmp_path / ".loki" / "sessions" / "one"
    write(place, session={"status": "running"}, tasks=TASKS)
    content = json.dumps(TASKS).encode()
    before = {"one": ("running", 0, {str(task["id"]): "pending" for task in TASKS})}
    with Server(tmp_path) as server:
        wait_for(server, before)
        with Probe(server.port) as probe:
            for length in range(0, len(content), 1 if is_full else 200):
                (place / "tasks.json").write_bytes(content[:length])
                if length % 200 == 0:
                    assert known(server) == before
            for make in HOSTILE.values():
                (place / "tasks.json").unlink()
                make(place / "tasks.json")
                assert known(server) == before
            began = time.monotonic()
            write(place, tasks=[{**TASKS[0], "status": "done"}, *TASKS[1:]])
            before["one"][2]["t0"] = "completed"
            wait_for(server, before)
            took = time.monotonic() - began
        told = Counter(event.type for event in history(server, "types=task:*"))
        assert told == {"task:created": len(TASKS), "task:started": 1, "task:completed": 1}
        assert not [line for line in server.said if "CRITICAL" in line]
    if is_full:
        p99 = probe.took[len(probe.took) * 99 // 100]
        tell(
            capsys,
            f"{len(content)} cuts and {len(HOSTILE)} kinds: good again after {took:.2f} s; "
            f"{len(probe.took)} probes, p99 {p99 * 1000:.1f} ms",
        )
        assert took <= MOST_GOOD_SECONDS
        assert p99 <= MOST_P99_SECONDS
