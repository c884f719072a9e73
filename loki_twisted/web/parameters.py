"""
Query parameters as declared values.

A declaration reads a parameter, says what is wrong with it, and describes
it in the OpenAPI document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import attrs

from loki_twisted.model.errors import BadRequest, InvalidRequest
from loki_twisted.model.timestamps import ms_from_iso

E = TypeVar("E", bound=Enum)

MOST_PARAMETERS: Final = 50
"""A query with more is not looked at."""

MOST_PER_PAGE: Final = 1000
MOST_OFFSET: Final = 1_000_000_000

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)

# Exactly the days that there are, so that the document promises no more than is taken.
_LEAP_YEAR: Final = "[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00"
_DAY: Final = (
    "(?!0000)(?:[0-9]{4}-(?:"
    "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|(?:{_LEAP_YEAR})-02-29)"
)
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?Z"
_MOMENT: Final = f"{_DAY}(?:T{_TIME})?"


@attrs.frozen(slots=True, kw_only=True)
class Parameter:
    """
    One query parameter, or one header that is read like one. Of several headers the last
    counts that is not empty.

    :ivar name: As clients write it.
    :ivar argument: Under which the handler is given its value.
    :ivar read: Makes the value from the text. Raises ValueError with what is wrong, as the
        rest of a sentence that begins with the name; or InvalidRequest with all that is.
    :ivar schema: JSON Schema of the value.
    :ivar default: The value when the parameter is not given.
    :ivar repeats: Whether the value is a list, written with commas.
    """

    name: str
    argument: str
    description: str
    read: Callable[[str], object]
    schema: Mapping[str, Any]
    default: object = None
    repeats: bool = False
    place: str = "query"


def integer(
    name: str, description: str, *, least: int, most: int, default: int | None = None
) -> Parameter:
    """Declare a whole number."""

    def read(text: str) -> int:
        if _INTEGER.fullmatch(text) is None:
            raise ValueError("must be a whole number")
        if not least <= int(text) <= most:
            raise ValueError(f"must be from {least} to {most}")
        return int(text)

    schema = {"type": "integer", "minimum": least, "maximum": most}
    if default is not None:
        schema["default"] = default
    return Parameter(
        name=name,
        argument=_snake_case(name),
        description=description,
        read=read,
        schema=schema,
        default=default,
    )


def text(
    name: str,
    description: str,
    *,
    pattern: str,
    expected: str,
    place: str = "query",
    argument: str | None = None,
) -> Parameter:
    """
    Declare a text of a certain form.

    :param pattern: A regular expression for the whole of it.
    :param expected: What it must be, in words.
    """
    compiled = re.compile(pattern, re.ASCII)

    def read(given: str) -> str:
        if compiled.fullmatch(given) is None:
            raise ValueError(f"must be {expected}")
        return given

    return Parameter(
        name=name,
        argument=argument or _snake_case(name),
        description=description,
        read=read,
        schema={"type": "string", "pattern": f"^{pattern}$"},
        place=place,
    )


def cursor(
    name: str, description: str, read: Callable[[str], object], *, pattern: str
) -> Parameter:
    """
    Declare a place to go on from, which the server gave before.

    :param read: Makes the place of the text, or raises ValueError.
    :param pattern: A regular expression for the whole of it.
    """
    return Parameter(
        name=name,
        argument=_snake_case(name),
        description=description,
        read=read,
        schema={"type": "string", "pattern": f"^{pattern}$"},
    )


def some_of(name: str, description: str, values: type[E]) -> Parameter:
    """Declare a list of members of an enumeration; its value is a frozenset of them."""

    def read(given: str) -> frozenset[E]:
        try:
            return frozenset(values(each) for each in given.split(","))
        except ValueError:
            raise ValueError(f"must be of {', '.join(each.value for each in values)}") from None

    return Parameter(
        name=name,
        argument=_snake_case(name),
        description=description,
        read=read,
        schema={
            "type": "array",
            "items": {"type": "string", "enum": [each.value for each in values]},
            "minItems": 1,
        },
        repeats=True,
    )


def one_of(name: str, description: str, values: type[E], *, default: E) -> Parameter:
    """Declare a member of an enumeration."""

    def read(given: str) -> E:
        try:
            return values(given)
        except ValueError:
            msg = f"must be one of {', '.join(each.value for each in values)}"
            raise ValueError(msg) from None

    return Parameter(
        name=name,
        argument=_snake_case(name),
        description=description,
        read=read,
        schema={
            "type": "string",
            "enum": [each.value for each in values],
            "default": default.value,
        },
        default=default,
    )


def switch(name: str, description: str) -> Parameter:
    """Declare a yes or no; it is no by default."""

    def read(given: str) -> bool:
        if given not in ("true", "false"):
            raise ValueError("must be true or false")
        return given == "true"

    return Parameter(
        name=name,
        argument=_snake_case(name),
        description=description,
        read=read,
        schema={"type": "boolean", "default": False},
        default=False,
    )


def moment(name: str, description: str) -> Parameter:
    """Declare a time, or a day, which stands for its beginning; its value is in milliseconds."""
    compiled = re.compile(_MOMENT, re.ASCII)

    def read(given: str) -> int:
        if compiled.fullmatch(given) is None:
            raise ValueError("must be a day, or a time with a Z, as 2026-11-23T22:43:11.042Z")
        return ms_from_iso(given)

    return Parameter(
        name=name,
        argument=_snake_case(name),
        description=description,
        read=read,
        schema={"type": "string", "pattern": f"^{_MOMENT}$"},
    )


def read_parameters(
    target: bytes, headers: Mapping[str, Sequence[str]], declared: Sequence[Parameter]
) -> dict[str, object]:
    """
    Read the parameters of a request.

    :param target: The request target with its query.
    :param headers: Values of the headers that are declared, by name.
    :returns: A value for each that is declared, by argument.
    :raises BadRequest: if the query is no text, or has too many parameters.
    :raises InvalidRequest: with everything that is wrong with them.
    """
    query = target.partition(b"?")[2]
    if not query and not headers:
        return {each.argument: each.default for each in declared}
    given = _by_name(query)
    known = {each.name for each in declared if each.place == "query"}
    faults = [(name, "is no parameter of this route") for name in given if name not in known]
    values: dict[str, object] = {}
    for each in declared:
        source = given if each.place == "query" else headers
        try:
            values[each.argument] = _value(each, source.get(each.name, ()))
        except InvalidRequest as error:
            found = (error.details or {}).get("errors", [])
            faults += [(fault["path"], fault["message"]) for fault in found]
        except ValueError as error:
            faults.append((each.name, str(error)))
    if faults:
        raise InvalidRequest.of(faults)
    return values


def _value(parameter: Parameter, given: Sequence[str]) -> object:
    if not given:
        return parameter.default
    # Whoever is on the way may put a header in once more; a query is the client's own.
    if len(given) > 1 and parameter.place == "query":
        raise ValueError("is given more than once")
    return parameter.read(next((each for each in reversed(given) if each), ""))


def _by_name(query: bytes) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except UnicodeDecodeError:
        raise BadRequest("The query is not UTF-8.") from None
    except ValueError:
        raise BadRequest(f"The query has more than {MOST_PARAMETERS} parameters.") from None
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return given


def _snake_case(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)
