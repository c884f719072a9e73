"""
Bodies: from bytes that anybody may have sent to a value of a declared type.

First it must be JSON that every parser reads alike, then an object of the declared shape. The
shape is checked as JSON Schema, made from the declaration, because that names
all that is wrong and not just the first; then the same declaration decodes it. A body takes
some 100 microseconds so, which is little beside what it orders.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn, TypeVar

import msgspec
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from loki_twisted.model.errors import BadRequest, InvalidRequest
from loki_twisted.model.wire import Request
from loki_twisted.web.problems import UnsupportedMediaType

R = TypeVar("R", bound=Request)

MOST_LEVELS: Final = 64
"""So deep may objects and arrays be nested."""

MOST_VALUES: Final = 1000
"""So many values may a body hold: far more than any request of ours, far fewer than cost time."""

MOST_DIGITS: Final = 4300
"""So long may a number be."""

MOST_FAULTS: Final = 100
"""So many are told at once."""

_GREAT: Final = 10**20  # more than any that is taken, so as good as whatever is greater

_CHARSET: Final = re.compile(r'\s*charset="?utf-8"?\s*', re.IGNORECASE)
_ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_PATH_IN_MESSAGE: Final = re.compile(r"^(.*?)(?: - at `\$\.?(.*)`)?$", re.DOTALL)


class NoFields(Request, frozen=True, kw_only=True):
    """The body of a request that needs none: it may be missing, or an empty object."""


def read_body(
    content: bytes, types: Sequence[bytes], encodings: Sequence[bytes], shape: type[R]
) -> R:
    """
    Read a body.

    :param content: The bytes; none at all stand for an empty object.
    :param types: The ``Content-Type`` headers.
    :param encodings: The ``Content-Encoding`` headers.
    :raises UnsupportedMediaType: if it is not declared as JSON in UTF-8.
    :raises BadRequest: if it is no JSON object.
    :raises InvalidRequest: if it has not the shape, with all that is wrong.
    """
    if not content and shape is NoFields:
        return shape()  # nearly every request
    if content:
        _check_type(types, encodings)
    value = parse_object(content) if content else {}
    faults = _faults(value, shape)
    if faults:
        raise InvalidRequest.of(faults)
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest.of([_fault_of(error)]) from None


def parse_object(content: bytes) -> dict[str, Any]:
    """
    Parse a JSON object, strictly.

    :raises BadRequest: if it is anything else, is not UTF-8, names a field twice, holds a
        number that is none, half a character, too many values, or is nested too deeply.
    """
    if _values_at_least(content) > MOST_VALUES:
        raise BadRequest("The body holds too many values.")
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object_without_doubles,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    if _is_too_deep(value):
        raise BadRequest("The body is nested too deeply.")
    if _ESCAPED_SURROGATE.search(content):
        _refuse_half_characters(value)
    return value


def _check_type(types: Sequence[bytes], encodings: Sequence[bytes]) -> None:
    declared = types[0].decode("latin-1") if len(types) == 1 else ""
    media_type, *parameters = declared.split(";")
    is_json = media_type.strip().lower() == "application/json"
    is_utf8 = all(_CHARSET.fullmatch(each) for each in parameters if "charset" in each.lower())
    if not (is_json and is_utf8):
        raise UnsupportedMediaType("A body must be declared as Content-Type: application/json.")
    if any(encoding.lower() != b"identity" for encoding in encodings):
        raise UnsupportedMediaType("A body must not be compressed.")


def _values_at_least(content: bytes) -> int:
    # Cheap, because it comes before anything that costs: what JSON puts between values,
    # outside of strings. Without what is escaped, every second piece is outside.
    plain = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = plain.count(b'"')
    if marks > 4 * MOST_VALUES:  # a value has four at most, its name's and its own
        return marks // 4
    outside = b"".join(plain.split(b'"')[::2])
    return sum(outside.count(mark) for mark in (b",", b"[", b"{"))


def _object_without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object names a field twice")
    return value


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError("a number has too many digits")
    # Reading long ones takes as much time as the square of their length.
    if len(text) > len(str(_GREAT)):
        return -_GREAT if text.startswith("-") else _GREAT
    return int(text)


def _number(text: str) -> float:
    if len(text) > MOST_DIGITS:
        raise ValueError("a number has too many digits")
    value = float(text)
    return int(value) if value.is_integer() else value  # JSON knows one kind of number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> Sequence[Any]:
    children = node.values() if isinstance(node, dict) else node
    return [child for child in children if isinstance(child, dict | list)]


def _refuse_half_characters(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadRequest("The body holds half a character: a lone surrogate.") from None


def _paths_of_nul(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str) and "\0" in value:
        yield path
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _paths_of_nul(each, _join(path, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _paths_of_nul(each, _join(path, str(index)))


# Naming all that is wrong


def _check_pattern(
    validator: Any,  # noqa: ARG001  # jsonschema calls it so
    pattern: str,
    value: object,
    schema: object,  # noqa: ARG001  # jsonschema calls it so
) -> Iterator[ValidationError]:
    # A schema's "$" is the end of the text; Python's is also before a last line end.
    whole = re.sub(r"\$$", r"\\Z", pattern)
    if isinstance(value, str) and not re.search(whole, value):
        yield ValidationError(pattern)


def _check_items(validator: Any, items: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    # Each fault costs time, and takes more room in the answer than in the request.
    every = Draft202012Validator.VALIDATORS["items"](validator, items, value, schema)
    yield from itertools.islice(every, MOST_FAULTS)


_Validator: Final = validators.extend(
    Draft202012Validator, {"items": _check_items, "pattern": _check_pattern}
)


@functools.cache
def _validator(shape: type[Request]) -> Any:
    return _Validator(msgspec.json.schema(shape))


def _faults(value: Any, shape: type[Request]) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    for error in _validator(shape).iter_errors(value):
        faults += _faults_of(error)
    faults += [(path, "must not hold a NUL character") for path in _paths_of_nul(value, "")]
    return list(dict.fromkeys(faults))[:MOST_FAULTS]


def _faults_of(error: ValidationError) -> list[tuple[str, str]]:
    path = functools.reduce(_join, map(str, error.absolute_path), "")
    value: Any = error.instance
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        return [(_join(path, name), "is not known") for name in value if name not in known]
    if error.validator == "required":
        missing = [name for name in _bound(error) if name not in value]
        return [(_join(path, name), "is required") for name in missing]
    if error.validator == "anyOf":
        return _faults_of_choice(error, path)
    return [(path, _message(error))]


def _faults_of_choice(error: ValidationError, path: str) -> list[tuple[str, str]]:
    """Of a value that fits none of several schemas: what is wrong by the one it was meant for."""
    branches = [
        each for each in error.context or () if each.validator != "type" or each.relative_path
    ]
    if branches:
        return [fault for each in branches for fault in _faults_of(each)]
    names = [_TYPES[_bound(each)] for each in error.context or ()]
    return [(path, f"must be {' or '.join(names)}")]


_TYPES: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
}

_SENTENCES: Final = {
    "minLength": "must have at least {} character(s)",
    "maxLength": "must have at most {} characters",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "minItems": "must have at least {} item(s)",
    "maxItems": "must have at most {} items",
    "pattern": "must match {}",
}
"""What is said of each keyword. The value itself is never repeated: it may be long, or secret."""


def _message(error: ValidationError) -> str:
    if error.validator == "type":
        return f"must be {_TYPES[_bound(error)]}"
    if error.validator == "enum":
        return f"must be one of {', '.join(map(str, _bound(error)))}"
    sentence = _SENTENCES.get(str(error.validator), "is not valid")
    return sentence.format(_bound(error))


def _bound(error: ValidationError) -> Any:
    """What the schema asked for: a type, a length, a list of names."""
    return error.validator_value


def _fault_of(error: msgspec.ValidationError) -> tuple[str, str]:
    match = _PATH_IN_MESSAGE.fullmatch(str(error))
    return (match[2] or "", match[1]) if match else ("", str(error))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
