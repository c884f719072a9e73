"""What agents ask people for, as rows."""

from __future__ import annotations

from typing import Final

import apsw
import msgspec

from loki_twisted.log.body_rows import BodyRow, BodyTable
from loki_twisted.log.sums import sealed
from loki_twisted.model.inputs import Input, InputPage, InputStatus

INPUTS: Final = BodyTable("inputs", "open", msgspec.json.Decoder(list[Input]).decode)
"""Their table."""


def input_row(asked: Input) -> BodyRow:
    """Make a row of an input."""
    return (
        asked.session_id,
        asked.id,
        asked.status is InputStatus.OPEN,
        asked.created_at,
        sealed(msgspec.json.encode(asked)),
    )


def open_inputs(connection: apsw.Connection) -> list[Input]:
    """All that are open, oldest first."""
    return INPUTS.flagged(connection)


def inputs(connection: apsw.Connection, session_id: str, limit: int, offset: int) -> InputPage:
    """Those of a session, open or not, newest first."""
    return InputPage(*INPUTS.page(connection, session_id, limit, offset))


def input_of(connection: apsw.Connection, session_id: str, input_id: str) -> Input | None:
    """One by its id, or None."""
    return INPUTS.one(connection, session_id, input_id)
