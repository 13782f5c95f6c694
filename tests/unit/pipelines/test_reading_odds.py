"""The likelihood that the odds of reading are fitted by: against every way written out, and against its own slope."""

import numpy as np
import pytest

from pipelines.reading_odds import Lesson, Vector, fit, log_likelihood

PIECES, SPANS, TEXT = 4, [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)], 2


def lesson(seed: int) -> Lesson:
    """A lattice of four pieces with random features, and a text of two labels."""
    generator = np.random.default_rng(seed)
    return Lesson(
        PIECES,
        np.array([first for first, _ in SPANS]),
        np.array([end for _, end in SPANS]),
        generator.normal(size=(len(SPANS), 3)),
        generator.normal(size=(PIECES, 2)),
        np.log(generator.uniform(0.05, 0.9, (len(SPANS), TEXT))),
    )


def ways(start: int = 0) -> list[list[int | None]]:
    """Every way from a piece to the end: hypotheses by their index, None for a piece left out."""
    if start == PIECES:
        return [[]]
    steps: list[tuple[int | None, int]] = [(None, start + 1)]
    steps += [(index, end) for index, (first, end) in enumerate(SPANS) if first == start]
    return [[step, *rest] for step, end in steps for rest in ways(end)]


def weight(one: Lesson, way: list[int | None], weights: Vector) -> float:
    odds, skips = one.features @ weights[:3], one.specks @ weights[3:]
    total, piece = 0.0, 0
    for step in way:
        total += skips[piece] if step is None else odds[step]
        piece = piece + 1 if step is None else int(one.ends[step])
    return float(total)


@pytest.mark.parametrize("seed", range(5))
def test_the_likelihood_is_that_of_all_ways_written_out(seed: int) -> None:
    one, weights = lesson(seed), np.random.default_rng(100 + seed).normal(size=5)
    everything = text = 0.0
    for way in ways():
        mass = np.exp(weight(one, way, weights))
        everything += mass
        taken = [step for step in way if step is not None]
        if len(taken) == TEXT:
            text += mass * np.exp(sum(one.log_probabilities[step, place] for place, step in enumerate(taken)))

    assert log_likelihood(one, weights)[0] == pytest.approx(np.log(text / everything))


@pytest.mark.parametrize(("seed", "place"), [(seed, place) for seed in range(3) for place in range(5)])
def test_the_gradient_is_the_likelihoods_slope(seed: int, place: int) -> None:
    one, weights = lesson(seed), np.random.default_rng(seed).normal(size=5)
    step = np.zeros(5)
    step[place] = 1e-5

    slope = (log_likelihood(one, weights + step)[0] - log_likelihood(one, weights - step)[0]) / 2e-5

    assert log_likelihood(one, weights)[1][place] == pytest.approx(slope, abs=1e-6)


def test_a_text_that_no_way_reads_has_no_likelihood() -> None:
    one = lesson(0)
    longer = Lesson(one.pieces, one.firsts, one.ends, one.features, one.specks, np.zeros((len(SPANS), PIECES + 1)))

    assert log_likelihood(longer, np.zeros(5))[0] == -np.inf


def test_fitting_makes_the_texts_likelier() -> None:
    lessons, start = [lesson(seed) for seed in range(40)], np.zeros(5)

    fitted = fit(lessons, start)

    before, after = (np.mean([log_likelihood(one, weights)[0] for one in lessons]) for weights in (start, fitted))
    assert after > before + 0.01
