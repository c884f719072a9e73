"""
An agent that counts: ``python counting.py UNTIL SECONDS_EACH CODE``.

Prints ``count <n>`` for n from 1, and for every tenth also on standard error, until so many
are printed or, where UNTIL is a path, until there is such a file; ends with the code.
"""

from __future__ import annotations

import itertools
import os
import sys
import time


def main() -> int:
    """Count."""
    until, seconds, code = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    for number in itertools.count(1):
        print(f"count {number}", flush=True)
        if not number % 10:
            print(f"error {number}", file=sys.stderr, flush=True)
        if number == int(until) if until.isdecimal() else os.path.exists(until):
            break
        time.sleep(seconds)
    return code


if __name__ == "__main__":
    sys.exit(main())
