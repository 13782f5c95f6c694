"""Lines and the recogniser's scores → the most probable readings.

Every way through a line's lattice takes each piece into one character or leaves it out. Each hypothesis has odds of being a
character, from its geometry and the recogniser's confidence, each piece odds of being none; a way's weight is the product of
its odds and of the probabilities of its labels. A reading's probability is the share of all ways that read so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handwriting.constraint import Constraint, State
from handwriting.segment import Line

# Fitted by pipelines/reading_odds.py to 3,000 rendered fields; docs/accuracy.md.
_GEOMETRY_WEIGHTS = np.array(
    [0.44, -1.44, -3.08, -0.9, -1.3, -2.09, -4.08, -0.67, -0.19, 0.25, -0.25, -1.71, -3.33, -0.09, -1.55]
)
_CONFIDENCE_WEIGHTS = np.array([2.48, 1.63])
GEOMETRY_COUNT, CONFIDENCE_COUNT = len(_GEOMETRY_WEIGHTS), len(_CONFIDENCE_WEIGHTS)
_SPECK_WEIGHTS = np.array([-0.32, -3.28, -1.0, 1.44, -1.24, -1.07, 1.67, 0.02])
_LEAST_PROBABLE = 1e-4  # of a label that is still considered
_FREE_LABELS = 4  # considered for each hypothesis where nothing constrains them
_FREE_WAYS = 16  # kept at each piece where nothing constrains them
_LIGHTEST = 10.0  # of a free way, below the heaviest, in natural logarithms
_MOST_WAYS = 600
_MOST_STEPS = 200_000  # in a search: a second or so


@dataclass(frozen=True)
class Choice:
    """One character of a reading: hypothesis and class, each by its index."""

    line: int
    hypothesis: int
    label: int


@dataclass(frozen=True)
class Reading:
    """A text, how probable it is among all readings, and the characters of the best way to read it so."""

    text: str
    probability: float
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Readings:
    """The most probable readings, best first. Where none satisfies the constraint: the best without it."""

    readings: tuple[Reading, ...]
    satisfies: bool


@dataclass
class _Way:
    """All ways that read the same text: the logarithm of their weight together, and the best of them."""

    weight: float
    best: float
    state: State
    choices: tuple[Choice, ...]


def read(
    lines: Sequence[Line],
    scores: Sequence[NDArray[np.float32]],
    labels: Sequence[str],
    constraint: Constraint | None = None,
    most: int = 5,
) -> Readings:
    """The readings of the lines as one text, a line break between them, which no constraint sees.

    `scores` holds for each line the probabilities of its hypotheses' classes, float32 (hypotheses, K).
    """
    constraint = constraint or Constraint()
    total = sum(_all_ways(line, own) for line, own in zip(lines, scores, strict=True))
    found = _search(lines, scores, labels, constraint, most)
    if found or constraint.is_none:
        return Readings(tuple(_reading(text, way, total) for text, way in found[:most]), True)
    free = _search(lines, scores, labels, Constraint(), most)
    return Readings(tuple(_reading(text, way, total) for text, way in free[:most]), False)


def odds_of_characters(line: Line, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """The logarithm of each hypothesis's odds of being a character, float64 (hypotheses)."""
    return np.asarray(features(line, scores) @ np.concatenate([_GEOMETRY_WEIGHTS, _CONFIDENCE_WEIGHTS]))


def weights() -> NDArray[np.float64]:
    """All that is fitted, in one: the weights of geometry, confidence and specks (pipelines/reading_odds.py)."""
    return np.concatenate([_GEOMETRY_WEIGHTS, _CONFIDENCE_WEIGHTS, _SPECK_WEIGHTS])


def features(line: Line, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the odds are made from: geometry, and how sure the recogniser is."""
    best = scores.max(axis=1).clip(1e-4, 1 - 1e-4).astype(np.float64)
    geometry = np.stack([hypothesis.geometry for hypothesis in line.hypotheses]).astype(np.float64)
    return np.column_stack([geometry, np.log(best / (1 - best)) / 5, np.log(best)])


def _odds_of_specks(line: Line) -> NDArray[np.float64]:
    return np.asarray(line.specks.astype(np.float64) @ _SPECK_WEIGHTS)


def _all_ways(line: Line, scores: NDArray[np.float32]) -> float:
    """The logarithm of the weight of all ways through the line together."""
    odds, specks = odds_of_characters(line, scores), _odds_of_specks(line)
    weights = np.full(line.piece_count + 1, -np.inf)
    weights[0] = 0.0
    for piece in range(line.piece_count):
        weights[piece + 1] = np.logaddexp(weights[piece + 1], weights[piece] + specks[piece])
        for index, hypothesis in enumerate(line.hypotheses):
            if hypothesis.first == piece:
                weights[hypothesis.end] = np.logaddexp(weights[hypothesis.end], weights[piece] + odds[index])
    return float(weights[-1])


def _search(
    lines: Sequence[Line], scores: Sequence[NDArray[np.float32]], labels: Sequence[str], constraint: Constraint, most: int
) -> list[tuple[str, _Way]]:
    """The texts that satisfy, best first; none is empty."""
    ways = {"": _Way(0.0, 0.0, constraint.start, ())}
    steps = _MOST_STEPS // sum(line.piece_count for line in lines)
    for number, (line, own) in enumerate(zip(lines, scores, strict=True)):
        started = {text + "\n" if text and text[-1] != "\n" else text: way for text, way in ways.items()}
        ways = _along(number, line, own, labels, constraint, most, steps, started)
    ended: dict[str, _Way] = {}
    for text, way in ways.items():
        if way.choices and constraint.accepts(way.state):
            _join(ended, text.rstrip("\n"), way)
    return sorted(ended.items(), key=lambda item: -item[1].weight)


def _along(
    number: int,
    line: Line,
    scores: NDArray[np.float32],
    labels: Sequence[str],
    constraint: Constraint,
    most: int,
    steps: int,
    started: dict[str, _Way],
) -> dict[str, _Way]:
    """The ways to the end of the line, in about so many steps for each piece."""
    odds, specks = odds_of_characters(line, scores), _odds_of_specks(line)
    is_free = constraint.is_none
    considered = [_considered(row, is_free) for row in scores]
    after: dict[tuple[State, int], State | None] = {}
    at: list[dict[str, _Way]] = [started, *({} for _ in range(line.piece_count))]
    for piece in range(line.piece_count):
        starting = [index for index, hypothesis in enumerate(line.hypotheses) if hypothesis.first == piece]
        affordable = steps // max(1, sum(len(considered[index]) for index in starting))
        for text, way in _pruned(at[piece], constraint, most)[: max(affordable, 8)]:
            skipped = float(specks[piece])
            _join(at[piece + 1], text, _Way(way.weight + skipped, way.best + skipped, way.state, way.choices))
            for index in starting:
                for label, log_probability in considered[index]:
                    state: State | None = way.state
                    if not is_free:
                        if (way.state, label) not in after:
                            after[way.state, label] = constraint.step(way.state, labels[label])
                        state = after[way.state, label]
                    if state is None:
                        continue
                    gain = float(odds[index]) + log_probability
                    choices = (*way.choices, Choice(number, index, label))
                    longer = _Way(way.weight + gain, way.best + gain, state, choices)
                    _join(at[line.hypotheses[index].end], text + labels[label], longer)
        at[piece] = {}
    return dict(_pruned(at[-1], constraint, most))


def _considered(row: NDArray[np.float32], is_free: bool) -> list[tuple[int, float]]:
    """The labels that a hypothesis may have, most probable first, and the logarithms of their probabilities."""
    order = np.argsort(-row, kind="stable")[: _FREE_LABELS if is_free else None]
    return [(int(label), math.log(row[label])) for label in order if row[label] >= _LEAST_PROBABLE]


def _join(ways: dict[str, _Way], text: str, way: _Way) -> None:
    known = ways.get(text)
    if known is None:
        ways[text] = way
        return
    heavy, light = max(known.weight, way.weight), min(known.weight, way.weight)
    best = known if known.best >= way.best else way
    ways[text] = _Way(heavy + math.log1p(math.exp(light - heavy)), best.best, best.state, best.choices)


def _pruned(ways: dict[str, _Way], constraint: Constraint, most: int) -> list[tuple[str, _Way]]:
    """The heaviest ways; of each state of the constraint enough that none is lost that may yet satisfy."""
    ordered = sorted(ways.items(), key=lambda item: -item[1].weight)
    if constraint.is_none:
        limit = max(_FREE_WAYS, 2 * most)
        return [item for item in ordered[:limit] if item[1].weight > ordered[0][1].weight - _LIGHTEST]
    counts: dict[State, int] = {}
    kept = []
    for text, way in ordered:
        counts[way.state] = counts.get(way.state, 0) + 1
        if counts[way.state] <= most:
            kept.append((text, way))
    return kept[:_MOST_WAYS]


def _reading(text: str, way: _Way, total: float) -> Reading:
    return Reading(text, min(1.0, math.exp(min(0.0, way.weight - total))), way.choices)
