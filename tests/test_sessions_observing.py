"""What state directories say of very many sessions at once."""

from __future__ import annotations

from typing import cast

import pytest

from loki_twisted.model.sessions import SessionStatus
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.observing import StateObserver
from loki_twisted.sessions.run_observer import RunObserver
from loki_twisted.sessions.sightings import AT_ONCE
from loki_twisted.state.interface import SessionGone, SessionSighting, Sighting
from tests.fakes_sessions import MemoryLog

SESSIONS = 500


class NoRuns:
    """A project without runs of Loki Mode."""

    def is_documented(self, _: str) -> None:
        pass


def turns_of_telling(log: MemoryLog, observer: StateObserver, seen: list[Sighting]) -> list[int]:
    """Tell something; how many changes were made in each turn."""
    log.automatic = False
    done = observer.seen("/project", seen)
    counts = []
    while not done.called:
        counts.append(len(log._waiting))
        log.commit()
    return counts


@pytest.mark.promise("R27")
def test_many_sessions_come_and_go_bit_by_bit() -> None:
    """However many sessions appear, or vanish, at once: each turn makes some changes only."""
    log = MemoryLog()
    book = SessionBook(log, log, lambda: 0)
    observer = StateObserver(book, cast("RunObserver", NoRuns()))
    names = [f"session_{number}" for number in range(SESSIONS)]

    status = SessionStatus.RUNNING
    came = turns_of_telling(
        log, observer, [SessionSighting(session_id=name, status=status) for name in names]
    )
    assert len(book) == SESSIONS
    went = turns_of_telling(log, observer, [SessionGone(name) for name in names])
    assert {record.status for record in book} == {SessionStatus.STOPPED}

    assert sum(came) == sum(went) == SESSIONS
    assert max(came + went) <= 2 * AT_ONCE // 8 + 2
