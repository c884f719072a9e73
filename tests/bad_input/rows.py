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
    "B8": (
        "test_web_channel.py::test_answers_come_in_order",
        "test_web_pipelining.py::test_others_have_their_turn_between_requests_that_come_together",
    ),
    "B27": ("test_access_tokens.py::test_every_token_is_compared_whatever_is_shown",),
    "B28": ("test_system_tokens.py::test_a_token_that_is_revoked_is_gone_with_its_streams",),
    "B31": ("test_bad_input.py::test_wrong_tokens_are_slowed_down_and_the_right_one_never",),
    "B32": ("test_bad_input.py::test_a_thousand_connections_that_say_nothing",),
    "B57": (
        "test_web_tickets.py::test_a_ticket_opens_one_stream_without_a_token",
        "test_web_tickets.py::test_a_ticket_does_not_outlive_its_token",
    ),
    "B58": (
        "test_web_tickets.py::test_a_ticket_is_for_the_events_that_it_was_made_for",
        "test_web_tickets.py::test_a_ticket_is_good_for_the_stream_alone",
    ),
    "B59": (
        "test_web_tickets.py::test_wrong_tickets_are_refused_before_anything_is_looked_at",
        "test_web_tickets.py::test_tickets_are_bounded_in_number",
    ),
    "B65": (
        "test_web_problems.py::test_a_fault_of_ours_tells_nothing_of_the_inside",
        "test_web_execution.py::test_a_fault_of_ours",
    ),
    "B72": ("test_bad_input.py::test_starts_at_once_are_counted_exactly",),
}
"""Rows that take time, a fault of ours, or more than one request; some have both."""
