"""Tests of counting lines whose kinds are not known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.providers.unknown import OFTEN, Unknown, one_more, told

KINDS = st.lists(st.text(max_size=80), max_size=60)


@given(KINDS)
def test_each_is_counted(kinds: list[str]) -> None:
    """Whatever their kinds, all are counted, and of the kinds only some are remembered."""
    unknown: Unknown = {}
    for kind in kinds:
        unknown, facts = one_more(unknown, kind, "agent")
        assert not facts
    assert sum(unknown.values()) == len(kinds)
    assert len(unknown) <= 17
    rest, facts = told(unknown, "agent")
    assert rest == {}
    assert [each.data["message"].split()[0] for each in facts] == [str(len(kinds))] * bool(kinds)


def test_many_are_told_together() -> None:
    """So many at a time, each once."""
    unknown: Unknown = {}
    said = []
    for number in range(2 * OFTEN + 1):
        unknown, facts = one_more(unknown, "new" if number % 2 else "newer", "agent")
        said += facts
    assert [each.data["context"] for each in said] == [{"newer": 500, "new": 500}] * 2
    assert said[0].data["message"] == "1000 lines are of kinds that are not known here: newer, new"
    assert unknown == {"newer": 1}
