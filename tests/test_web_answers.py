"""Tests of :mod:`loki_twisted.web.answers`."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.web.answers import Answer, as_bytes, phrase_of, request_id_for
from tests.fakes_web import read_responses


def test_an_answer_as_bytes_is_a_whole_response() -> None:
    """It can be read back, and says that nothing follows."""
    answer = Answer(429, b'{"a":1}', ((b"Retry-After", b"7"),))
    (response,) = read_responses(as_bytes(answer, b"the-id", 0.0123))
    assert (response.status, response.body) == (429, b'{"a":1}')
    assert response.header("retry-after") == "7"
    assert response.header("x-request-id") == "the-id"
    assert response.header("x-response-time") == "12ms"
    assert response.header("connection") == "close"


@pytest.mark.parametrize("status", [421, 422, 429, 431, 507])
def test_every_status_has_its_phrase(status: int) -> None:
    """Also those that Twisted does not know."""
    assert phrase_of(status) == HTTPStatus(status).phrase.encode()


@given(st.lists(st.binary(max_size=140), max_size=2))
def test_the_id_of_a_request_is_always_sane(wanted: list[bytes]) -> None:
    """It is the client's own or a new one, and harmless in a header and in a log."""
    given_id = request_id_for(wanted)
    assert given_id.isascii()
    assert 1 <= len(given_id) <= 128
    assert given_id.replace(b".", b"").replace(b"_", b"").replace(b"-", b"").isalnum() or set(
        given_id
    ) <= set(b"._-")


def test_new_ids_are_new() -> None:
    """No two requests have the same."""
    assert len({request_id_for(None) for _ in range(100)}) == 100
