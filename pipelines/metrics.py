"""How good predictions are; numpy only. Rates whose denominator is 0 are 0: pipelines cannot carry NaN."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15

Scores = NDArray[np.float32]
"""float32 (N, K): a probability for each class."""
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Evaluation:
    """All measures of one set of predictions."""

    accuracy: float
    ece: float
    """Expected calibration error: see `calibration_error`."""
    nll: float
    """Mean negative log-likelihood of the right class, in nats."""
    precision: list[float]
    recall: list[float]
    confusion: list[list[int]]
    """Rows: the right class; columns: the predicted one."""
    reliability: list[tuple[int, float, float]]
    """For each bin of confidence: count, mean confidence, accuracy."""


def evaluate(scores: Scores, labels: Labels) -> Evaluation:
    """All measures of the predictions against the right classes."""
    confusion = confusion_matrix(scores.argmax(1), labels, scores.shape[1])
    right = np.diag(confusion)
    bins = reliability(scores, labels)
    return Evaluation(
        accuracy=float(right.sum() / len(labels)),
        ece=calibration_error(bins),
        nll=negative_log_likelihood(scores, labels),
        precision=_rates(right, confusion.sum(0)),
        recall=_rates(right, confusion.sum(1)),
        confusion=confusion.tolist(),
        reliability=bins,
    )


def confusion_matrix(predicted: Labels, labels: Labels, class_count: int) -> NDArray[np.int64]:
    """int64 (K, K): how often the row's class was taken for the column's."""
    return np.bincount(labels * class_count + predicted, minlength=class_count**2).reshape(class_count, class_count)


def reliability(scores: Scores, labels: Labels) -> list[tuple[int, float, float]]:
    """For each of 15 equal bins of confidence: how many predictions, their mean confidence, their accuracy."""
    return binned(scores.max(1), scores.argmax(1) == labels)


def binned(confidence: NDArray[np.floating], is_right: NDArray[np.bool_]) -> list[tuple[int, float, float]]:
    """As `reliability`, for answers of any kind: how probable each one is said to be, and whether it is right."""
    confidence = confidence.astype(np.float64)
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    confidences, rights = (_rates(np.bincount(bins, weights, BINS), counts) for weights in (confidence, is_right))
    return list(zip(counts.tolist(), confidences, rights, strict=True))


def calibration_error(bins: list[tuple[int, float, float]]) -> float:
    """The gap between confidence and accuracy, averaged over the predictions (Guo et al. 2017, section 2)."""
    total = sum(count for count, _, _ in bins)
    return sum(count * abs(confidence - accuracy) for count, confidence, accuracy in bins) / max(1, total)


def negative_log_likelihood(scores: Scores, labels: Labels) -> float:
    """The mean of −ln of the right class's probability; a probability of 0 counts as the smallest float32 above it."""
    right = scores[np.arange(len(labels)), labels].astype(np.float64)
    return abs(float(np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()))  # abs: no -0.0


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The range in which a share that was seen as `right` of `total` lies with 95 % confidence (Wilson 1927)."""
    if not total:
        return 0.0, 1.0
    share, square = right / total, 1.959964**2
    centre = share + square / (2 * total)
    half = math.sqrt(square * (share * (1 - share) / total + square / (4 * total**2)))
    whole = 1 + square / total
    return max(0.0, (centre - half) / whole), min(1.0, (centre + half) / whole)


def mcnemar(worse: int, better: int) -> float:
    """How probable it is that so many of two models' disagreements, or more, go against the second by chance alone.

    `worse` counts the images that the first alone reads right, `better` those that the second alone does: McNemar's exact
    test, one-sided (McNemar 1947; Dietterich 1998, section 2.1).
    """
    if not worse:
        return 1.0
    from scipy.special import bdtrc  # takes a quarter of a second to import

    return float(bdtrc(worse - 1, worse + better, 0.5))


def risk_coverage(scores: Scores, labels: Labels) -> list[tuple[float, float]]:
    """The share of predictions kept, from the surest on, and the share of those kept that is wrong.

    One point for each confidence that occurs: predictions of equal confidence are kept or refused together
    (El-Yaniv and Wiener 2010).
    """
    return risk_by_coverage(scores.max(1), scores.argmax(1) == labels)


def risk_by_coverage(confidence: NDArray[np.floating], is_right: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """As `risk_coverage`, for answers of any kind."""
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~is_right[order])
    last = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if len(order) else order
    return [((index + 1) / len(order), float(wrong[index] / (index + 1))) for index in last.tolist()]


def _rates(parts: NDArray[np.float64] | NDArray[np.int64], wholes: NDArray[np.int64]) -> list[float]:
    rates: list[float] = (parts / np.maximum(wholes, 1)).tolist()
    return rates
