"""What a reading must satisfy, as a deterministic automaton that is stepped a label at a time: nothing ever backtracks.

    constraint = Constraint(length=5, pattern=parse_pattern(r"\\d{5}"))
    state = constraint.step(constraint.start, "7")      # None where no reading that goes on from here satisfies

A pattern is a row of items: a character, `.`, `\\d` (0 to 9), `\\w` (letters and digits) or a class such as `[0-9A-F]` or
`[^0-9]`, each with an optional `?`, `*`, `+`, `{n}`, `{n,}` or `{n,m}`. There are no groups and no alternatives.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Check = Literal["luhn", "mod97", "mod11"]
CHECKS: tuple[Check, ...] = ("luhn", "mod97", "mod11")

PATTERN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
"""What a pattern may be called that comes with a model; `@` and the name stand for it."""
MOST_ITEMS = 256
"""Of a pattern whose repetitions are written out."""
_LONGEST_PATTERN = 1000
_REPETITION = re.compile(r"\{(\d{1,3})(?:(,)(\d{1,3})?)?\}")


class InvalidPattern(ValueError):
    """The text is no pattern; the message says where and what is accepted."""


@dataclass(frozen=True)
class Class:
    """A set of characters: ranges, or all but them."""

    ranges: tuple[tuple[str, str], ...]
    is_negated: bool = False

    def __contains__(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.is_negated


@dataclass(frozen=True)
class Item:
    """One character of the class; it may be left out, or repeated."""

    characters: Class
    is_optional: bool = False
    repeats: bool = False


Pattern = tuple[Item, ...]

_DIGITS = (("0", "9"),)
_WORD = (("0", "9"), ("A", "Z"), ("a", "z"))
_ANY = Class((), is_negated=True)


def parse_pattern(text: str) -> Pattern:
    """The pattern as a row of items with `{n,m}` written out.

    Raises:
        InvalidPattern: it is none, or longer than MOST_ITEMS items.
    """
    if len(text) > _LONGEST_PATTERN:
        raise InvalidPattern(f"the pattern has {len(text)} characters; at most {_LONGEST_PATTERN} are accepted")
    items: list[Item] = []
    position = 0
    while position < len(text):
        characters, position = _class_at(text, position)
        least, most, position = _repetition_at(text, position)
        items += [Item(characters)] * least
        items += [Item(characters, True, True)] if most is None else [Item(characters, True)] * (most - least)
        if len(items) > MOST_ITEMS:
            raise InvalidPattern(f"the pattern has more than {MOST_ITEMS} characters when its repetitions are written out")
    return tuple(items)


def _class_at(text: str, position: int) -> tuple[Class, int]:
    character = text[position]
    if character == "\\":
        return _escape_at(text, position)
    if character == "[":
        return _set_at(text, position)
    if character == ".":
        return _ANY, position + 1
    if character in "?*+{}()|]^$":
        raise InvalidPattern(
            f"the pattern holds {character!r} at position {position}, where a character or class is expected; "
            "write \\ before it where it is meant itself"
        )
    return Class(((character, character),)), position + 1


def _escape_at(text: str, position: int) -> tuple[Class, int]:
    escaped = text[position + 1 : position + 2]
    if escaped == "d":
        return Class(_DIGITS), position + 2
    if escaped == "w":
        return Class(_WORD), position + 2
    if not escaped or escaped.isalnum():
        raise InvalidPattern(f"the pattern holds \\{escaped} at position {position}; \\d, \\w and escaped signs are accepted")
    return Class(((escaped, escaped),)), position + 2


def _set_at(text: str, position: int) -> tuple[Class, int]:
    """The class that opens with `[` at the position, and where it ends."""
    start, position = position, position + 1
    is_negated = text[position : position + 1] == "^"
    position += is_negated
    ranges: list[tuple[str, str]] = []
    while position < len(text) and text[position] != "]":
        if text[position] == "\\":
            escaped, position = _escape_at(text, position)
            ranges += escaped.ranges
            continue
        low = text[position]
        is_range = text[position + 1 : position + 2] == "-" and text[position + 2 : position + 3] not in ("]", "")
        high = text[position + 2] if is_range else low
        if high < low:
            raise InvalidPattern(f"the pattern's range {low}-{high} at position {position} is empty")
        ranges.append((low, high))
        position += 3 if is_range else 1
    if position >= len(text) or not ranges:
        raise InvalidPattern(f"the pattern's class at position {start} is not closed, or empty")
    return Class(tuple(ranges), is_negated), position + 1


def _repetition_at(text: str, position: int) -> tuple[int, int | None, int]:
    """The least and the most times (None: any), and where it ends."""
    sign = text[position : position + 1]
    if sign in ("?", "*", "+") and sign:
        return {"?": (0, 1, position + 1), "*": (0, None, position + 1), "+": (1, None, position + 1)}[sign]
    if sign != "{":
        return 1, 1, position
    found = _REPETITION.match(text, position)
    if not found:
        raise InvalidPattern(f"the pattern's repetition at position {position} is not {{n}}, {{n,}} or {{n,m}}")
    least, comma, most = found.groups()
    end = int(most) if most else None if comma else int(least)
    if end is not None and end < int(least):
        raise InvalidPattern(f"the pattern's repetition {found.group()} ends below its start")
    return int(least), end, found.end()


State = tuple[int, int, tuple[int, ...]]
"""Characters so far; the pattern's places that may come next, as bits; the check's remainders."""


@dataclass(frozen=True)
class Constraint:
    """What a reading must satisfy; None: whatever it may. All that are given hold at once."""

    length: int | None = None
    charset: str | None = None
    pattern: Pattern | None = None
    check: Check | None = None

    @property
    def is_none(self) -> bool:
        return self == Constraint()

    @property
    def start(self) -> State:
        places = 0 if self.pattern is None else _with_skipped(1, self.pattern)
        return 0, places, _STARTS[self.check] if self.check else ()

    def step(self, state: State, label: str) -> State | None:
        """The state after the label, None where nothing that goes on from it can satisfy."""
        for character in label:
            following = self._step(state, character)
            if following is None:
                return None
            state = following
        return state

    def accepts(self, state: State) -> bool:
        """Whether what led to the state satisfies."""
        count, places, remainders = state
        if self.length is not None and count != self.length:
            return False
        if self.pattern is not None and not places >> len(self.pattern) & 1:
            return False
        return self.check is None or _ACCEPTS[self.check](remainders)

    def _step(self, state: State, character: str) -> State | None:
        count, places, remainders = state
        if self.length is not None and count >= self.length:
            return None
        if self.charset is not None and character not in self.charset:
            return None
        if self.pattern is not None:
            places = _after(places, character, self.pattern)
            if not places:
                return None
        if self.check:
            after = _STEPS[self.check](remainders, character)
            if after is None:
                return None
            remainders = after
        return count + 1, places, remainders


def _after(places: int, character: str, pattern: Pattern) -> int:
    following = 0
    for place, item in enumerate(pattern):
        if places >> place & 1 and character in item.characters:
            following |= 1 << (place if item.repeats else place + 1)
    return _with_skipped(following, pattern)


def _with_skipped(places: int, pattern: Pattern) -> int:
    """Also the places behind items that may be left out."""
    for place, item in enumerate(pattern):
        if places >> place & 1 and item.is_optional:
            places |= 1 << (place + 1)
    return places


def _luhn(sums: tuple[int, ...], character: str) -> tuple[int, ...] | None:
    """The sums modulo 10 with the last digit plain, and with it doubled (ISO/IEC 7812-1, annex B)."""
    if not "0" <= character <= "9":
        return None
    plain, doubled = sums
    digit = int(character)
    return (doubled + digit) % 10, (plain + (2 * digit - 9 if digit > 4 else 2 * digit)) % 10


def _mod97(remainder: tuple[int, ...], character: str) -> tuple[int, ...] | None:
    """The number modulo 97, letters counting 10 to 35 (ISO 7064, MOD 97-10)."""
    if "0" <= character <= "9":
        return ((remainder[0] * 10 + int(character)) % 97,)
    if "A" <= character.upper() <= "Z" and len(character.upper()) == 1:
        return ((remainder[0] * 100 + ord(character.upper()) - 55) % 97,)
    return None


def _mod11(sums: tuple[int, ...], character: str) -> tuple[int, ...] | None:
    """The sum, and the sum weighted 1, 2, 3 … from the right, modulo 11, X counting 10 (as in ISBN-10)."""
    value = 10 if character in "Xx" else int(character) if "0" <= character <= "9" else None
    if value is None:
        return None
    plain = (sums[0] + value) % 11
    return plain, (sums[1] + plain) % 11


_STARTS: dict[Check, tuple[int, ...]] = {"luhn": (0, 0), "mod97": (0,), "mod11": (0, 0)}
_STEPS: dict[Check, Callable[[tuple[int, ...], str], tuple[int, ...] | None]] = {
    "luhn": _luhn, "mod97": _mod97, "mod11": _mod11,
}  # fmt: skip
_ACCEPTS: dict[Check, Callable[[tuple[int, ...]], bool]] = {
    "luhn": lambda sums: sums[0] == 0,
    "mod97": lambda remainder: remainder[0] == 1,
    "mod11": lambda sums: sums[1] == 0,
}
