"""``python -m loki_twisted`` is ``loki``."""

import sys

from loki_twisted.command.loki import main

if __name__ == "__main__":
    sys.exit(main())
