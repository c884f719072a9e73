"""The sums of pages: who has them, and a process that cannot keep them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from loki_twisted.log.page_sums import has_sums, way_to_logs
from loki_twisted.log.schema import HEADER_BYTES
from tests.log_support import opened
from tests.system import TIMEOUT

WITHOUT = """
import sys, apsw.sqlite_extra
def load(*_): raise apsw.sqlite_extra.NotAvailable
apsw.sqlite_extra.load = load
from loki_twisted.log.opening import open_log
from loki_twisted.model.errors import StorageForeign
for path in sys.argv[1:]:
    try:
        print(open_log(path, lambda: 1).bounds.oldest)
    except StorageForeign as error:
        print(error)
print(apsw.vfs_names()[0])
"""


def header(path: Path) -> bytes:
    return path.read_bytes()[:HEADER_BYTES]


def test_what_is_usual_in_the_process_stays_so() -> None:
    """Databases of others are reached as they were before."""
    usual = apsw.vfs_names()[0]
    assert way_to_logs() == way_to_logs() == "cksmvfs"
    assert apsw.vfs_names()[0] == usual


@pytest.mark.promise("R16")
def test_a_process_that_cannot_keep_sums(tmp_path: Path) -> None:
    """It makes logs without, which others can use; one that has sums it leaves alone."""
    with opened(tmp_path / "log.db"):
        pass
    before = (tmp_path / "log.db").read_bytes()
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT, tmp_path / "log.db", tmp_path / "new.db"],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    ).stdout.splitlines()
    refusal = f"The pages of the log {tmp_path}/log.db have sums, which this build of apsw"
    assert said == [f"{refusal} cannot keep. It was left as it is.", "1", apsw.vfs_names()[0]]
    assert (tmp_path / "log.db").read_bytes() == before
    assert has_sums(header(tmp_path / "log.db"))
    assert not has_sums(header(tmp_path / "new.db"))
    with opened(tmp_path / "new.db") as log:
        assert log.notices == ()


@pytest.mark.promise("R16")
@pytest.mark.parametrize("reserved", [0, 1, 9, 255])
def test_a_header_that_is_wrong_of_sums(tmp_path: Path, reserved: int) -> None:
    """The one byte that says whether there are sums is checked: else none of them would be."""
    path = tmp_path / "log.db"
    with opened(path):
        pass
    with path.open("r+b") as file:
        file.seek(20)
        file.write(bytes([reserved]))
    changed = path.read_bytes()
    with opened(path) as log:
        (notice,) = log.notices
    assert "its header is not what was written" in notice
    (aside,) = (each for each in tmp_path.glob("log.db.corrupt-*") if each.suffix[-1].isdigit())
    assert aside.read_bytes() == changed
