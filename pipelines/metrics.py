"""How good predictions are; numpy only. Rates whose denominator is 0 are 0: pipelines cannot carry NaN."""

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
    confidence = scores.max(1).astype(np.float64)
    is_right = scores.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    confidences, rights = (_rates(np.bincount(bins, weights, BINS), counts) for weights in (confidence, is_right))
    return list(zip(counts.tolist(), confidences, rights, strict=True))


def calibration_error(bins: list[tuple[int, float, float]]) -> float:
    """The gap between confidence and accuracy, averaged over the predictions (Guo et al. 2017, section 2)."""
    total = sum(count for count, _, _ in bins)
    return sum(count * abs(confidence - accuracy) for count, confidence, accuracy in bins) / total


def negative_log_likelihood(scores: Scores, labels: Labels) -> float:
    """The mean of −ln of the right class's probability; a probability of 0 counts as the smallest float32 above it."""
    right = scores[np.arange(len(labels)), labels].astype(np.float64)
    return abs(float(np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()))  # abs: no -0.0


def _rates(parts: NDArray[np.float64] | NDArray[np.int64], wholes: NDArray[np.int64]) -> list[float]:
    rates: list[float] = (parts / np.maximum(wholes, 1)).tolist()
    return rates
