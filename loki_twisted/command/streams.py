"""The standard streams of a command: there in any case, and given up where nobody reads them."""

from __future__ import annotations

import io
import os
import sys


def have_streams() -> None:
    """Have an input, an output and an error output; these write whatever they are given."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  # to the program's end
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed by whoever started this
            # Open to the end of the program.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            # Terminals that are not for UTF-8, and what is no text at all, must not end anything.
            stream.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Give up what is printed, and what was printed and is not written yet."""
    # What is still buffered would raise again at the interpreter's end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
