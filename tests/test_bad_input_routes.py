"""Bad input for every route and parameter of the document, over real sockets."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from loki_twisted.web.routes import every_operation
from tests.bad_input.generated import OPERATIONS, Described, cases_of
from tests.bad_input.target import Target

CASES = {operation.name: cases_of(operation) for operation in OPERATIONS}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One server for all routes."""
    target = Target(tmp_path_factory.mktemp("target"))
    yield target
    target.close()


@pytest.mark.threat("B-hdr")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_bad_request_gets_its_one_right_answer(target: Target, operation: Described) -> None:
    """
    Missing, of a wrong type, too long, too deep, negative, with control characters, broken: in
    every parameter, field and part of the path. The wrong one is named, and nothing is changed.
    """
    wrong = []
    for case in CASES[operation.name]:
        try:
            target.ask(case)
        except (AssertionError, ValueError, OSError) as error:
            wrong.append(f"{case.id}: {case.sent[:200]!r}: {str(error)[:400]}")
    assert wrong == []
    assert target.standing() == target.before


def test_the_server_is_as_it_was(target: Target) -> None:
    """It answers, holds no more descriptors than at first, and has logged no fault."""
    assert target.server.get("/health/live")["alive"]
    assert target.let_go()
    assert target.standing() == target.before
    fault = re.compile("Traceback|CRITICAL|Unhandled")
    assert [line for line in target.server.said if fault.search(line)] == []


def test_nothing_is_left_out() -> None:
    """Each route, each of its parameters and each field of its body has cases."""
    assert set(CASES) == {each.name for each in every_operation()}
    for operation in OPERATIONS:
        told = {case.tells for case in CASES[operation.name]}
        asked = {each["name"] for each in operation.parameters("query")} - {"ticket"}
        asked |= {*((operation.body or {}).get("properties", {}))}
        assert asked <= told, operation.name
        assert len(CASES[operation.name]) > 30
    assert sum(map(len, CASES.values())) > 2500
