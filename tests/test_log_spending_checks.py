"""The ledger is what was written: each row has its sum, and what is added up goes together."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_twisted.log.changes import changes_of, merged
from loki_twisted.log.faults import Damaged
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.log.spending_checks import check_spending, days_are_whole
from loki_twisted.log.spending_rows import spender_sum, spending_sum
from loki_twisted.log.spending_sums import ledger
from loki_twisted.model.ledger import Grouping, LedgerEntry, LedgerQuery
from loki_twisted.model.spending import MOST_TOKENS, Spending
from tests.log_support import MS, commit, entries, entry, opened, put

DAY_MS = 86_400_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "log.db") as log:
        log.connection.pragma("synchronous", "off")  # only the outcome matters here
        yield log


def spend(log: Opened, *spent: LedgerEntry) -> None:
    """Commit entries."""
    put(log, Batch(session_id="s", at_ms=MS, spent=spent))


def sums_of(log: Opened) -> tuple[list[int], list[int]]:
    """The sums of all rows, and what they should be, the plain way."""
    found, wanted = [], []
    for session_id, project_dir, provider, total in log.connection.execute(
        "SELECT * FROM spenders"
    ):
        one, other = session_id.encode(), project_dir.encode()
        head = len(one).to_bytes(8, "little") + len(other).to_bytes(8, "little")
        found.append(total)
        wanted.append(zlib.crc32(head + one + other + provider.encode()))
    for session_id, turn, model, *numbers, cost, total in log.connection.execute(
        "SELECT * FROM spendings"
    ):
        whole = [len(session_id.encode()), turn, *numbers]
        head = b"".join(number.to_bytes(8, "little", signed=True) for number in whole)
        found.append(total)
        texts = session_id.encode() + model.encode()
        wanted.append(zlib.crc32(head + struct.pack("<d", cost) + texts))
    return found, wanted


any_amount = st.builds(
    Spending,
    input_tokens=st.integers(0, 9) | st.sampled_from([MOST_TOKENS - 1, 10**40, -5]),
    reasoning_tokens=st.integers(0, 9),
    api_calls=st.integers(0, 9),
    cost=st.floats(0, 1) | st.floats(),
)


def test_each_row_has_its_sum(log: Opened) -> None:
    """Whatever was spent in however many transactions, rows have their sums and days go with it."""
    some = entries(st.sampled_from(["s1", "s2", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"]))
    given_ = some.flatmap(
        lambda spent: st.lists(any_amount, min_size=len(spent), max_size=len(spent)).map(
            lambda amounts: [
                attrs.evolve(each, spending=amount)
                for each, amount in zip(spent, amounts, strict=True)
            ]
        )
    )

    @settings(max_examples=60)
    @given(st.lists(st.lists(given_, max_size=3), max_size=4))
    def law(transactions: list[list[list[LedgerEntry]]]) -> None:
        for table in ("spendings", "spending_days", "spenders"):
            log.connection.execute(f"DELETE FROM {table}")
        for batches in transactions:
            changes = [changes_of(Batch(session_id="s", at_ms=MS, spent=each)) for each in batches]
            commit(log.connection, [], merged(changes))
            found, wanted = sums_of(log)
            assert found == wanted
            check_spending(log.connection)

    law()


def test_what_the_sums_are() -> None:
    """They stand in files of users, so they stay what they are."""
    amounts = (1, 2, 3, 4, 5, 6, 7, 0.1)
    assert spender_sum("session_1", "/project", "demo") == 3502600403
    assert spending_sum("session_1", 2, "gpt-5", MS, 4, *amounts) == 3017361873
    assert spender_sum("a", "b\0c", "d") != spender_sum("a", "b", "\0cd")
    assert spending_sum("ab", 2, "c", MS, 4, *amounts) != spending_sum(
        "a", 2, "bc", MS, 4, *amounts
    )


@pytest.mark.parametrize(
    "change",
    ["cost = 0.75", "at_ms = at_ms + 1", "sum = sum + 1", "sum = 'x'", "input_tokens = 'x'"],
)
def test_what_is_added_makes_nothing_right(log: Opened, change: str) -> None:
    """A line that was changed can be added to, and is found to be changed all the same."""
    spend(log, entry())
    log.connection.execute(f"UPDATE spendings SET {change}")
    spend(log, entry(), entry(turn=2))

    with pytest.raises(Damaged, match="what was spent is not what was written"):
        check_spending(log.connection)
    found, wanted = sums_of(log)
    assert [one == other for one, other in zip(found, wanted, strict=True)] == [True, False, True]


def test_rounding_is_no_damage(log: Opened) -> None:
    """A cost that is added a thousand times is another than that of its day, and both are right."""
    for _ in range(1000):
        spend(log, entry(spending=Spending(cost=0.1)), entry(turn=2, spending=Spending(cost=0.7)))

    [(of_day,)] = log.connection.execute("SELECT cost FROM spending_days")
    [(of_lines,)] = log.connection.execute("SELECT sum(cost) FROM spendings")
    assert of_day != of_lines
    check_spending(log.connection)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM spenders WHERE session_id = 's1'",
        "DELETE FROM spendings WHERE session_id = 's1'",
        "DELETE FROM spending_days WHERE day % 2",
        "DELETE FROM spendings WHERE turn = 1; DELETE FROM spending_days",
        f"INSERT INTO spending_days SELECT 's1', 'm2', {MS // DAY_MS}, 0,0,0, 1, 1,1,1,1,1,1,1, 1",
        "UPDATE spending_days SET cost = 0 WHERE session_id = 's1'",
        "UPDATE spending_days SET cost = 9e999",
        "UPDATE spending_days SET session_turns = iif(session_id = 's1', 2, 0)",
        "UPDATE spending_days SET day_turns = iif(session_id = 's1', 2, 0)",
        "UPDATE spending_days SET model = 'other'",
        "UPDATE spending_days SET origins = 7",
    ],
)
def test_what_does_not_go_together(log: Opened, change: str) -> None:
    """Rows that are gone, or that are no one's, and days that say something else are found."""
    spend(log, entry("s1"), entry("s2"), entry("s1", model="m", at_ms=MS + DAY_MS))
    check_spending(log.connection)
    log.connection.execute(change)

    with pytest.raises(Damaged):
        check_spending(log.connection)


def test_a_day_alone_says_what_was_spent(log: Opened) -> None:
    """Days of an empty ledger are whole, and those of rows that are gone are not."""
    assert days_are_whole(log.connection)
    spend(log, entry())
    log.connection.execute("DELETE FROM spendings")
    assert not days_are_whole(log.connection)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE spenders SET provider = x'00ff'",
        "UPDATE spendings SET api_calls = 'many'",
        "UPDATE spendings SET cost = 'much'",
        "UPDATE spendings SET model = x'00ff'",
        "UPDATE spenders SET provider = CAST(x'7bff' AS TEXT)",
    ],
)
def test_what_is_of_another_type(log: Opened, change: str) -> None:
    """It is damage, and no error of ours."""
    spend(log, entry())
    log.connection.execute(change)

    with pytest.raises(Damaged, match="what was spent is not what was written"):
        check_spending(log.connection)


def test_others_can_read_the_file(log: Opened, tmp_path: Path) -> None:
    """No table needs what only our connections know: any SQLite reads it, and could write."""
    spend(log, entry())
    log.connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    with closing(apsw.Connection(str(tmp_path / "copy.db"))) as connection:
        connection.execute("UPDATE spendings SET input_tokens = input_tokens + 1")
        connection.execute(
            "INSERT INTO spendings VALUES ('session_1', 9, '', 1, 1, 5, 0, 0, 0, 0, 0, 1, 0.1, 0)"
        )
        page = ledger(connection, LedgerQuery(by=Grouping.SESSION))
    assert page.sum.spending.input_tokens == 8
