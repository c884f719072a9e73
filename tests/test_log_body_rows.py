"""Reading what agents ask for, and what they are told."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log import input_rows, message_rows
from loki_twisted.log.body_rows import BodyTable
from loki_twisted.log.faults import Damaged
from loki_twisted.log.input_rows import INPUTS
from loki_twisted.log.interface import Batch
from loki_twisted.log.message_rows import MESSAGES
from loki_twisted.log.opening import Opened
from loki_twisted.model.inputs import Answer, Input, InputPage, InputStatus, Option
from loki_twisted.model.messages import Message, MessagePage, MessageStatus
from tests.log_support import MS, asked, message, opened, put

names = st.sampled_from([f"x{n}" for n in range(8)])
sessions = st.sampled_from(["s1", "s2"])
times = st.sampled_from(["2026-01", "2026-02"])


def unique(each: Input | Message) -> tuple[str, str]:
    return (each.session_id, each.id)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "log.db") as log:
        log.connection.pragma("synchronous", "off")  # only the outcome matters here
        yield log


def ids(rows: list[Input] | list[Message] | tuple[Input, ...] | tuple[Message, ...]) -> list[str]:
    return [f"{each.session_id} {each.id}" for each in rows]


def test_inputs_are_found(log: Opened) -> None:
    """Those that are open are found oldest first, and pages of a session newest first."""
    some = st.builds(asked, names, sessions, created_at=times, status=st.sampled_from(InputStatus))

    @given(st.lists(some, max_size=12, unique_by=unique), st.integers(0, 5), st.integers(0, 5))
    def law(several: list[Input], limit: int, offset: int) -> None:
        log.connection.execute("DELETE FROM inputs")
        put(log, Batch(session_id="s1", at_ms=MS, inputs=several))
        several.sort(key=lambda each: each.created_at)
        reader = log.readers[0]
        assert input_rows.open_inputs(reader) == [
            each for each in several if each.status is InputStatus.OPEN
        ]
        wanted = [each for each in several[::-1] if each.session_id == "s1"]
        assert input_rows.inputs(reader, "s1", limit, offset) == InputPage(
            tuple(wanted[offset : offset + limit]), len(wanted)
        )

    law()


def test_messages_are_found(log: Opened) -> None:
    """Those that wait are found oldest first, and pages of a session newest first."""
    some = st.builds(
        message, names, sessions, created_at=times, status=st.sampled_from(MessageStatus)
    )

    @given(st.lists(some, max_size=12, unique_by=unique), st.integers(0, 5), st.integers(0, 5))
    def law(several: list[Message], limit: int, offset: int) -> None:
        log.connection.execute("DELETE FROM messages")
        put(log, Batch(session_id="s1", at_ms=MS, messages=several))
        several.sort(key=lambda each: each.created_at)
        reader = log.readers[0]
        assert message_rows.queued_messages(reader) == [
            each for each in several if each.status is MessageStatus.QUEUED
        ]
        wanted = [each for each in several[::-1] if each.session_id == "s1"]
        assert message_rows.messages(reader, "s1", limit, offset) == MessagePage(
            tuple(wanted[offset : offset + limit]), len(wanted)
        )

    law()


def test_an_input_keeps_its_place(log: Opened) -> None:
    """An input that is answered stays where it was, with all that there is to it, and is closed."""
    put(log, Batch(session_id="session_1", at_ms=MS, inputs=[asked("i1"), asked("i2")]))
    answered = asked(
        "i1",
        status=InputStatus.ANSWERED,
        details={"tool": "Bash", "arguments": {"command": "ls ü"}},
        options=(Option(value="yes", label="Yes"),),
        answer=Answer(values=("yes",), message="well"),
    )
    put(log, Batch(session_id="session_1", at_ms=MS, inputs=[answered]))
    reader = log.readers[0]

    assert input_rows.input_of(reader, "session_1", "i1") == answered
    assert ids(input_rows.inputs(reader, "session_1", 9, 0).inputs) == [
        "session_1 i2",
        "session_1 i1",
    ]
    assert input_rows.open_inputs(reader) == [asked("i2")]
    assert input_rows.input_of(reader, "session_2", "i1") is None
    assert input_rows.input_of(reader, "session_1", "i3") is None


def test_nothing_is_there_at_first(log: Opened) -> None:
    """An empty log answers every question."""
    reader = log.readers[0]
    assert input_rows.open_inputs(reader) == []
    assert input_rows.inputs(reader, "s", 10, 0) == InputPage((), 0)
    assert input_rows.input_of(reader, "s", "i") is None
    assert message_rows.queued_messages(reader) == []
    assert message_rows.messages(reader, "s", 10, 0) == MessagePage((), 0)


@pytest.mark.parametrize("table", [INPUTS, MESSAGES], ids=lambda table: table.name)
def test_only_what_is_wanted_is_looked_at(log: Opened, table: BodyTable[object]) -> None:
    """Rows that no longer matter cost nothing, and neither do those of other sessions."""
    steps: list[str] = []

    def note(cursor: object, statement: str, values: object) -> bool:
        plan = log.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
        steps.extend(str(step[3]) for step in plan)
        return True

    log.readers[0].exec_trace = note
    table.flagged(log.readers[0])
    table.page(log.readers[0], "s1", 10, 0)
    table.one(log.readers[0], "s1", "x")

    of_table = [step for step in steps if f" {table.name} " in step]
    assert len(of_table) == 4
    assert f"USING INDEX {table.name}_{table.flag}" in of_table[0]
    assert all("(session_id=?" in step for step in of_table[1:])
    assert not any("TEMP B-TREE" in step for step in steps)


def test_a_damaged_row_is_told(log: Opened) -> None:
    """A row that is no message is damage, not an error of ours."""
    put(log, Batch(session_id="s1", at_ms=MS, messages=[message("m", "s1")]))
    log.connection.execute("UPDATE messages SET body = '{}'")

    with pytest.raises(Damaged):
        message_rows.queued_messages(log.readers[0])


def test_what_is_stored_is_the_wire_s_own(log: Opened) -> None:
    """The body of a row is what clients are sent, behind its sum."""
    one = message("m", "s1", text="half \N{GRINNING FACE}")
    put(log, Batch(session_id="s1", at_ms=MS, messages=[one]))

    [(body,)] = log.connection.execute("SELECT body FROM messages").fetchall()
    sent = str(body)[8:].encode()
    assert sent == msgspec.json.encode(one)
    assert int(str(body)[:8], 16) == zlib.crc32(sent)
