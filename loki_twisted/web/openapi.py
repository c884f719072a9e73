"""
The OpenAPI document, made from the operations themselves.

``python -m loki_twisted.web.openapi`` writes it to its standard output.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from loki_twisted import __version__
from loki_twisted.model.errors import EventNotHeld
from loki_twisted.model.events import Event
from loki_twisted.model.wire import Problem
from loki_twisted.web.answers import OLDEST_EVENT_ID
from loki_twisted.web.operations import DESCRIBED_OLDEST, EVENT_STREAM, Operation
from loki_twisted.web.parameters import Parameter
from loki_twisted.web.problems import STATUS_OF_CODE, kind_of
from loki_twisted.web.scopes import scope_of
from loki_twisted.web.targets import SEGMENT
from loki_twisted.web.validation import NoFields

Json = dict[str, Any]

_DESCRIPTION: Final = """\
Start, steer and watch coding agents.

Requests from this machine, by the user who runs the server, need no token; all others do, one with
the scope that stands beside it: `read`, `write` or `admin`. Every response carries `X-Request-ID`
(the client's own, if it sent a sane one) and `X-Response-Time`. Every error is answered with the
same object: a sentence, a code and perhaps details. No text that is sent may hold a NUL
character."""

_ALWAYS: Final = (
    "BAD_REQUEST",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "HOST_NOT_ALLOWED",
    "VALIDATION_ERROR",
    "TOO_MANY_REQUESTS",
    "INTERNAL_ERROR",
)
"""What any request can be answered with: every one has a query, and may have a body."""

_OF_ORDERS: Final = (
    "REQUEST_TIMEOUT",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "TIMEOUT",
)
_OPEN: Final = frozenset(("UNAUTHORIZED", "TOO_MANY_REQUESTS"))
_ROLE: Final = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_JSON: Final = "application/json"
_FRAME: Final[Json] = {
    "type": "object",
    "description": "One frame of the stream.",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": _JSON},
    },
}
_SCHEMA_REF: Final = "#/components/schemas/{name}"

_SECURITY: Final[Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_NEEDED: Final[list[Json]] = [{}, {"bearer": []}, {"apiKey": []}]

_HEADERS: Final[Json] = {
    "X-Request-ID": {
        "description": "Names the request, also in the server's log.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "X-Response-Time": {
        "description": "How long the server took.",
        "schema": {"type": "string", "pattern": "^[0-9]+ms$"},
    },
}
_HEADER_REFS: Final = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}

_GONE: Final = kind_of(EventNotHeld).code
_OF_GONE: Final = {OLDEST_EVENT_ID: DESCRIBED_OLDEST}

_VARIABLES: Final[Mapping[str, Json]] = {
    "sessionId": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
    "taskId": {"type": "string", "pattern": SEGMENT},
    "inputId": {"type": "string", "pattern": SEGMENT},
}


def document(operations: Iterable[Operation]) -> Json:
    """
    Describe operations.

    :returns: An OpenAPI 3.1 document.
    """
    declared = list(operations)
    schemas, refs = _components(declared)
    paths: dict[str, Json] = {}
    for each in declared:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, refs)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "loki_twisted",
            "version": __version__,
            "summary": "Start, steer and watch coding agents.",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": _NEEDED,
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in declared)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": _problems_of_all(declared, refs[Problem]),
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def _components(operations: Sequence[Operation]) -> tuple[Json, Mapping[Any, Json]]:
    types = {Problem: None, Event: None}
    for each in operations:
        for declared in (each.body, each.answer, *each.also.values()):
            if declared not in {None, NoFields}:
                types[declared] = None
    refs, schemas = msgspec.json.schema_components(types, ref_template=_SCHEMA_REF)
    schemas = json.loads(json.dumps(schemas))  # so that defaults that are tuples become lists
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = _prose(schema["description"])
    return dict(sorted(schemas.items())), dict(zip(types, refs, strict=True))


def _prose(docstring: str) -> str:
    """Only what a docstring says before its fields, as one paragraph of Markdown."""
    text = " ".join(docstring.partition("\n:")[0].split())
    return _ROLE.sub(r"`\1`", text).replace("``", "`")


def _operation(declared: Operation, refs: Mapping[Any, Json]) -> Json:
    described: Json = {
        "operationId": declared.name,
        "tags": [declared.tag],
        "summary": declared.summary,
    }
    if declared.description:
        described["description"] = declared.description
    described["security"] = _security(declared)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _VARIABLES[name]}
        for name in declared.variables
    ]
    parameters += [_parameter(each) for each in declared.parameters]
    if parameters:
        described["parameters"] = parameters
    if declared.body is not NoFields:
        examples = {name: {"value": value} for name, value in declared.examples.items()}
        described["requestBody"] = {
            "required": any(field.required for field in msgspec.structs.fields(declared.body)),
            "content": {_JSON: {"schema": refs[declared.body], "examples": examples}},
        }
    problems = {
        str(status): {"$ref": f"#/components/responses/{_name_of(codes)}"}
        for status, codes in _codes(declared).items()
    }
    described["responses"] = {**_answers(declared, refs), **problems}
    return described


def _security(declared: Operation) -> list[Json]:
    """Where OpenAPI 3.1 wants the scope of a token: as the role that it needs."""
    if not declared.needs_token:
        return []
    role = [scope_of(declared.name).value]
    return [{}, *({name: role} for name in _SECURITY)]


def _parameter(declared: Parameter) -> Json:
    described: Json = {
        "name": declared.name,
        "in": declared.place,
        "description": declared.description,
        "schema": dict(declared.schema),
    }
    if declared.repeats:
        described.update(style="form", explode=False)  # one parameter, with commas
    return described


def _answers(declared: Operation, refs: Mapping[Any, Json]) -> Json:
    if declared.answer is None:
        is_stream = declared.media_type == EVENT_STREAM
        content = {declared.media_type: {"schema": _FRAME if is_stream else {"type": "string"}}}
    else:
        content = {_JSON: {"schema": refs[declared.answer]}}
    headers = {**_HEADER_REFS, **declared.headers}
    usual: Json = {"description": declared.summary, "headers": headers, "content": content}
    if declared.links:
        usual["links"] = {
            name: {
                "operationId": name,
                "parameters": {
                    variable: f"$response.body#/{field}" for variable, field in filled.items()
                },
            }
            for name, filled in declared.links.items()
        }
    answers = {str(declared.status): usual}
    for status, answer in declared.also.items():
        answers[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "headers": _HEADER_REFS,
            "content": {_JSON: {"schema": refs[answer]}},
        }
    return answers


def _codes(declared: Operation) -> dict[int, list[str]]:
    """The codes of all errors that an operation can be answered with, by status."""
    codes = [code for code in _ALWAYS if declared.needs_token or code not in _OPEN]
    if declared.method != "GET":
        codes += _OF_ORDERS
    codes += [kind_of(error).code for error in declared.errors]
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(codes)):
        if STATUS_OF_CODE[code] not in declared.also:
            by_status.setdefault(STATUS_OF_CODE[code], []).append(code)
    return dict(sorted(by_status.items()))


def _problems_of_all(operations: Sequence[Operation], schema: Json) -> Json:
    together = {_name_of(codes): codes for each in operations for codes in _codes(each).values()}
    return {
        name: {
            "description": " or ".join(codes),
            "headers": {**_HEADER_REFS, **_OF_GONE} if _GONE in codes else _HEADER_REFS,
            "content": {_JSON: {"schema": schema}},
        }
        for name, codes in sorted(together.items())
    }


def _name_of(codes: Sequence[str]) -> str:
    return ".".join(codes)


def main() -> None:
    """Write the document of this version to the standard output."""
    from loki_twisted.web.routes import every_operation  # it imports this module

    json.dump(document(every_operation()), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
