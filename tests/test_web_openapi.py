"""Tests of :mod:`loki_twisted.web.openapi`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from twisted.internet.task import Clock

from loki_twisted.web.execution import Execution
from loki_twisted.web.gate import OPEN_PATHS
from loki_twisted.web.openapi import document
from loki_twisted.web.operations import operations_of
from loki_twisted.web.problems import STATUS_OF_CODE
from loki_twisted.web.routes import ROUTES as ROUTE_CLASSES
from loki_twisted.web.routes import every_operation
from loki_twisted.web.routing import klein_app
from tests.fakes_web import Server
from tests.test_web_api import ROUTES, body_for, server

COMMITTED = Path(__file__).parent.parent / "docs" / "openapi.json"
DOCUMENT = document(every_operation())


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of all that is documented."""
    return [
        (method.upper(), path, described)
        for path, methods in DOCUMENT["paths"].items()
        for method, described in methods.items()
    ]


def answers_of(path: str, method: str) -> dict[str, dict[str, Any]]:
    """The answers of an operation by status, wherever they are described."""
    shared = DOCUMENT["components"]["responses"]
    described = DOCUMENT["paths"][path][method.lower()]["responses"]
    return {
        status: shared[answer["$ref"].split("/")[-1]] if "$ref" in answer else answer
        for status, answer in described.items()
    }


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the components beside a schema, so that its references lead somewhere."""
    return {**schema, "components": DOCUMENT["components"]}


def test_it_is_valid() -> None:
    """It is an OpenAPI 3.1 document by the letter."""
    validate(DOCUMENT)


def test_it_is_the_committed_one() -> None:
    """The file under ``docs/`` is up to date: python -m loki_twisted.web.openapi makes it."""
    assert json.loads(COMMITTED.read_text("utf-8")) == json.loads(json.dumps(DOCUMENT))


def test_the_command_writes_it() -> None:
    """The command that is documented gives exactly the committed file."""
    made = subprocess.run(
        [sys.executable, "-m", "loki_twisted.web.openapi"], capture_output=True, check=True
    )
    assert made.stdout == COMMITTED.read_bytes()
    assert made.stderr == b""


def test_it_is_served() -> None:
    """Clients get the same document from the server."""
    assert Server().ask("GET", "/openapi.json").json == json.loads(json.dumps(DOCUMENT))


def test_routes_and_document_are_the_same() -> None:
    """No route without a description, no description without a route."""
    placeholders: list[Any] = [object.__new__(each) for each in ROUTE_CLASSES]
    executions = [
        Execution(bound, Clock()) for routes in placeholders for bound in operations_of(routes)
    ]
    app = klein_app(executions, debug=False)
    routed = {
        (method, re.sub(r"<(\w+)>", "{}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    documented = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path, _ in operations()}
    assert routed == documented


def test_names_are_used_once() -> None:
    """A client that is made from it gets one function for each operation."""
    names = [described["operationId"] for _, _, described in operations()]
    assert len(set(names)) == len(names) == len(every_operation())


def test_only_probes_are_open() -> None:
    """What the document says of tokens is what the gate does."""
    open_paths = {path for _, path, described in operations() if described.get("security") == []}
    assert open_paths == {path.decode() for path in OPEN_PATHS}
    assert DOCUMENT["security"] == [{}, {"bearer": []}, {"apiKey": []}]


def test_every_error_is_in_the_table() -> None:
    """Each documented error names codes that exist, and have its status."""
    problems = 0
    for method, path, _ in operations():
        for status, answer in answers_of(path, method).items():
            content = answer["content"].get("application/json", {"schema": {}})["schema"]
            if content.get("$ref", "").endswith("/Problem"):
                problems += 1
                for code in answer["description"].split(" or "):
                    assert STATUS_OF_CODE[code] == int(status)
    assert problems > 100


def test_links_lead_somewhere() -> None:
    """From the answer of a start a tool finds its way to the session."""
    names = {described["operationId"]: path for _, path, described in operations()}
    links = DOCUMENT["paths"]["/api/sessions"]["post"]["responses"]["201"]["links"]
    assert set(links) >= {"getSession", "stopSession", "giveInput", "listSessionTasks"}
    for name, link in links.items():
        assert link["operationId"] == name
        assert link["parameters"] == {"sessionId": "$response.body#/sessionId"}
        assert "{sessionId}" in names[name]


def test_lists_are_written_with_commas() -> None:
    """Parameters that are lists say so, as clients of the old server write them."""
    for _, _, described in operations():
        for parameter in described.get("parameters", []):
            if parameter["schema"].get("type") == "array":
                assert (parameter["style"], parameter["explode"]) == ("form", False)


def test_no_description_holds_markup_of_docstrings() -> None:
    """What is written for readers of the source is not shown to readers of the document."""
    assert ":ivar" not in COMMITTED.read_text("utf-8")
    assert ":class:" not in COMMITTED.read_text("utf-8")


@pytest.mark.parametrize(("method", "target"), ROUTES)
def test_answers_are_as_documented(method: str, target: str) -> None:
    """Each answer of the server fits the schema that the document has for it."""
    pattern = {re.sub(r"\{\w+\}", "[^/]+", path): path for path in DOCUMENT["paths"]}
    (path,) = [path for each, path in pattern.items() if re.fullmatch(each, target)]
    response = server().ask(method, target, body=body_for(target))
    answers = answers_of(path, method)
    schema = answers[str(response.status)]["content"]["application/json"]["schema"]
    Draft202012Validator(resolve(schema)).validate(response.json)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/api/sessions", {"x": 1}),
        ("POST", "/api/sessions", b"["),
        ("GET", "/api/sessions/none", None),
        ("GET", "/api/tasks?limit=x", None),
    ],
)
def test_problems_are_as_documented(method: str, target: str, body: object) -> None:
    """Errors fit their schema, and their status stands in the document."""
    response = server().ask(method, target, body=body)
    path = target.partition("?")[0].replace("none", "{sessionId}")
    answers = answers_of(path, method)
    answer = answers[str(response.status)]
    assert response.code in answer["description"].split(" or ")
    Draft202012Validator(resolve(answer["content"]["application/json"]["schema"])).validate(
        response.json
    )
