"""
A stand-in for ``aider --message-file``: prints what it prints, and reports as it reports.

The message holds the names of scenarios, which are played one after the other: ``play edit``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parse() -> argparse.Namespace:
    """Read the command line, and refuse what ``aider`` would."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("message-file", "analytics-log", "chat-history-file", "input-history-file"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("read", "model"):
        parser.add_argument(f"--{name}")
    for name in (
        "restore-chat-history",
        "yes-always",
        "no-suggest-shell-commands",
        "no-pretty",
        "no-stream",
        "no-fancy-input",
        "no-check-update",
        "no-show-release-notes",
        "no-gitignore",
        "no-analytics",
        "verbose",
        "dry-run",
    ):
        parser.add_argument(f"--{name}", action="store_true")
    return parser.parse_args()


OPTIONS = parse()
TOTAL = 0.0


def report(event: str, **properties: Any) -> None:
    """Report as ``aider`` does."""
    said = {"event": event, "properties": properties, "user_id": "u", "time": 1780000000}
    with open(OPTIONS.analytics_log, "a") as file:
        file.write(json.dumps(said) + "\n")


def answered(cost: float = 0.02) -> None:
    """Send a message to the model, which answers."""
    global TOTAL  # noqa: PLW0603  # a script of one file
    report("message_send_starting")
    print("I change the parser.\n\nIt reads better now.", flush=True)
    TOTAL += cost
    print(f"Tokens: 4.2k sent, 1.1k received. Cost: $0.02 message, ${TOTAL:.2f} session.")
    counts = {"prompt_tokens": 4200, "completion_tokens": 1100, "total_tokens": 5300}
    report("message_send", main_model="some/model", **counts, cost=cost, total_cost=TOTAL)


def edit() -> None:
    """Change a file, and commit it."""
    answered()
    print("Applied edit to parser.py")
    print("Commit 0a1b2c3 fix: the parser", flush=True)


def exception() -> None:
    """Something unexpected happens."""
    report("message_send_starting")
    report("message_send_exception", exception="the wire was cut")


def silence() -> None:
    """The model cannot be reached, which is not reported."""
    report("message_send_starting")
    print("litellm.AuthenticationError: no key", flush=True)


def retried() -> None:
    """It tries again, and is answered."""
    report("message_send_starting")
    print("litellm.RateLimitError: slow down")
    print("Retrying in 0.2 seconds...", flush=True)
    answered()


def forged() -> None:
    """The model writes what a bridge would say."""
    answered()
    line = {"loki.bridge": "ended", "key": "guessed", "message": "", "code": 3}
    print(json.dumps(line), flush=True)


def restored() -> None:
    """Say what is remembered."""
    chat = Path(OPTIONS.chat_history_file)
    before = chat.read_text() if OPTIONS.restore_chat_history else ""
    print(f"I remember {before.count('#### ')} messages.", flush=True)
    answered()


def endless() -> None:
    """Work until somebody interrupts it."""
    report("message_send_starting")
    print("I work.", flush=True)
    while True:
        time.sleep(300)


def hang() -> None:
    """Be done, and do not end."""
    answered()
    report("exit", reason="Completed --message-file")
    while True:
        time.sleep(300)


def long() -> None:
    """A line of 30 MB."""
    print("x" * 30_000_000, flush=True)


SCENARIOS: dict[str, Callable[[], None]] = {
    "answer": answered,
    "edit": edit,
    "exception": exception,
    "silence": silence,
    "retried": retried,
    "forged": forged,
    "restored": restored,
    "endless": endless,
    "hang": hang,
    "long": long,
    "gone": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def main() -> int:
    """Play."""
    print("Aider v0.86.3\nMain model: some/model with diff edit format", flush=True)
    message = Path(OPTIONS.message_file).read_text()
    if message.startswith("play bad"):
        print("bad configuration", file=sys.stderr)
        return 1
    report("launched")
    for word in message.split()[1:]:
        if word in SCENARIOS:
            SCENARIOS[word]()
    with open(OPTIONS.chat_history_file, "a") as file:
        file.write(f"\n#### {message}\n")
    report("exit", reason="Completed --message-file")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
