"""All tables, and where the rows are tested that no single request over a socket can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.bad_input import bodies, callers, lines, meanings, places
from tests.bad_input.cases import Case

CASES: Final[list[Case]] = [
    case for table in (lines, places, callers, bodies, meanings) for case in table.CASES
]

ROWS: Final = tuple(f"B{number}" for number in range(1, 77))

ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "B7": (
        "test_web_channel.py::test_a_head_has_ten_seconds",
        "test_web_channel.py::test_dripping_bytes_win_no_time",
        "test_web_channel.py::test_a_body_has_thirty_seconds",
    ),
    "B8": ("test_web_channel.py::test_answers_come_in_order",),
    "B28": ("test_system_tokens.py::test_a_token_that_is_revoked_is_gone_with_its_streams",),
    "B31": ("test_bad_input.py::test_wrong_tokens_are_slowed_down_and_the_right_one_never",),
    "B32": ("test_bad_input.py::test_a_thousand_connections_that_say_nothing",),
    "B57": (
        "test_web_tickets.py::test_a_ticket_is_over_after_30_seconds_of_a_clock_that_never_goes_back",
    ),
    "B58": ("test_web_tickets.py::test_a_ticket_opens_one_stream_without_a_token",),
    "B59": ("test_web_tickets.py::test_a_ticket_is_for_the_events_that_it_was_made_for",),
    "B65": (
        "test_web_problems.py::test_a_fault_of_ours_tells_nothing_of_the_inside",
        "test_web_execution.py::test_a_fault_of_ours",
    ),
    "B72": ("test_bad_input.py::test_starts_at_once_are_counted_exactly",),
}
"""Rows that take time, a fault of ours, or more than one request; some have both."""
