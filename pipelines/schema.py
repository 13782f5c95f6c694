"""Dataclasses filled from TOML tables, with errors that name the key, what came and what is accepted.

A field's check is in its metadata: `epochs: int = integer(1, 10_000)`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from pipelines.errors import RecipeError

T = TypeVar("T")
_LABELS = "a list of at least two different, non-empty strings without control characters"
Check = Callable[[Any], Any]
"""Gives the value as the field holds it; raises ValueError that says what is accepted."""


def build(cls: type[T], table: Any, source: str, prefix: str) -> T:
    """The dataclass with the table's values.

    Raises:
        RecipeError: a key is missing, unknown or has a wrong value; names `source` and the key with its prefix.
    """
    if not isinstance(table, dict):
        raise RecipeError(f"{source}: {prefix.rstrip('.')} is {table!r}; expected a table")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    if unknown := [key for key in table if key not in known]:
        raise RecipeError(f"{source}: unknown key {prefix}{unknown[0]}; known are {', '.join(known)}")
    values = {}
    for name, f in known.items():
        if name in table:
            values[name] = _checked(f.metadata["check"], table[name], f"{source}: {prefix}{name}")
        elif not _has_default(f):
            raise RecipeError(f"{source}: {prefix}{name} is missing")
    return cls(**values)


def _has_default(f: Field[Any]) -> bool:
    return f.default is not MISSING or f.default_factory is not MISSING


def _checked(check: Check, value: Any, where: str) -> Any:
    try:
        return check(value)
    except ValueError as accepted:
        raise RecipeError(f"{where} is {value!r}; expected {accepted}") from None


def _field(check: Check, default: Any = MISSING) -> Any:
    return field(default=default, metadata={"check": check})


def number(low: float, high: float, default: Any = MISSING) -> Any:
    """A field for a number from `low` to `high`."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return _field(check, default)


def integer(low: int, high: int, default: Any = MISSING) -> Any:
    """A field for a whole number from `low` to `high`."""
    return _field(lambda value: _integer(value, low, high), default)


def numbers(count: int, low: int, high: int) -> Any:
    """A field for a list of `count` whole numbers from `low` to `high`."""

    def check(value: Any) -> tuple[int, ...]:
        if not isinstance(value, list) or len(value) != count:
            raise ValueError(f"a list of {count} whole numbers from {low} to {high}")
        return tuple(_integer(one, low, high) for one in value)

    return _field(check)


def boolean(default: Any = MISSING) -> Any:
    """A field for true or false."""

    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value

    return _field(check, default)


def choice(accepted: Iterable[str], default: Any = MISSING) -> Any:
    """A field for one of the strings."""

    def check(value: Any) -> str:
        if value not in accepted:
            raise ValueError(f"one of {', '.join(filter(None, accepted))}")
        return str(value)

    return _field(check, default)


def table_of_texts(pattern: str) -> Any:
    """A field for a table of strings that match the pattern; empty where it is missing."""

    def check(value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not all(
            isinstance(one, str) and re.fullmatch(pattern, one) for one in value.values()
        ):
            raise ValueError(f"a table of strings that match {pattern}")
        return value

    return field(default_factory=dict, metadata={"check": check})


def text(default: Any = MISSING, pattern: str = r"[\s\S]*", many: bool = False) -> Any:
    """A field for a string that matches the pattern; `many`: for a list of at least two different, non-empty ones.

    Those of a list come out in Unicode's composed form (NFC), which is also what keeps two of them apart.
    """

    def check(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"a string that matches {pattern}")
        return value

    def check_many(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) and is_printable(one) for one in value):
            raise ValueError(_LABELS)
        composed = tuple(unicodedata.normalize("NFC", one) for one in value)
        if len({*composed}) < max(2, len(composed)):
            raise ValueError(_LABELS)
        return composed

    return _field(check_many if many else check, default)


def is_printable(label: str) -> bool:
    """Whether the label can be told: not empty, and without control characters, line ends and halves of characters."""
    return bool(label) and not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in label)


def _integer(value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"a whole number from {low} to {high}")
    return value
