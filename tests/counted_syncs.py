"""Counting how often SQLite syncs its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import apsw

from loki_twisted.log import connecting
from loki_twisted.log.page_sums import way_to_logs

_NAME = "counted-syncs"


class _File(apsw.VFSFile):
    def __init__(self, counts: Counter[str], below: str, name: Any, flags: Any) -> None:
        super().__init__(below, name, flags)
        self._counts = counts
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._ending = Path(path or "").suffix

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Count, and do it."""
        self._counts[self._ending] += 1
        super().xSync(flags)


class _System(apsw.VFS):
    def __init__(self, counts: Counter[str]) -> None:
        self._below = way_to_logs()
        self._counts = counts
        super().__init__(_NAME, base=self._below)

    def xOpen(self, name: Any, flags: Any) -> _File:  # noqa: N802 - SQLite's name
        """Open a file that counts."""
        return _File(self._counts, self._below, name, flags)


@contextmanager
def counted_syncs() -> Iterator[Counter[str]]:
    """Count the syncs of all files of logs that are opened meanwhile, by their names' endings."""
    counts: Counter[str] = Counter()
    system = _System(counts)
    try:
        with mock.patch.object(connecting, "way_to_logs", return_value=_NAME):
            yield counts
    finally:
        system.unregister()
