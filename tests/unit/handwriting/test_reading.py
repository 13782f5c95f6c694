"""The search through a lattice."""

import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from handwriting.constraint import Constraint, parse_pattern
from handwriting.reading import read
from handwriting.segment import GEOMETRY, SPECKS, Hypothesis, Line

DIGITS = "0123456789"
TENSOR = np.zeros((28, 28), np.uint8)


def typical() -> NDArray[np.float32]:
    """The geometry of a character as high as its line and half as wide."""
    geometry = dict.fromkeys(GEOMETRY, 0.0) | {"one": 1.0, "width": float(np.log(0.6)), "width²": float(np.log(0.6) ** 2)}
    return np.array(list(geometry.values()), np.float32)


def line(runs: list[tuple[int, int]], pieces: int) -> Line:
    specks = np.tile(np.array([1, 1, 0.6, 0, 0, 0.2, 0, 0], np.float32), (pieces, 1))
    assert specks.shape[1] == len(SPECKS)
    hypotheses = tuple(
        Hypothesis(first, end, (first * 10, 0, 10 * (end - first), 20), TENSOR, typical()) for first, end in runs
    )
    return Line((0, 0, pieces * 10, 20), pieces, hypotheses, specks)


def says(**probabilities: float) -> NDArray[np.float32]:
    """Scores; `_7=0.6` gives the class 7 that much, and the rest is shared by the others."""
    row = np.full(10, (1 - sum(probabilities.values())) / (10 - len(probabilities)), np.float32)
    for name, probability in probabilities.items():
        row[int(name[1:])] = probability
    return row


def separate(*rows: NDArray[np.float32]) -> tuple[list[Line], list[NDArray[np.float32]]]:
    return [line([(i, i + 1) for i in range(len(rows))], len(rows))], [np.stack(rows)]


def test_separate_characters_are_read_from_left_to_right() -> None:
    found = read(*separate(says(_9=0.99), says(_0=0.98), says(_2=0.97)), DIGITS)

    assert found.satisfies
    assert found.readings[0].text == "902"
    assert [choice.label for choice in found.readings[0].choices] == [9, 0, 2]


def test_probabilities_fall_and_sum_to_at_most_one() -> None:
    found = read(*separate(says(_9=0.6, _4=0.4), says(_0=0.7, _6=0.3)), DIGITS, most=20)

    probabilities = [reading.probability for reading in found.readings]
    assert [reading.text for reading in found.readings[:4]] == ["90", "40", "96", "46"]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0.5 < sum(probabilities) <= 1 + 1e-9


def test_pieces_are_joined_where_the_recogniser_is_surer_of_the_whole() -> None:
    lattice = line([(0, 1), (0, 2), (1, 2)], 2)
    whole = np.stack([says(_1=0.4), says(_0=0.999), says(_1=0.4)])
    halves = np.stack([says(_1=0.999), says(_0=0.3), says(_1=0.999)])

    assert read([lattice], [whole], DIGITS).readings[0].text == "0"
    assert read([lattice], [halves], DIGITS).readings[0].text == "11"


def test_lines_are_parted_by_a_line_break() -> None:
    (first,), (one,) = separate(says(_1=0.99), says(_2=0.99))
    (second,), (other,) = separate(says(_3=0.99))

    found = read([first, second], [one, other], DIGITS)

    assert found.readings[0].text == "12\n3"
    assert [choice.line for choice in found.readings[0].choices] == [0, 0, 1]


def test_a_constraint_leaves_the_readings_that_satisfy_with_their_probabilities() -> None:
    lattice = separate(says(_9=0.6, _4=0.4), says(_0=0.7, _6=0.3))
    free = {reading.text: reading.probability for reading in read(*lattice, DIGITS, most=20).readings}

    found = read(*lattice, DIGITS, Constraint(pattern=parse_pattern("4[0-9]")))

    assert found.satisfies
    assert [reading.text for reading in found.readings[:2]] == ["40", "46"]
    assert found.readings[0].probability == pytest.approx(free["40"], rel=1e-3)


def test_where_nothing_satisfies_the_best_without_it_is_given() -> None:
    found = read(*separate(says(_9=0.99), says(_0=0.99)), DIGITS, Constraint(length=5))

    assert not found.satisfies
    assert found.readings[0].text == "90"


def test_a_check_digit_finds_the_reading_that_carries_it() -> None:
    rows = [says(**{f"_{digit}": 0.98}) for digit in "7992739871"]
    lattice = separate(*rows, says(_8=0.9, _3=0.05))

    found = read(*lattice, DIGITS, Constraint(length=11, check="luhn"))

    assert found.satisfies
    assert found.readings[0].text == "79927398713"


def test_a_labels_every_character_counts() -> None:
    row = np.array([[0.9, 0.1]], np.float32)

    found = read([line([(0, 1)], 1)], [row], ("ab", "c"), Constraint(length=2))

    assert [reading.text for reading in found.readings] == ["ab"]


def test_a_long_line_under_a_check_with_many_classes_is_bounded() -> None:
    random = np.random.default_rng(1)
    runs = [(first, end) for first in range(60) for end in range(first + 1, min(first + 4, 60) + 1)]
    scores = random.dirichlet(np.full(36, 0.2), len(runs)).astype(np.float32)
    start = time.process_time()

    read([line(runs, 60)], [scores], DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ", Constraint(check="mod97"), 50)

    assert time.process_time() - start < 10


def test_the_search_finds_what_trying_all_finds() -> None:
    random = np.random.default_rng(3)
    lattice, scores = separate(*random.dirichlet(np.full(10, 0.3), 4).astype(np.float32))
    best = max(
        (text for text in itertools.product(range(10), repeat=4) if sum(text) % 7 == 0 and text[0] > 4),
        key=lambda text: sum(np.log(scores[0][place, digit] + 1e-9) for place, digit in enumerate(text)),
    )

    found = read(
        lattice, scores, DIGITS, Constraint(length=4, pattern=parse_pattern("".join(map(str, best[:2])) + r"\d\d")), 50
    )

    assert found.readings[0].text.startswith("".join(map(str, best[:2])))
    assert "".join(map(str, best)) in [reading.text for reading in found.readings]
