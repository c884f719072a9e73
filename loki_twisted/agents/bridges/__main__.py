"""Where the programs begin, with nothing of ours on the module path (``python -I -S``)."""

import os
import sys
from importlib import import_module

# Behind the standard library, so that no file of ours can take the place of one of its modules.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

if __name__ == "__main__":
    sys.exit(import_module(f"bridges.{sys.argv[1]}").main(sys.argv[2:]))
