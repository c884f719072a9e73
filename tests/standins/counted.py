"""
A program of Python's that can be asked how many objects of ours it has.

``python counted.py FILE PYTHON -m MODULE ARGUMENT...`` becomes the module. On SIGUSR1 it writes
FILE anew: a JSON object of the names of the types of ``loki_twisted``, each with how many there
are of it, beside a ``number`` that says for the how-manieth time.
"""

import gc
import json
import os
import runpy
import signal
import sys
from collections import Counter
from itertools import count
from types import FrameType


def main() -> None:
    """Become the module."""
    path, _, _, module, *arguments = sys.argv[1:]
    numbers = count(1)

    def tell(_: int, __: FrameType | None) -> None:
        gc.collect()
        kinds = (type(each) for each in gc.get_objects())
        found = Counter(
            f"{kind.__module__}.{kind.__qualname__}"
            for kind in kinds
            if kind.__module__.startswith("loki_twisted.")
        )
        with open(f"{path}.new", "w", encoding="ascii") as file:
            json.dump({**found, "number": next(numbers)}, file)
        os.rename(f"{path}.new", path)

    signal.signal(signal.SIGUSR1, tell)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
