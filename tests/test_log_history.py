"""Reading the events: what is read is the suffix that the filter wants, however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log import history, plans
from loki_twisted.log.faults import Damaged
from loki_twisted.log.interface import Ends
from loki_twisted.log.opening import Opened
from loki_twisted.log.rows import NewBlock, new_block
from loki_twisted.log.schema import SESSION_SPAN, SPAN
from loki_twisted.model.blocks import Block, block_of_facts
from loki_twisted.model.filters import EVERYTHING, EventFilter, mask_of_types
from loki_twisted.model.identifiers import event_id
from tests.log_support import (
    MS,
    SESSIONS,
    behind_last,
    block,
    counted_queries,
    fact,
    facts,
    filters,
    frames,
    histories,
    opened,
    put_blocks,
    remembered,
    some_facts,
    wanted_of,
)


def refill(log: Opened, blocks: Sequence[NewBlock]) -> None:
    log.connection.execute("DELETE FROM blocks")
    log.connection.execute("DELETE FROM spans")
    log.connection.execute("DELETE FROM session_spans")
    put_blocks(log, blocks)


def paged(
    connection: apsw.Connection, after: int, newest: int, wanted: EventFilter, max_bytes: int
) -> list[bytes]:
    """All that a reader gets who goes on from what was reached."""
    found: list[bytes] = []
    while after < newest:
        page = history.read(connection, after, newest, wanted, max_bytes)
        assert page.reached > after
        for each in page.blocks:
            assert list(each.wanted(wanted, after))
        found += frames(page.blocks, wanted, after)
        after = page.reached
    return found


@pytest.fixture
def log(tmp_path: Path):
    with opened(tmp_path / "log.db") as log:
        log.connection.pragma("synchronous", "off")  # only the outcome matters here
        yield log


def test_any_page_size_gives_the_wanted_suffix(log: Opened, monkeypatch) -> None:
    """Reading on from any number gives what the filter wants behind it, in pages of any size."""
    monkeypatch.setattr(history, "MAX_ROWS", 3)
    monkeypatch.setattr(history, "MAX_EVENTS_PASSED", 4)

    @given(histories(), filters, st.integers(0, 40), st.integers(0, 3000))
    def law(blocks: list[NewBlock], wanted: EventFilter, after: int, max_bytes: int) -> None:
        refill(log, blocks)
        events = remembered([new.block for new in blocks])
        expected = wanted_of(events, wanted, after)
        assert paged(log.readers[0], after, len(events), wanted, max_bytes) == expected

    law()


def test_one_read_of_all(log: Opened) -> None:
    """With room enough a single read gives everything, up to the number that it may read to."""

    @given(histories(), filters, st.data())
    def law(blocks: list[NewBlock], wanted: EventFilter, data: st.DataObject) -> None:
        refill(log, blocks)
        newest = data.draw(st.sampled_from([0, *(new.block.last_seq for new in blocks)]))
        page = history.read(log.readers[0], 0, newest, wanted, 10**9)
        events = [e for e in remembered([new.block for new in blocks]) if e.seq <= newest]
        assert frames(page.blocks, wanted) == wanted_of(events, wanted)
        assert page.reached == newest

    law()


def test_counting_back_finds_the_last(log: Opened, monkeypatch) -> None:
    """Behind the number that is found there are exactly so many wanted events, if there are."""
    monkeypatch.setattr(history, "MAX_ROWS", 2)

    @given(histories(), filters, st.integers(1, 12), st.data())
    def law(blocks: list[NewBlock], wanted: EventFilter, count: int, data: st.DataObject) -> None:
        refill(log, blocks)
        events = remembered([new.block for new in blocks])
        before = data.draw(st.integers(1, len(events) + 1))
        behind = behind_last(log.readers[0], before, wanted, count)
        earlier = [event for event in events if event.seq < before]
        assert wanted_of(earlier, wanted, behind) == wanted_of(earlier, wanted)[-count:]
        assert behind == before - 1 or wanted_of(earlier[: behind + 1], wanted, behind)

    law()


@st.composite
def sparse(draw: st.DrawFn) -> list[NewBlock]:
    """Blocks with holes between them, so that they lie in many spans."""
    blocks: list[NewBlock] = []
    seq = 1
    # Often at the last number of a span, or the first of the next.
    start = st.tuples(
        st.sampled_from([1, SPAN, SESSION_SPAN]), st.integers(0, 3), st.integers(-1, 1)
    )
    one = st.tuples(start, st.sampled_from(SESSIONS[1:3]), some_facts)
    for (unit, units, more), session_id, some in draw(st.lists(one, max_size=20)):
        seq = max(seq, (seq // unit + units) * unit + more)
        blocks.append(new_block(block_of_facts(seq, MS, session_id, some), MS))
        seq += len(some)
    return blocks


@pytest.mark.parametrize("session_id", [None, "session_1"])
def test_what_is_skipped_is_not_wanted(
    log: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str | None
) -> None:
    """Over many spans and wide holes too all that is wanted is found, in both directions."""
    monkeypatch.setattr(history, "MAX_ROWS", 3)
    monkeypatch.setattr(history, "MAX_EVENTS_PASSED", 100)
    types = st.sampled_from(["log:info", "task:*", "session:started", "log:*"])

    @given(sparse(), types, st.data(), st.sampled_from([1, 1, 2, 5, 50]))
    def law(blocks: list[NewBlock], kind: str, data: st.DataObject, count: int) -> None:
        refill(log, blocks)
        wanted = EventFilter(session_id, mask_of_types([kind]))
        events = remembered([new.block for new in blocks])
        newest = events[-1].seq if events else 0
        place = data.draw(st.sampled_from([0, *(event.seq for event in events)]))
        assert paged(log.readers[0], place, newest, wanted, 500) == wanted_of(events, wanted, place)
        before = place + 1
        behind = behind_last(log.readers[0], before, wanted, count)
        earlier = [event for event in events if event.seq < before]
        assert wanted_of(earlier, wanted, behind) == wanted_of(earlier, wanted)[-count:]

    law()


def test_every_event_has_its_time(log: Opened) -> None:
    """The time of any event is found, and none for a number that is not there."""

    @given(histories())
    def law(blocks: list[NewBlock]) -> None:
        refill(log, blocks)
        times = {seq: n.at_ms for n in blocks for seq in range(n.row[0], n.row[1] + 1)}
        for seq in range(len(times) + 3):
            assert history.time_of(log.readers[0], seq) == times.get(seq)

    law()


def test_ends(log: Opened) -> None:
    """The ends are ids of events that are there, also where the newest one was dropped since."""
    assert history.ends(log.readers[0], 0) == Ends(None, None)
    three = [
        new_block(block_of_facts(1 + 2 * n, MS + n, f"s{n}", facts(2)), MS + n) for n in range(3)
    ]
    put_blocks(log, three)
    oldest, newest = event_id(1, MS), event_id(6, MS + 2)
    assert history.ends(log.readers[0], 6) == Ends(oldest, newest)
    assert history.ends(log.readers[0], 3) == Ends(oldest, event_id(3, MS + 1))

    log.connection.execute("DELETE FROM blocks WHERE first_seq = 3")
    assert history.ends(log.readers[0], 4) == Ends(oldest, newest)
    log.connection.execute("DELETE FROM blocks WHERE first_seq = 1")
    assert history.ends(log.readers[0], 4) == Ends(event_id(5, MS + 2), newest)


def test_a_page_ends_with_the_block_that_is_too_much(log: Opened) -> None:
    """A page has the block with which it exceeds its bytes, and not the next."""
    blocks = [
        new_block(block(1 + n, ["x" * 500], session_id=f"session_{n % 2}"), MS) for n in range(10)
    ]
    put_blocks(log, blocks)
    size = len(blocks[0].block.body)

    page = history.read(log.readers[0], 0, 10, EVERYTHING, 3 * size)

    assert [each.first_seq for each in page.blocks] == [1, 2, 3, 4]
    assert page.reached == 4


def test_large_blocks_behind_a_small_one(log: Opened) -> None:
    """A small first block does not make the page larger than it may be."""
    sizes = [1, 5000, 5000, 5000]
    blocks = [new_block(block(1 + n, ["x" * size], f"s{n}"), MS) for n, size in enumerate(sizes)]
    put_blocks(log, blocks)

    page = history.read(log.readers[0], 0, 4, EVERYTHING, 5000)

    assert [each.first_seq for each in page.blocks] == [1, 2]


def test_the_work_for_a_rare_type_is_bounded(log: Opened, monkeypatch) -> None:
    """Where nothing is wanted a read ends ahead, with an empty page, after a bounded stretch."""
    monkeypatch.setattr(history, "MAX_EVENTS_PASSED", 2)
    rare = mask_of_types(["session:*"])
    put_blocks(log, [new_block(block(1 + n, ["x"], f"s{n % 2}"), MS) for n in range(2_500)])

    for wanted, stretches in (
        (EventFilter(None, rare), [0, 128, 256, 384]),
        (EventFilter("s0", rare), [0, 2048, 2500]),
    ):
        reached = [0]
        while len(reached) < len(stretches):
            page = history.read(log.readers[0], reached[-1], 2_500, wanted, 1000)
            assert page.blocks == ()
            reached.append(page.reached)
        assert reached == stretches


def test_the_work_of_a_count_is_bounded(log: Opened, monkeypatch) -> None:
    """It stops after so many blocks, wanted or passed, and goes on from there."""
    rare = mask_of_types(["session:*"])
    put_blocks(log, [new_block(block(1 + n, ["x"], f"s{n % 2}"), MS) for n in range(2_500)])

    def places(wanted: EventFilter, count: int) -> list[int]:
        counts = [history.Count(2_501, count)]
        while not counts[-1].is_over:
            counts.append(history.count_on(log.readers[0], counts[-1], wanted))
        return [each.high for each in counts]

    monkeypatch.setattr(history, "MAX_ROWS", 72)
    assert places(EVERYTHING, 100) == [2_500, 2_428, 2_400]
    monkeypatch.setattr(history, "MAX_EVENTS_PASSED", 2)
    assert places(EventFilter(None, rare), 1)[:3] == [2_500, 2_372, 2_244]
    assert places(EventFilter("s0", rare), 1) == [2_500, 451, -1]


@pytest.mark.parametrize("session_id", [None, "session_2"])
def test_a_hole_is_no_work(log: Opened, monkeypatch, session_id: str | None) -> None:
    """However wide a hole is, a question by types leads over it to what lies beyond."""
    monkeypatch.setattr(history, "MAX_EVENTS_PASSED", 10)
    wanted = EventFilter(session_id, mask_of_types(["log:info"]))
    put_blocks(log, [new_block(block(1, ["before"]), MS)])
    put_blocks(log, [new_block(block(10**9, ["behind"], "session_2"), MS)])

    page = history.read(log.readers[0], 1, 10**9, wanted, 10**6)

    assert [each.first_seq for each in page.blocks] == [10**9]

    put_blocks(log, [new_block(block(2, ["before"], "session_2"), MS)])
    counted = history.count_on(log.readers[0], history.Count(10**9, 1), wanted)
    assert (counted.is_over, counted.behind) == (True, 1)


def test_counting_back_looks_at_more_and_more(log: Opened) -> None:
    """Few blocks are looked at for few events, and many in few queries."""
    put_blocks(log, [new_block(block(1 + n, ["x"]), MS) for n in range(1_000)])
    for count, rows in ((1, [1]), (50, [8, 42]), (1_000, [8, 64, 512, 416])):
        with counted_queries(log.readers[0]) as queries:
            assert behind_last(log.readers[0], 1_001, EVERYTHING, count) == 1_000 - count
        assert queries == rows


def test_one_session_is_found_by_index(log: Opened) -> None:
    """Reading one session passes nothing of others, however many events of others there are."""
    put_blocks(log, [new_block(block(1 + n, ["x"], "busy"), MS) for n in range(50)])
    put_blocks(log, [new_block(block(51, ["y"], "quiet"), MS)])
    plan, _ = plans.plan_of(EventFilter("quiet", 1 << 19))
    statement = plan.statement(plans.FETCH)
    limits = {"low": 1, "high": 99, "rows": 9, "bytes": 9, "session": "quiet", "mask": 1 << 19}

    steps = log.connection.execute(f"EXPLAIN QUERY PLAN {statement}", limits).fetchall()

    on_blocks = [str(step[3]) for step in steps if " blocks" in str(step[3])]
    assert on_blocks
    assert not [step for step in on_blocks if step.startswith("SCAN")]
    assert history.read(log.readers[0], 0, 51, EventFilter("quiet"), 1000).reached == 51


def test_the_oldest_may_be_gone(log: Opened) -> None:
    """Where the oldest blocks were deleted, reading begins with what there is."""
    put_blocks(log, [new_block(block(1 + 2 * n, ["a", "b"], f"s{n}"), MS) for n in range(5)])
    log.connection.execute("DELETE FROM blocks WHERE first_seq < 5")

    page = history.read(log.readers[0], 0, 10, EVERYTHING, 10**6)

    assert [each.first_seq for each in page.blocks] == [5, 7, 9]
    assert page.reached == 10
    assert behind_last(log.readers[0], 11, EVERYTHING, 100) == 4
    assert history.time_of(log.readers[0], 4) is None


def test_blocks_that_follow_one_another_become_one(log: Opened) -> None:
    """Many small blocks of one session are read as one large."""
    small = [block_of_facts(1 + n, MS + n, "session_1", [fact(str(n))]) for n in range(100)]
    put_blocks(log, [new_block(each, MS + n) for n, each in enumerate(small)])

    [whole] = history.read(log.readers[0], 0, 100, EVERYTHING, 10**6).blocks

    assert remembered([whole]) == remembered(small)
    assert isinstance(whole, Block)


def test_a_damaged_block_is_not_told(log: Opened) -> None:
    """A block that is not what was written fails the read that would give it."""
    put_blocks(log, [new_block(block(1 + n, ["hello"], f"s{n}"), MS) for n in range(3)])
    log.connection.execute(
        "UPDATE blocks SET body = CAST(replace(body, 'hello', 'hullo') AS BLOB) WHERE first_seq = 2"
    )

    with pytest.raises(Damaged, match="from number 2 on"):
        history.read(log.readers[0], 1, 3, EVERYTHING, 0)
    assert [b.first_seq for b in history.read(log.readers[0], 2, 3, EVERYTHING, 0).blocks] == [3]


def test_a_block_without_its_bytes(log: Opened) -> None:
    """A block that has lost its bytes is damage, and nothing that is not there."""
    put_blocks(log, [new_block(block(1, ["one"]), MS), new_block(block(2, ["two"]), MS)])
    connection = log.connection
    connection.pragma("writable_schema", True)
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'body BLOB NOT NULL', 'body')")
    connection.pragma("writable_schema", "RESET")
    connection.execute("UPDATE blocks SET body = NULL WHERE first_seq = 1")

    with pytest.raises(Damaged):
        history.read(connection, 0, 2, EVERYTHING, 10**6)


@pytest.mark.parametrize("column", ["session_id", "sum"])
def test_a_column_of_another_type_is_damage(log: Opened, column: str) -> None:
    """A column that holds what no column of ours can hold is damage too."""
    put_blocks(log, [new_block(block(1, ["hello"]), MS)])
    log.connection.execute(f"UPDATE blocks SET {column} = 'word'")
    if column == "session_id":
        log.connection.execute("UPDATE blocks SET session_id = CAST(x'ff' AS TEXT)")

    with pytest.raises(Damaged):
        history.read(log.readers[0], 0, 1, EVERYTHING, 1000)


def test_a_block_that_has_nothing_more_is_left_out(log: Opened) -> None:
    """Where a read begins in the midst of a block with nothing wanted behind, that is not given."""
    mixed = [fact("a", "task:created"), fact("b"), fact("c")]
    put_blocks(log, [new_block(block_of_facts(1, MS, "s1", mixed), MS)])
    put_blocks(log, [new_block(block_of_facts(4, MS, "s2", mixed), MS)])
    wanted = EventFilter(None, mask_of_types(["task:created"]))

    page = history.read(log.readers[0], 1, 6, wanted, 10**6)

    assert [each.first_seq for each in page.blocks] == [4]


def steps_of(connection: apsw.Connection, read: Callable[[], object]) -> int:
    """How many times twenty instructions SQLite runs for a read."""
    count = 0

    def progress() -> bool:
        nonlocal count
        count += 1
        return False

    connection.set_progress_handler(progress, 20)
    read()
    connection.set_progress_handler(None)
    return count


@pytest.mark.parametrize("session_id", [None, "session_1"])
def test_what_lies_between_two_matches_is_passed_over(log: Opened, session_id: str | None) -> None:
    """Neither direction looks at the blocks between a match in the oldest span and the newest."""
    reader = log.readers[0]
    wanted = EventFilter.of(session_id, ["task:*"])
    costs = []
    for count in (2 * SESSION_SPAN, 7 * SESSION_SPAN):
        kinds = ["task:created", *["log:info"] * count, "task:created"]
        events = [
            block_of_facts(1 + n, MS, "session_1", [fact("x", k)]) for n, k in enumerate(kinds)
        ]
        refill(log, [new_block(each, MS) for each in events])
        newest = count + 2
        assert frames(history.read(reader, 0, newest, wanted, 10**6).blocks, wanted)
        assert behind_last(reader, newest + 1, wanted, 2) == 0
        costs.append(
            (
                steps_of(reader, lambda n=newest: history.read(reader, 0, n, wanted, 10**6)),
                steps_of(reader, lambda n=newest: behind_last(reader, n + 1, wanted, 2)),
            )
        )

    spans = 5 * SESSION_SPAN // SPAN
    assert costs[1][0] < costs[0][0] + 2 * spans
    assert costs[1][1] < costs[0][1] + 2 * spans


@pytest.mark.parametrize(
    "wanted",
    [
        EventFilter(),
        EventFilter("session_1"),
        EventFilter.of("session_1", ["log:*"]),
        EventFilter.of("session_1", ["task:*"]),
        EventFilter.of("session_2", ["log:*"]),
    ],
)
def test_a_page_costs_the_same_in_a_long_log(log: Opened, wanted: EventFilter) -> None:
    """What is done for a page hardly depends on how much there is beside it, in blocks of one."""
    reader = log.readers[0]
    costs = []
    for count in (300, 6000):
        refill(log, [new_block(block(1 + n, ["x"]), MS) for n in range(count)])
        costs.append(
            (
                steps_of(reader, lambda n=count: history.read(reader, 0, n, wanted, 10_000)),
                steps_of(reader, lambda n=count: behind_last(reader, n + 1, wanted, 50)),
            )
        )

    assert min(costs[0]) > 0
    assert costs[1][0] < 1.5 * costs[0][0] + 25
    assert costs[1][1] < 1.5 * costs[0][1] + 25
