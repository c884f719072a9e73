"""What has become of inputs of a session, while that is on its way to the disk."""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred

from loki_twisted.model.inputs import Answer, Input, InputStatus
from loki_twisted.sessions.changes import Change
from loki_twisted.sessions.inbox import check_repeated, no_such_input

T = TypeVar("T")


def outcome_of_answer(change: Change, input_id: str, answer: Answer) -> Input:
    """
    Say what has become of an input in a change that was to answer it.

    :raises Conflict: if it was withdrawn, because its driver failed on the answer.
    """
    [settled] = [each for each in change.rows.inputs if each.id == input_id]
    check_repeated(settled, answer)
    return settled


@attrs.define(eq=False)
class Settling(Container[str]):
    """
    Inputs that are no longer open for decisions, and still are for readers.

    So whoever answers one meanwhile is told what became of it.
    """

    _inputs: dict[str, Input] = attrs.field(factory=dict, init=False)

    def __contains__(self, input_id: object) -> bool:
        return input_id in self._inputs

    def repeated(self, session_id: str, input_id: str, answer: Answer) -> Input:
        """
        Take an answer to one of them.

        :returns: The input, if that is what it was answered.
        :raises Conflict: if it was answered otherwise, or withdrawn.
        :raises NotFound: if there is none of that id.
        """
        settled = self._inputs.get(input_id)
        if settled is None:
            raise no_such_input(session_id, input_id)
        check_repeated(settled, answer)
        return settled

    def put(self, change: Change) -> None:
        """Take those that a change settles, for good: what comes of it does not matter any more."""
        self._inputs |= {
            each.id: each for each in change.rows.inputs if each.status is not InputStatus.OPEN
        }

    def put_until(self, done: Deferred[T], change: Change) -> None:
        """Take those that a change settles until it is on disk, or failed to get there."""

        def drop(outcome: T) -> T:
            for each in change.rows.inputs:
                self._inputs.pop(each.id, None)
            return outcome

        self.put(change)
        done.addBoth(drop)
