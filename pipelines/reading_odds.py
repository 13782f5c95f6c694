"""The odds that handwriting/reading.py reads with, fitted to rendered fields so that their texts are as likely as can be.

    python -m pipelines.reading_odds model_repo/digits/3        # prints the constants; two minutes

The fields are made of MNIST's test images, of faces that are not trained on and of our own pen, so the recogniser is about as
sure of them as it will be of others' writing. The likelihood of a text is the weight of all ways through the lattice that read
it, as a share of the weight of all ways; both sums and their gradients come from one forward and one backward pass.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handwriting import reading
from handwriting.errors import ImageError
from handwriting.segment import Line, segment

FIELDS = 3000
_SEED = 99
_PRIOR = 2.0  # of the squared weights, in fields
_HOPELESS = -8.0  # a text less likely than e to this is no lesson: the segmenter lost a part of it
_LEAST_PROBABLE = 1e-6

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Lesson:
    """A field's lattice and its text: L labels on a line of P pieces with H hypotheses."""

    pieces: int
    firsts: NDArray[np.int64]
    ends: NDArray[np.int64]
    features: Vector
    """float64 (H, F): `reading.features`."""
    specks: Vector
    """float64 (P, S)."""
    log_probabilities: Vector
    """float64 (H, L): of the text's labels, in order."""


def lesson(line: Line, scores: NDArray[np.float32], labels: Sequence[int]) -> Lesson:
    """The line with the recogniser's scores, float32 (H, K), as a lesson for the text of these labels."""
    return Lesson(
        line.piece_count,
        np.array([hypothesis.first for hypothesis in line.hypotheses]),
        np.array([hypothesis.end for hypothesis in line.hypotheses]),
        reading.features(line, scores),
        line.specks.astype(np.float64),
        np.log(np.maximum(scores[:, list(labels)], _LEAST_PROBABLE)).astype(np.float64),
    )


def log_likelihood(one: Lesson, weights: Vector) -> tuple[float, Vector]:
    """The logarithm of the text's likelihood, and its gradient; minus infinity where no way reads it."""
    count = one.features.shape[1]
    odds, skips = one.features @ weights[:count], one.specks @ weights[count:]
    length = one.log_probabilities.shape[1]
    labelled = odds[:, None] + one.log_probabilities
    forward, backward = (np.full(one.pieces + 1, -np.inf) for _ in range(2))
    told, untold = (np.full((one.pieces + 1, length + 1), -np.inf) for _ in range(2))  # told: by how much of the text is read
    forward[0] = backward[-1] = told[0, 0] = untold[-1, -1] = 0.0
    for piece in range(one.pieces):
        forward[piece + 1] = np.logaddexp(forward[piece + 1], forward[piece] + skips[piece])
        told[piece + 1] = np.logaddexp(told[piece + 1], told[piece] + skips[piece])
        for index in np.flatnonzero(one.firsts == piece):
            end = one.ends[index]
            forward[end] = np.logaddexp(forward[end], forward[piece] + odds[index])
            told[end, 1:] = np.logaddexp(told[end, 1:], told[piece, :-1] + labelled[index])
    for piece in reversed(range(one.pieces)):
        backward[piece] = backward[piece + 1] + skips[piece]
        untold[piece] = untold[piece + 1] + skips[piece]
        for index in np.flatnonzero(one.firsts == piece):
            end = one.ends[index]
            backward[piece] = np.logaddexp(backward[piece], backward[end] + odds[index])
            untold[piece, :-1] = np.logaddexp(untold[piece, :-1], untold[end, 1:] + labelled[index])
    everything, text = forward[-1], told[-1, -1]
    if not np.isfinite(text):
        return -np.inf, np.zeros_like(weights)
    in_all = np.exp(forward[one.firsts] + odds + backward[one.ends] - everything)
    in_text = np.exp(told[one.firsts, :-1] + labelled + untold[one.ends, 1:] - text).sum(axis=1)
    skipped_in_all = np.exp(forward[:-1] + skips + backward[1:] - everything)
    skipped_in_text = np.exp(told[:-1] + skips[:, None] + untold[1:] - text).sum(axis=1)
    gradient = np.concatenate([(in_text - in_all) @ one.features, (skipped_in_text - skipped_in_all) @ one.specks])
    return float(text - everything), gradient


def fit(lessons: Sequence[Lesson], start: Vector) -> Vector:
    """The weights under which the lessons' texts are most likely, from `start` on; hopeless texts count less and less."""
    from scipy.optimize import minimize

    with get_context("spawn").Pool(2) as pool:  # TensorFlow's threads do not survive a fork

        def loss(weights: Vector) -> tuple[float, Vector]:
            (value, gradient), (more, steeper) = pool.starmap(_sum, [(lessons[half::2], weights) for half in (0, 1)])
            loss = _PRIOR / 2 * float(weights @ weights) - value - more
            return loss / len(lessons), (_PRIOR * weights - gradient - steeper) / len(lessons)

        return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60}).x)


def _sum(lessons: Sequence[Lesson], weights: Vector) -> tuple[float, Vector]:
    total, gradient = 0.0, np.zeros_like(weights)
    for one in lessons:
        value, slope = log_likelihood(one, weights)
        if np.isfinite(value):
            share = 1.0 if value > _HOPELESS else 1 / (1 + np.exp((_HOPELESS - value) / 2 - 2))
            total, gradient = total + max(value, 2 * _HOPELESS), gradient + share * slope
    return total, gradient


def lines_of_fields(count: int, cache_dir: Path) -> list[tuple[Line, list[int]]]:
    """So many rendered fields of digits as the segmenter sees them, with their labels; those that it takes for one line."""
    from pipelines.data import mnist, rendered
    from pipelines.data.fields import USUAL

    source = mnist.load(cache_dir / "mnist", print).test
    found = []
    digits = rendered.Written(tuple("0123456789"), tuple(range(10)), source)
    for field, labels in islice(rendered.written_fields(digits, _SEED, True, USUAL), count):
        try:
            lines = segment(field.pixels)
        except ImageError:
            continue
        if len(lines) == 1:
            found.append((lines[0], labels.tolist()))
    return found


def main(version: Path, cache_dir: Path = Path(".hcr/data")) -> None:
    """Prints the constants for handwriting/reading.py, fitted with the version's scores."""
    from pipelines.servable import score

    made = lines_of_fields(FIELDS, cache_dir)
    together = score(version, np.stack([hypothesis.tensor for line, _ in made for hypothesis in line.hypotheses]))
    scores = np.split(together, np.cumsum([len(line.hypotheses) for line, _ in made])[:-1])
    lessons = [lesson(line, own, labels) for (line, labels), own in zip(made, scores, strict=True)]
    weights = fit(lessons, reading.weights())
    likelihoods = [log_likelihood(one, weights)[0] for one in lessons]
    print(f"{len(lessons):,} fields; mean log-likelihood {np.mean(np.maximum(likelihoods, 2 * _HOPELESS)):.3f}")
    geometry, confidence, specks = np.split(np.round(weights, 2), np.cumsum([reading.GEOMETRY_COUNT, reading.CONFIDENCE_COUNT]))
    print(f"_GEOMETRY_WEIGHTS = np.array({geometry.tolist()})")
    print(f"_CONFIDENCE_WEIGHTS = np.array({confidence.tolist()})")
    print(f"_SPECK_WEIGHTS = np.array({specks.tolist()})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
