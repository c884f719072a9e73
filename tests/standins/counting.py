"""
An agent that counts: ``python counting.py COUNT SECONDS_EACH CODE``.

Prints ``count <n>`` for n from 1, and for every tenth also on standard error; ends with the code.
"""

from __future__ import annotations

import sys
import time


def main() -> int:
    """Count."""
    count, seconds, code = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    for number in range(1, count + 1):
        print(f"count {number}", flush=True)
        if not number % 10:
            print(f"error {number}", file=sys.stderr, flush=True)
        time.sleep(seconds)
    return code


if __name__ == "__main__":
    sys.exit(main())
