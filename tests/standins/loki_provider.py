"""
The provider of the stand-in for ``loki``: ``python loki_provider.py KIND CALL ITERATION``.

``wrapped`` is as Loki Mode calls most of them: under a wrapper, in a session of its own, which the
wrapper ends when it is told to end. ``plain`` is as it calls the others: in the group of the run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_SECONDS = 0.2
LOOK_SECONDS = 0.02


def main() -> int:
    """Be the wrapper, or the provider."""
    kind, call, iteration = sys.argv[1:]
    if kind == "wrapped":
        return wrap(call, iteration)
    return provide(call, iteration)


def wrap(call: str, iteration: str) -> int:
    """Run the provider in a session of its own, and take it along."""
    provider = subprocess.Popen(
        [sys.executable, "-u", __file__, "plain", call, iteration], start_new_session=True
    )

    def end(number: int, _: object) -> None:
        os.killpg(provider.pid, signal.SIGTERM)
        try:
            provider.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(provider.pid, signal.SIGKILL)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    return provider.wait()


def provide(call: str, iteration: str) -> int:
    """Do as if one worked."""
    if call == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["sleep", "300"], start_new_session=True)
    Path(f"called-{iteration}").write_text(f"{os.getpid()}\n")
    if call in ("silent", "stubborn"):
        while True:
            time.sleep(300)
    print(f"I work on iteration {iteration}.")
    while call == "gated" and not Path(f"go-{iteration}").exists():
        time.sleep(LOOK_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
