"""Confidence that means something: a temperature and rejection thresholds, both from held-out images; numpy only."""

import math

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics import Labels, Scores, negative_log_likelihood

_LOWEST, _HIGHEST = 0.05, 20.0


def softmax(logits: NDArray[np.float32], temperature: float) -> Scores:
    """float32 (N, K): the probabilities that logits (N, K), divided by the temperature, stand for."""
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(1, keepdims=True))
    probabilities: Scores = (exponentials / exponentials.sum(1, keepdims=True)).astype(np.float32)
    return probabilities


def fit_temperature(logits: NDArray[np.float32], labels: Labels) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2), between 0.05 and 20.

    The square of its logarithm counts as one more image would: a few images, all of them right, say nothing against 1.
    Golden-section search over the logarithm, in which the loss has one minimum.
    """
    ratio = (math.sqrt(5) - 1) / 2
    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        losses = [
            negative_log_likelihood(softmax(logits, math.exp(point)), labels) + point**2 / len(labels)
            for point in (left, right)
        ]
        low, high = (low, right) if losses[0] < losses[1] else (left, high)
    return math.exp((low + high) / 2)


def fit_thresholds(scores: Scores, labels: Labels, keep: float) -> NDArray[np.float32]:
    """float32 (K,): for each class the highest confidence that at least the share `keep` of its right answers reaches.

    A class with fewer right answers than 1 / (1 − keep), for which that would be the lowest one seen, takes the threshold of
    all classes together. Without any it is 0.
    """
    confidence, predicted = scores.max(1), scores.argmax(1)
    is_right = predicted == labels
    common = _kept(confidence[is_right], keep)
    thresholds = []
    for index in range(scores.shape[1]):
        own = confidence[is_right & (predicted == index)]
        thresholds.append(_kept(own, keep) if len(own) * (1 - keep) >= 1 else common)
    return np.array(thresholds, np.float32)


def _kept(confidences: NDArray[np.float32], keep: float) -> float:
    if not len(confidences):
        return 0.0
    return float(np.sort(confidences)[math.floor(len(confidences) * (1 - keep))])
