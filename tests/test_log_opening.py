"""Opening the file: made, known, refused, or put aside."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from twisted.logger import capturedLogs, formatEvent

from loki_twisted.log import opening
from loki_twisted.log.connecting import connect_writer
from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.log.opening import move_aside, open_log, suspect
from loki_twisted.log.schema import VERSION
from loki_twisted.log.spending_rows import AMOUNTS
from loki_twisted.model.errors import StorageForeign, StorageRefused
from tests.log_support import MS, asked, connect, entry, facts, message, opened, put, session, task

WHOSE = ("session_id", "project_dir", "provider")
COUNTS = [name for name in AMOUNTS if name != "cost"]
ASIDE = f"log.db.corrupt-{MS}"


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def fill(path: Path) -> str:
    """Make a log with two batches; gives its id."""
    with opened(path) as log:
        for name in ("session_1", "session_2"):
            put(
                log,
                Batch(
                    session_id=name,
                    at_ms=MS,
                    facts=facts(100),
                    session=session(name),
                    tasks=[task("t", name)],
                    inputs=[asked("i", name)],
                    messages=[message("m", name)],
                    spent=[entry(name), entry(name, model="m")],
                ),
            )
        return log.log_id


def checkpoint(path: Path) -> None:
    """Have the main file hold everything."""
    with closing(connect(path)) as connection:
        connection.pragma("journal_mode", "wal")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def test_a_new_log_is_empty(path: Path) -> None:
    """Where there is none, a log is made, and nothing needs to be told of it."""
    with opened(path) as log:
        assert log.bounds == Bounds(1, 0)
        assert log.notices == ()
        assert not list(path.parent.glob("*.new*"))


def test_a_log_keeps_its_id(path: Path) -> None:
    """A log has the same id whenever it is opened, and no two have the same."""
    first = fill(path)
    with opened(path) as again, opened(path.with_name("other.db")) as other:
        assert again.log_id == first
        assert other.log_id != first
        assert again.bounds == Bounds(1, 200)


@pytest.mark.promise("R1", "R2")
def test_commits_are_synced(path: Path) -> None:
    """The connection that writes keeps a write-ahead log and syncs with every commit."""
    with opened(path) as log:
        assert log.connection.pragma("journal_mode") == "wal"
        assert log.connection.pragma("synchronous") == 2
        assert log.connection.pragma("wal_autocheckpoint") == 0


def test_readers_cannot_write(path: Path) -> None:
    """The other connections refuse to write."""
    with opened(path) as log:
        for reader in log.readers:
            with pytest.raises(apsw.ReadOnlyError):
                reader.execute("DELETE FROM meta")


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_only_we_may_read_it(path: Path, umask: int) -> None:
    """All files of a log are 0600, whatever the umask is."""
    before = os.umask(umask)
    try:
        with opened(path) as log:
            put(log, Batch(session_id="s", at_ms=MS, facts=facts(1)))
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(before)

    assert modes == {"log.db": 0o600, "log.db-wal": 0o600}


def make_foreign(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.pragma("journal_mode", "wal")
        connection.execute("CREATE TABLE theirs(x); INSERT INTO theirs VALUES (1)")


def make_newer(path: Path) -> None:
    fill(path)
    with closing(connect(path)) as connection:
        connection.pragma("user_version", VERSION + 1)


@pytest.mark.promise("R16")
@pytest.mark.parametrize(
    ("make", "reason"),
    [(make_foreign, "a database of another program"), (make_newer, "of a newer version")],
)
def test_what_is_not_ours_is_left_alone(
    path: Path, make: Callable[[Path], None], reason: str
) -> None:
    """A database of another program or a newer version is refused, and not a byte changes."""
    make(path)
    before = contents(path.parent)

    with pytest.raises(StorageForeign, match=f"is {reason}"):
        open_log(str(path), lambda: MS)

    assert contents(path.parent) == before


def test_a_newer_version_in_the_write_ahead_log(path: Path) -> None:
    """A newer version is known too where a killed server left it beside the main file."""
    fill(path)
    newer = connect_writer(str(path))
    newer.pragma("user_version", VERSION + 1)
    newer.close()
    before = contents(path.parent)
    assert before["log.db-wal"]

    with pytest.raises(StorageForeign, match="is of a newer version"):
        open_log(str(path), lambda: MS)

    after = contents(path.parent)
    assert [after[name] for name in ("log.db", "log.db-wal")] == [
        before[name] for name in ("log.db", "log.db-wal")
    ]


def test_a_directory_is_refused(path: Path) -> None:
    """What is no file is not a log, and stays."""
    path.mkdir()

    with pytest.raises(StorageForeign, match="not a file"):
        open_log(str(path), lambda: MS)

    assert path.is_dir()


def as_nobody(check: Callable[[], None]) -> None:
    """Run a check in a process that may not write to everything, as root may."""
    if os.geteuid() != 0:
        check()
        return
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            check()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_that_we_may_not_write_to(mode: int) -> None:
    """A log that cannot be written to is refused and left alone."""
    with TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        path = Path(directory, "log.db")
        fill(path)
        checkpoint(path)
        path.chmod(mode)

        def refused() -> None:
            with pytest.raises(StorageRefused, match=str(path)):
                open_log(str(path), lambda: MS)

        as_nobody(refused)

        assert stat.S_IMODE(path.stat().st_mode) == mode


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def text(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])


def another_schema(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("DROP TABLE cursors")


def no_id(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("DELETE FROM meta")


def last_block(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("UPDATE blocks SET sum = 0 WHERE first_seq = 101")


def held(value: str) -> Callable[[Path], None]:
    def impossible_holes(path: Path) -> None:
        with closing(connect(path)) as connection:
            connection.execute("INSERT INTO meta VALUES ('held', ?)", (value,))

    return impossible_holes


@pytest.mark.promise("R16")
@pytest.mark.parametrize(
    "damage",
    [
        *(half, empty, text, zeroed, another_schema, no_id, last_block),
        *map(held, ("[1,2", "[99999,0,0]", "[-5,0,0]", "[5,100000,0]", "[5,-1,0]")),
    ],
)
def test_a_damaged_log_is_put_aside(path: Path, damage: Callable[[Path], None]) -> None:
    """A damaged log is renamed with all its bytes, a new one begun, and both are told."""
    first = fill(path)
    checkpoint(path)
    damage(path)
    before = path.read_bytes()

    with opened(path) as log:
        assert log.bounds == Bounds(1, 0)
        assert log.log_id != first
        [notice] = log.notices
        assert f"It is now {path.with_name(ASIDE)}" in notice
        put(log, Batch(session_id="s", at_ms=MS, facts=facts(3)))

    aside = path.with_name(ASIDE).read_bytes()
    assert len(aside) >= len(before)
    with opened(path) as log:
        assert log.bounds == Bounds(1, 3)
        assert log.notices == ()


@pytest.mark.promise("R16")
def test_what_was_put_aside_is_whole(path: Path) -> None:
    """What is put aside takes its write-ahead log with it, so that it can be looked at."""
    fill(path)
    before = contents(path.parent)

    move_aside(str(path), MS)

    names = {name.replace("log.db", ASIDE): data for name, data in before.items()}
    assert contents(path.parent) == names
    assert "log.db-wal" in before


def test_a_write_ahead_log_alone_is_not_replayed(path: Path) -> None:
    """Where only the write-ahead log of a lost file is left, it does not get into a new one."""
    fill(path)
    path.unlink()

    with opened(path) as log:
        assert log.bounds == Bounds(1, 0)
        [notice] = log.notices
        assert "its main file is missing" in notice
    assert path.with_name(f"{ASIDE}-wal").exists()


@pytest.mark.promise("R14")
def test_a_crash_while_it_was_made(path: Path) -> None:
    """What a crash left of a file that was being made is in nobody's way."""
    path.with_name("log.db.new").write_text("half")
    path.with_name("log.db.new-journal").write_text("half")

    with opened(path) as log:
        assert log.notices == ()
    assert not list(path.parent.glob("*.new*"))


def test_what_others_added_is_no_damage(path: Path) -> None:
    """An index that an operator has made does not make the log another one."""
    first = fill(path)
    with closing(connect(path)) as connection:
        connection.execute("CREATE INDEX mine ON blocks(at_ms); ANALYZE")

    with opened(path) as log:
        assert log.log_id == first


def test_a_suspect_log_is_checked(path: Path) -> None:
    """One in which damage was met, and which proves to be whole, is used on. Reading it is told."""
    first = fill(path)
    suspect(str(path))
    suspect(str(path))

    with capturedLogs() as captured, opened(path) as log:
        assert log.log_id == first
        assert log.notices == ()
    (event,) = captured
    assert "damage of" in formatEvent(event)
    assert not path.with_name("log.db.suspect").exists()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blocks SET sum = 0 WHERE first_seq = 1",
        "UPDATE sessions SET body = '{}'",
        "UPDATE tasks SET body = '{'",
        "UPDATE inputs SET body = '{}'",
        "UPDATE messages SET body = '{'",
        "UPDATE task_totals SET total = total + 1",
        "UPDATE spending_days SET turns = turns + 1",
        "UPDATE spending_days SET session_turns = session_turns + 1",
        "UPDATE spendings SET other_tokens = other_tokens + 1, at_ms = at_ms + 86400000",
        "UPDATE spending_days SET cost = cost * 1.00001 WHERE session_id = 'session_2'",
        "DELETE FROM spending_days WHERE session_id = 'session_2'",
        "DELETE FROM spans WHERE number = 1",
        "DELETE FROM session_spans WHERE session = 'session_2'",
    ],
)
def test_a_suspect_log_with_damage_in_its_middle(path: Path, damage: str) -> None:
    """Damage that a start does not meet is found where it was met before."""
    fill(path)
    with closing(connect(path)) as connection:
        connection.execute(damage)
    with opened(path) as log:
        assert log.notices == ()
    suspect(str(path))

    with opened(path) as log:
        assert log.bounds == Bounds(1, 0)
        assert len(log.notices) == 1
    with opened(path) as log:
        assert log.notices == ()


OTHER_SPENDING = (
    *(f"UPDATE spenders SET {name} = {name} || '.'" for name in WHOSE),
    "UPDATE spenders SET sum = sum + 1",
    *(f"UPDATE spendings SET {name} = {name} || '.'" for name in ("session_id", "model")),
    *(f"UPDATE spendings SET {name} = {name} + 1" for name in ("turn", "at_ms", *COUNTS)),
    "UPDATE spendings SET origins = origins | 4",
    f"UPDATE spendings SET cost = {math.nextafter(0.5, 1)!r}",
    "UPDATE spendings SET sum = sum + 1",
    "UPDATE spendings SET input_tokens = output_tokens, output_tokens = input_tokens",
    "UPDATE spenders SET project_dir = provider, provider = project_dir",
)
"""Changes of each column. Triggers see to it that days go together with them."""


@pytest.mark.promise("R16")
@pytest.mark.parametrize("change", OTHER_SPENDING)
def test_spending_that_another_program_has_changed(path: Path, change: str) -> None:
    """Where sums of pages are wrong, whatever is another in the ledger is found by its own sum."""
    fill(path)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE INDEX mine ON blocks(at_ms)")
        connection.execute(f"{change} WHERE session_id = 'session_2'")
        assert connection.changes() > 0
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    with opened(path) as log:
        assert log.bounds == Bounds(1, 0)
        [notice] = log.notices
        assert "(what was spent is not what was written)" in notice
    with opened(path) as log:
        assert log.notices == ()


@pytest.mark.parametrize("connect_to", [apsw.Connection, connect])
def test_a_cost_of_a_day_that_is_nearly_right(
    path: Path, connect_to: Callable[[str], apsw.Connection]
) -> None:
    """One that could be rounded so is no damage, and is right where all of a log was checked."""
    first = fill(path)
    with closing(connect_to(str(path))) as connection:
        connection.execute("CREATE INDEX mine ON blocks(at_ms)")
        connection.execute("UPDATE spending_days SET cost = 0.50000001")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    suspect(str(path))

    with opened(path) as log:
        assert log.log_id == first
        assert bool(log.notices) is (connect_to is apsw.Connection)
        costs = log.connection.execute("SELECT cost FROM spending_days").fetchall()
        assert costs == [(0.5,)] * 4


def test_a_suspect_log_on_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened if it is whole, and checked again by a start that has room."""
    first = fill(path)
    suspect(str(path))

    def no_room(connection: apsw.Connection) -> None:
        raise apsw.FullError("database or disk is full")

    mark = path.with_name("log.db.suspect")
    with monkeypatch.context() as patch:
        patch.setattr(opening, "renew_costs", no_room)
        with opened(path) as log:
            assert (log.log_id, log.notices, mark.exists()) == (first, (), True)
    with opened(path) as log:
        assert (log.log_id, log.notices, mark.exists()) == (first, (), False)


def test_an_index_that_does_not_fit(path: Path) -> None:
    """A suspect log whose index is not that of its table is put aside."""
    fill(path)
    with closing(connect(path)) as connection:
        connection.pragma("writable_schema", True)
        connection.execute("UPDATE sqlite_schema SET sql = '' WHERE name = 'blocks_by_session'")
        connection.execute("DELETE FROM blocks WHERE first_seq = 1")
    suspect(str(path))

    with opened(path) as log:
        assert len(log.notices) == 1
