"""Encoding what goes into the log, and numbering it."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred

from loki_twisted.log.changes import changes_of
from loki_twisted.log.interface import Batch
from loki_twisted.log.messages import Entry
from loki_twisted.log.rows import MAX_BLOCK_BYTES, NewBlock, new_block
from loki_twisted.model.blocks import block_of_facts

MAX_BLOCK_EVENTS: Final = 1_024
"""
A batch of more events becomes several blocks, so that a reader never has to take too much.

So does one of more than ``MAX_BLOCK_BYTES`` of ``log/rows.py``.
"""

_ENTRY_BYTES: Final = 256


def entry_of(batch: Batch, first_seq: int) -> Entry:
    """
    Encode a batch.

    :param first_seq: The number of its first event.
    """
    blocks: list[NewBlock] = []
    size = _ENTRY_BYTES
    for start in range(0, len(batch.facts), MAX_BLOCK_EVENTS):
        facts = batch.facts[start : start + MAX_BLOCK_EVENTS]
        block = block_of_facts(first_seq + start, batch.at_ms, batch.session_id, facts)
        blocks += [new_block(part, batch.at_ms) for part in block.cut(MAX_BLOCK_BYTES)]
        size += len(block.body)
    changes = changes_of(batch)
    return Entry(blocks, changes, size + changes.size, Deferred())
