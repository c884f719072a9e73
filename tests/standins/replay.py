"""
Play a recorded run: ``python replay.py RECORDING SPEED``, in the project's directory.

Prints the console's lines where they went (standard output or error), and writes the state
directory as it was written: in place, or by rename. Ends with the recorded exit code.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any


def main() -> int:
    """Play it."""
    recording, speed = Path(sys.argv[1]), float(sys.argv[2])
    state = Path.cwd() / ".loki"
    state.mkdir(exist_ok=True)
    moments: list[tuple[int, int, Any]] = []
    for order, name in enumerate(("timeline.jsonl", "console.jsonl")):
        with (recording / name).open(encoding="utf-8") as lines:
            moments += [(step["t_ms"], order, step) for step in map(json.loads, lines)]
    moments.sort(key=lambda moment: moment[:2])
    began = time.monotonic()
    for at_ms, order, step in moments:
        time.sleep(max(0.0, began + at_ms / 1000 / speed - time.monotonic()))
        if order:
            stream = sys.stdout if step["stream"] == "stdout" else sys.stderr
            print(step["line"], file=stream, flush=True)
        else:
            change(state, step)
    return int((recording / "exit_code").read_text(encoding="ascii"))


def change(state: Path, step: dict[str, Any]) -> None:
    """Make one recorded change to the state directory."""
    path = state / step["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    if step["op"] == "delete":
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    elif step.get("dir"):
        path.mkdir(exist_ok=True)
    elif "content" in step:
        if step["op"] == "rename":
            temporary = path.with_name(path.name + ".part")
            temporary.write_text(as_text(step), encoding="utf-8")
            os.replace(temporary, path)
        else:
            how = "a" if step.get("content_is") else "w"
            with path.open(how, encoding="utf-8") as file:
                file.write(as_text(step))


def as_text(step: dict[str, Any]) -> str:
    """Write recorded content as the file had it."""
    content = step["content"]
    if isinstance(content, str):
        return content
    if step.get("content_is"):
        return "".join(
            (line if isinstance(line, str) else json.dumps(line)) + "\n" for line in content
        )
    return json.dumps(content, indent=2)


if __name__ == "__main__":
    sys.exit(main())
