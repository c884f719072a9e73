"""Bad input for every route and parameter, made from the document that describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import attrs

from loki_twisted.web.openapi import document
from loki_twisted.web.routes import every_operation
from tests.bad_input.cases import HOST, JSON, Case, asked

Json = Mapping[str, Any]

DOCUMENT: Json = json.loads(json.dumps(document(every_operation())))
EVERY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")
NOBODY = "session_1_00000000"

NUMBERS_THAT_ARE_NONE = (
    *("", " ", "abc", "1.5", "1e3", "0x1", "+1", " 1", "1\0", "1\n", "NaN", "Infinity", "-"),
    *("\uff11", "\u0661", "1,2", "true", "null", "[]", "{}", "1_000", "9" * 40, "9" * 5000),
)
WORDS_THAT_ARE_NONE = (
    *("", " ", "\0", "\r\n", "\x1b[0m", "\x7f", "\u2028", "../..", "%2e%2e", "\u00e9", "\u202e"),
    *("'", '"', "`id`", "$(id)", "<script>", "x" * 5000, "TRUE", "-1", "\U0001f600"),
)


@attrs.frozen
class Described:
    """An operation as the document describes it."""

    method: str
    path: str
    described: Json

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.described["operationId"])

    @property
    def target(self) -> str:
        """A target that is right, about a session that does not exist."""
        return re.sub(r"\{\w+\}", "x", self.path.replace("{sessionId}", NOBODY))

    def parameters(self, place: str) -> list[Json]:
        """Its parameters in a place."""
        return [each for each in self.described.get("parameters", []) if each["in"] == place]

    @property
    def body(self) -> Json | None:
        """The schema of its body, if it takes one."""
        if "requestBody" not in self.described:
            return None
        return resolved(self.described["requestBody"]["content"]["application/json"]["schema"])

    @property
    def right(self) -> dict[str, Any]:
        """The smallest body that it takes."""
        body = self.body or {}
        return dict.fromkeys(body.get("required", []), "x")


OPERATIONS = [
    Described(method.upper(), path, described)
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
]


def resolved(schema: Json) -> Json:
    """Follow a reference."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def cases_of(operation: Described) -> list[Case]:
    """Everything bad that can be sent to an operation."""
    made = [
        *_queries(operation),
        *_headers(operation),
        *_segments(operation),
        *_methods(operation),
        *_types_and_json(operation),
        *_framing(operation),
        *_fields(operation),
    ]
    cases = [Case(id=f"{operation.name} {what}", **answer) for what, answer in made]
    return list({case.sent: case for case in cases}.values())


Made = Iterator[tuple[str, dict[str, Any]]]


def _invalid(path: str | None, sent: bytes) -> dict[str, Any]:
    says = {} if path is None else {"path": path}
    return {"sent": sent, "status": 422, "code": "VALIDATION_ERROR", "tells": says.get("path")}


def _malformed(sent: bytes, **more: Any) -> dict[str, Any]:
    return {"sent": sent, "status": 400, "code": "BAD_REQUEST", **more}


def _send(operation: Described, target: str, *lines: bytes) -> bytes:
    """A request whose body is right."""
    content = json.dumps(operation.right).encode() if operation.body is not None else b""
    more = (JSON, *lines) if content else lines
    return asked(operation.method.encode(), target.encode(), *more, body=content)


# Queries and headers


def _queries(operation: Described) -> Made:
    target = operation.target
    for each in operation.parameters("query"):
        name = each["name"]
        if name == "ticket":
            continue  # it stands for a token, and is refused as one: test_web_tickets.py
        for value in _values_out_of(each["schema"]):
            sent = _send(operation, f"{target}?{name}={quote(value, safe='')}")
            yield f"{name}={value[:20]!r}{len(value)}", _invalid(name, sent)
        right = quote(_value_in(each["schema"]), safe="")
        twice = _send(operation, f"{target}?{name}={right}&{name}={right}")
        yield f"{name} twice", _invalid(name, twice)
        yield f"{name} no text", _malformed(_send(operation, f"{target}?{name}=%ff"))
        raw = asked(operation.method.encode(), f"{target}?{name}=".encode() + b"\xe9")
        yield f"{name} raw", _malformed(raw, closes=True)
        other = name.swapcase()
        yield f"{other}", _invalid(other, _send(operation, f"{target}?{other}={right}"))
    yield "unknown", _invalid("nothing", _send(operation, f"{target}?nothing=1"))
    yield "without a name", _invalid("", _send(operation, f"{target}?=1"))
    many = "&".join(f"p{number}=1" for number in range(51))
    yield "51 parameters", _malformed(_send(operation, f"{target}?{many}"))


def _values_out_of(schema: Json) -> Iterator[str]:
    kind = schema["type"]
    if kind == "integer":
        yield from NUMBERS_THAT_ARE_NONE
        yield str(schema["minimum"] - 1)
        yield str(schema["maximum"] + 1)
    elif kind == "boolean":
        yield from ("", "1", "0", "yes", "True", "FALSE", "true ", "\0")
    elif kind == "array":
        right = schema["items"]["enum"][0]
        yield from (value for value in WORDS_THAT_ARE_NONE)
        yield from (",", f"{right},", f",{right}", f"{right},x", right.upper(), f"[{right}]")
    elif "enum" in schema:
        yield from WORDS_THAT_ARE_NONE
        yield schema["enum"][0].upper()
        yield ",".join(schema["enum"][:2])
    else:
        pattern = re.compile(re.sub(r"\$$", r"\\Z", schema["pattern"]))
        yield from (value for value in WORDS_THAT_ARE_NONE if not pattern.search(value))


def _value_in(schema: Json) -> str:
    if schema["type"] == "integer":
        return str(schema["minimum"])
    if schema["type"] == "boolean":
        return "true"
    if schema["type"] == "array":
        return str(schema["items"]["enum"][0])
    return str(schema.get("enum", ["x"])[0])


def _headers(operation: Described) -> Made:
    for each in operation.parameters("header"):
        if "pattern" not in each["schema"]:
            continue  # nothing that stands there is an error
        for value in (b"", b"a b", b"\xe9", b"a\tb", b"\x7f", b"x" * 256, b"x" * 10_000):
            sent = _send(operation, operation.target, each["name"].encode() + b": " + value)
            yield f"{each['name']} {value[:10]!r}{len(value)}", _invalid(each["name"], sent)


# Paths


def _segments(operation: Described) -> Made:
    for name in re.findall(r"\{\w+\}", operation.path):
        before, _, after = operation.path.partition(name)
        before = before.replace("{sessionId}", NOBODY)
        after = re.sub(r"\{\w+\}", "x", after)
        for segment in (
            *("..", ".", "%2e%2e", "%2E", "..%2f..", "a%2fb", "a%5cb", "%00", "a%0d%0ab", "%7f"),
            *("%c2%85", "%e2%80%a8", "%ff", "%c0%af", "%ed%a0%80", "%zz", "%", "", "<x>", "a|b"),
        ):
            sent = _send(operation, f"{before}{segment}{after}")
            if segment or after:  # else it is another route
                yield f"{name} {segment}", _malformed(sent, closes=True)
        for segment in ("x" * 65, "x" * 8000, "%C3%A9", "a.b", "-", "a%20b", "'%20OR%201=1", "%25"):
            code = "SESSION_NOT_FOUND"
            answer = {
                "status": 404,
                "code": code,
                "sent": _send(operation, before + segment + after),
            }
            yield f"{name} {segment[:20]}{len(segment)}", answer


def _methods(operation: Described) -> Made:
    allowed = {each.upper() for each in DOCUMENT["paths"][operation.path]}
    told = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
    for method in EVERY_METHOD:
        if method not in allowed:
            answer = {"status": 405, "code": "METHOD_NOT_ALLOWED", "says": {"Allow": told}}
            yield method, {"sent": asked(method.encode(), operation.target.encode()), **answer}
    answer = {"status": 501, "code": "NOT_IMPLEMENTED", "closes": True}
    lower = operation.method.lower().encode()
    yield "in small letters", {"sent": asked(lower, operation.target.encode()), **answer}


# Bodies


def _types_and_json(operation: Described) -> Made:
    method, target = operation.method.encode(), operation.target.encode()
    for declared in (b"text/plain", b"application/x-www-form-urlencoded", b"application/xml", b""):
        sent = asked(method, target, b"Content-Type: " + declared, body=b"{}")
        answer = {"status": 415, "code": "UNSUPPORTED_MEDIA_TYPE"}
        yield f"as {declared.decode()}", {"sent": sent, **answer}
    packed = asked(method, target, JSON, b"Content-Encoding: gzip", body=b"{}")
    yield "packed", {"sent": packed, "status": 415, "code": "UNSUPPORTED_MEDIA_TYPE"}
    for what, content in (
        ("no json", b"x"),
        ("half", b'{"a":'),
        ("a list", b"[]"),
        ("null", b"null"),
        ("a field twice", b'{"a":1,"a":1}'),
        ("nan", b'{"a":NaN}'),
        ("infinity", b'{"a":-Infinity}'),
        ("digits", b'{"a":' + b"9" * 5000 + b"}"),
        ("deep", b'{"a":' * 65 + b"1" + b"}" * 65),
        ("very deep", b"[" * 100_000),
        ("many", b'{"a":[' + b"1," * 1000 + b"1]}"),
        ("no text", b'{"a":"\xff"}'),
        ("a surrogate", b'{"a":"\\ud800"}'),
        ("a mark", b"\xef\xbb\xbf{}"),
        ("utf-16", "{}".encode("utf-16")),
        ("a line end", b'{"a":"\n"}'),
    ):
        yield what, _malformed(asked(method, target, JSON, body=content))
    yield "more", _invalid("nothing", asked(method, target, JSON, body=b'{"nothing":1}'))


def _framing(operation: Described) -> Made:
    head = f"{operation.method} {operation.target} HTTP/1.1\r\n".encode() + HOST + b"\r\n"
    for what, lines in (
        ("two framings", b"Content-Length: 2\r\nTransfer-Encoding: chunked"),
        ("two lengths", b"Content-Length: 2\r\nContent-Length: 3"),
        ("a length with a sign", b"Content-Length: +2"),
        ("a coding", b"Transfer-Encoding: gzip, chunked"),
        ("no length", b"Content-Length:"),
    ):
        sent = head + JSON + b"\r\n" + lines + b"\r\n\r\n{}"
        yield what, _malformed(sent, closes=True)
    sent = head + b"Transfer-Encoding: chunked\r\n\r\nxx\r\n"
    yield "no chunk", _malformed(sent, closes=True)
    sent = head + b"Content-Length: 1048577\r\n\r\n"
    yield "too long", {"sent": sent, "status": 413, "code": "PAYLOAD_TOO_LARGE", "closes": True}


def _fields(operation: Described) -> Made:
    if operation.body is None:
        return
    method, target = operation.method.encode(), operation.target.encode()

    def sent(value: object) -> bytes:
        return asked(method, target, JSON, body=json.dumps(value).encode())

    for path, wrong in _wrong(operation.body, ()):
        body = _with(operation.right, path, wrong)
        told = ".".join(map(str, path))
        yield f"{told} {json.dumps(wrong)[:40]}{len(str(wrong))}", _invalid(told, sent(body))
    for name in operation.body.get("required", []):
        rest = {key: value for key, value in operation.right.items() if key != name}
        yield f"without {name}", _invalid(name, sent(rest))


Path = tuple[str | int, ...]


def _with(body: Mapping[str, Any], path: Path, wrong: object) -> object:
    """A body with a value put somewhere into it."""
    for step in reversed(path[1:]):
        wrong = [wrong] if isinstance(step, int) else {step: wrong}
    return {**body, path[0]: wrong}


def _wrong(schema: Json, path: Path) -> Iterator[tuple[Path, object]]:
    """Values that a schema does not take, and where they stand."""
    schema = resolved(schema)
    branches = [resolved(each) for each in schema.get("anyOf", [schema])]
    types = {each["type"] for each in branches if "type" in each}
    if path:
        samples = {"string": "1", "integer": 1, "number": 0.5, "boolean": True, "null": None}
        for kind, sample in {**samples, "array": [], "object": {}}.items():
            fits = kind in types or (kind == "integer" and "number" in types)
            if types and not fits:
                yield path, sample
    for branch in branches:
        yield from _wrong_in(branch, path)


def _wrong_in(branch: Json, path: Path) -> Iterator[tuple[Path, object]]:
    kind = branch.get("type")
    if "enum" in branch:
        yield from ((path, value) for value in ("", "x", branch["enum"][0].upper(), "\0", 1))
    elif kind == "string":
        yield from ((path, value) for value in _texts_out_of(branch))
    elif kind in {"integer", "number"}:
        least = branch.get("minimum", branch.get("exclusiveMinimum", 0))
        yield path, (least - 1 if "minimum" in branch else least)
        yield path, branch["maximum"] + 1
        yield from ((path, value) for value in (2**63, -(2**63) - 1, 10**400, 1e300))
        if kind == "integer":
            yield path, 0.5
    elif kind == "array":
        yield path, []
        yield path, ["x"] * (branch["maxItems"] + 1)
        yield from _wrong(branch["items"], (*path, 0))
    elif kind == "object":
        for name, each in branch["properties"].items():
            yield from _wrong(each, (*path, name))
        yield (*path, "nothing"), 1
        yield (*path, "__proto__"), {}


def _texts_out_of(schema: Json) -> Iterator[str]:
    yield "a\0b"
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    if schema.get("minLength") or "pattern" in schema:
        yield ""
    if "pattern" in schema:
        yield from ("../x", "--x", "a b", "$(id)", "\u00e9", "x\n", "x" * 5000)
