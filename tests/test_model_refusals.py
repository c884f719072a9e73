"""Tests of :mod:`loki_twisted.model.refusals`."""

from __future__ import annotations

from loki_twisted.model.refusals import Refusals


def test_each_reason_is_news_once() -> None:
    """What is refused for the same reason is no news, until there was another one or an end."""
    refusals = Refusals()

    reasons = [refusals.is_news(reason) for reason in ("", "full", "full", "broken", "full")]

    assert reasons == [True, True, False, True, True]
    assert refusals.over() == 5
    assert refusals.over() == 0
    assert refusals.is_news("full")
