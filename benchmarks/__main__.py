"""``python -m benchmarks``: measure, print the table, write the results."""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contestants import CONTESTANTS
from benchmarks.options import Options, options_from
from benchmarks.report import Report, read_report, write_report
from benchmarks.rows import OURS
from benchmarks.running import run
from benchmarks.table import as_rst, as_text
from benchmarks.trouble import Trouble


def main(arguments: Sequence[str]) -> int:
    """
    Do what the command line says.

    :returns: The exit code: 1 if ours did not do everything exactly, or nothing was measured.
    """
    options = options_from(arguments)
    _allow_many_files()
    try:
        report = read_report(options.seen) if options.seen else _measured(options)
    except Trouble as trouble:
        print(f"Nothing can be measured: {trouble}", file=sys.stderr)
        return 1
    if options.json is not None:
        write_report(options.json, report)
    if options.rst is not None:
        options.rst.write_text(as_rst(report), encoding="utf-8")
    print(as_text(report))
    return 1 if report.troubles(OURS) else 0


def _measured(options: Options) -> Report:
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=options.directory) as directory:
        return run(options, CONTESTANTS, Path(directory), _tell)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _allow_many_files() -> None:
    """A thousand subscribers are a thousand sockets, here and in each server."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
