"""What a reading must satisfy."""

import re
import time

import pytest

from handwriting.constraint import Constraint, InvalidPattern, parse_pattern


def satisfies(constraint: Constraint, text: str) -> bool:
    state = constraint.start
    for character in text:
        following = constraint.step(state, character)
        if following is None:
            return False
        state = following
    return constraint.accepts(state)


TEXTS = ["", "1", "12", "123", "12345", "A", "AB12", "ab", "A1", "1-2", "12-34", "aaa", "FF", "G", "x.y", "é", "-", "]"]


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d{5}", r"\d*", r"\d+", r"[A-Z]{2}\d{2}", r"[0-9A-F]+", r"\d?\d", r"\d{2,3}", r"\d{2,}", r"1-2", r"\d+-\d+", r"a*a",
        r"a*a*a*b?", r"[^0-9]+", r".", r"x\.y", r"[a-z.]*", r"[\d-]+", r"[-1]{0,3}", r"\]", "é", r"[A-Z]?[\d]{0,2}",
    ],
)  # fmt: skip
def test_a_pattern_accepts_what_the_regular_expression_does(pattern: str) -> None:
    constraint = Constraint(pattern=parse_pattern(pattern))

    accepted = [text for text in TEXTS if satisfies(constraint, text)]

    assert accepted == [text for text in TEXTS if re.fullmatch(pattern, text, re.ASCII)]


@pytest.mark.parametrize(
    "pattern", ["(a)", "a|b", "[", "[]", "[z-a]", "*", "a{2", "a{3,2}", "a**", "\\", r"\b", "a{999}", "a" * 2000, "^a", "a$"]
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern, match="pattern"):
        parse_pattern(pattern)


def test_a_pattern_that_makes_others_backtrack_is_quick() -> None:
    constraint = Constraint(pattern=parse_pattern("a*" * 100 + "b"))
    start = time.process_time()

    assert not satisfies(constraint, "a" * 200)
    assert time.process_time() - start < 2


def test_length_and_charset() -> None:
    constraint = Constraint(length=3, charset="0123")

    assert [text for text in ("012", "01", "0123", "014") if satisfies(constraint, text)] == ["012"]


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ("luhn", "79927398713", "79927398710"),
        ("luhn", "4539578763621486", "4539578763621487"),
        ("mod97", "3214282912345698765432161182", "3214282912345698765432161183"),
        ("mod97", "WEST12345698765432GB82", "WEST12345698765432GB28"),
        ("mod11", "0306406152", "0306406153"),
        ("mod11", "080442957X", "0804429570"),
    ],
)
def test_check_digits(check: str, right: str, wrong: str) -> None:
    constraint = Constraint(check=check)  # type: ignore[arg-type]

    assert satisfies(constraint, right)
    assert not satisfies(constraint, wrong)
