"""Checks what came against the types of schemas.py, and says all that is wrong with it, each by JSON pointer."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct
from werkzeug.datastructures import MultiDict

from gateway.errors import ProblemError
from handwriting.constraint import PATTERN_NAME, InvalidPattern, Pattern, parse_pattern

_PLACE = re.compile(r"\.([^.\[]+)|\[([^\]]+)\]")  # as msgspec tells it: $.inputs[0].shape
_NUMBER = re.compile(r"[0-9]{1,18}")

Kind = TypeVar("Kind", bound=Struct)


def checked(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """The values as the type.

    Raises:
        ProblemError: 400 `invalid_request` with all that is missing, unknown, or not as its field wants it.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError:
        raise invalid(_mistakes(kind, values)) from None


def values_from_text(kind: type[Struct], texts: MultiDict[str, str]) -> dict[str, Any]:
    """Options that came as text, in the query or as fields of a form: whole numbers as such where a field may hold one.

    Raises:
        ProblemError: 400 `invalid_request`: one came twice.
    """
    repeated = [name for name, values in texts.lists() if len(values) > 1]
    if repeated:
        raise invalid([(_pointer(name), "It came more than once.") for name in repeated])
    return {name: int(text) if name in _numeric(kind) and _NUMBER.fullmatch(text) else text for name, text in texts.items()}


def parsed_pattern(text: str) -> Pattern:
    """The pattern, which no schema can check.

    Raises:
        ProblemError: 400 `invalid_request`: it is none.
    """
    try:
        return parse_pattern(text)
    except InvalidPattern as error:
        raise invalid([("/pattern", f"It is no pattern: {error}.")]) from None


def pattern_name(text: str) -> str:
    """The name in `@NAME`.

    Raises:
        ProblemError: 400 `invalid_request`: no pattern can be called so.
    """
    if PATTERN_NAME.fullmatch(name := text.removeprefix("@")):
        return name
    told = "behind @ the name of a pattern is expected: up to 32 letters, digits, - and _. For the sign write \\@."
    raise invalid([("/pattern", f"It is {_shown(text)}; {told}")])


def invalid(mistakes: list[tuple[str, str]]) -> ProblemError:
    """The error that tells of these mistakes, each with its JSON pointer."""
    told = [{"pointer": pointer, "detail": detail} for pointer, detail in mistakes[:20]]
    summary = "; ".join(f"{pointer or 'body'}: {detail}" for pointer, detail in mistakes[:3])
    return ProblemError(400, "invalid_request", summary, errors=told)


def kind_of(value: Any) -> str:
    """What a value of JSON is, in words."""
    if value is None:
        return "null"
    if isinstance(value, list) and not value:
        return "an empty array"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array", dict: "an object"}
    return names[type(value)]


def _mistakes(kind: type[Struct], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    mistakes = [(_pointer(name), "It is missing.") for name, field in fields.items() if field.required and name not in values]
    for name, value in values.items():
        if name not in fields:
            mistakes.append((_pointer(name), f"It is unknown; {', '.join(fields)} are accepted."))
            continue
        try:
            msgspec.convert(value, fields[name].type)
        except msgspec.ValidationError as error:
            told, _, place = str(error).partition(" - at `$")
            expected = _expected(fields[name].type)
            detail = f"{told}." if place or expected is None else f"It is {_shown(value)}; {expected} is expected."
            mistakes.append((_pointer(name) + _PLACE.sub(r"/\1\2", place.rstrip("`")), detail))
    return mistakes


def _expected(hint: Any) -> str | None:
    """What the field's type says of itself."""
    if get_origin(hint) is not Annotated:  # a union with UnsetType
        hint = next((one for one in get_args(hint) if get_origin(one) is Annotated), None)
    return hint.__metadata__[-1].description if hint is not None else None


@cache
def _numeric(kind: type[Struct]) -> frozenset[str]:
    """The fields that may hold a whole number."""
    return frozenset(field.name for field in msgspec.structs.fields(kind) if _takes_numbers(field.type))


def _takes_numbers(hint: Any) -> bool:
    return hint is int or any(map(_takes_numbers, get_args(hint)))


def _pointer(name: str) -> str:
    """A JSON pointer (RFC 6901) to the member."""
    return "/" + name[:80].replace("~", "~0").replace("/", "~1")


def _shown(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, (str, int, float)) and not isinstance(value, bool) else kind_of(value)
