"""The rows that go into the log with a change of a session, beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from loki_twisted.model.idempotency import CompletedRequest, IdempotencyKey
from loki_twisted.model.inputs import Input
from loki_twisted.model.ledger import LedgerEntry
from loki_twisted.model.messages import Message
from loki_twisted.model.spending import NOTHING, CostOrigin, Spending, booked
from loki_twisted.sessions.state import SessionState, spending_of


@attrs.frozen(slots=True, kw_only=True)
class Rows:
    """
    New rows.

    :ivar done_once: The request that the change is, if it has a key.
    """

    inputs: Sequence[Input] = ()
    messages: Sequence[Message] = ()
    spent: Sequence[LedgerEntry] = ()
    done_once: CompletedRequest | None = None


NO_ROWS: Final = Rows()


def with_key(
    rows: Rows, once: IdempotencyKey | None, session_id: str, target: str, now_ms: int
) -> Rows:
    """
    Add what was carried out under a key, if the request has one.

    :param target: The id of what it made or answered; empty if there is none.
    """
    if once is None:
        return rows
    return attrs.evolve(rows, done_once=once.done(session_id, target, now_ms))


def entry_of(
    state: SessionState, now_ms: int, amount: Spending, origin: CostOrigin, model: str | None
) -> LedgerEntry:
    """
    Make an entry of the ledger.

    :param model: None for that of the session.
    """
    session = state.session
    return LedgerEntry(
        session_id=session.id,
        turn=state.talk.turn,
        at_ms=now_ms,
        project_dir=session.project_dir,
        provider=session.provider,
        spending=amount,
        origin=origin,
        model=model or session.model or "",
    )


def entries_between(before: SessionState, after: SessionState, now_ms: int) -> list[LedgerEntry]:
    """Say what a session has used more in one state than in another, as totals."""
    usage = after.session.usage
    if usage is before.session.usage or usage == before.session.usage:
        return []
    amount = booked(spending_of(before.session.usage), spending_of(usage))
    if amount == NOTHING:
        return []
    return [entry_of(after, now_ms, amount, usage.cost_origin, None)]
