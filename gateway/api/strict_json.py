"""JSON as the gateway takes it: in UTF-8, and no object with a key that comes twice (I-JSON, RFC 7493)."""

import json
import math
from typing import Any

import msgspec


class InvalidJson(ValueError):
    """The text is no JSON, or not such a one; the message says why."""


def parse(text: bytes) -> Any:
    """The value that the text holds; a number without a fraction is an int, however it is written.

    Raises:
        InvalidJson: it holds none.
    """
    try:
        value = _decoder.decode(text)
        if b"\\" in text:
            json.loads(text, object_pairs_hook=_refuse_repeated)
        elif text.count(b'"') != 2 * _string_count(value):  # of a repeated key only the last is left
            raise InvalidJson("an object holds a key twice")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(str(error)) from None
    return value


def _number(text: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidJson("a number is out of range")
    return int(value) if value.is_integer() else value


_decoder = msgspec.json.Decoder(float_hook=_number)


def _string_count(value: Any) -> int:
    """How many strings the value is made of, keys included."""
    if isinstance(value, str):
        return 1
    if isinstance(value, list):
        return sum(map(_string_count, value))
    return len(value) + sum(map(_string_count, value.values())) if isinstance(value, dict) else 0


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise InvalidJson("an object holds a key twice")
