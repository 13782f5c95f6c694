import numpy as np
import pytest

from pipelines.calibration import fit_temperature, fit_thresholds, softmax


def test_the_temperature_that_made_the_logits_too_sure_is_found() -> None:
    generator = np.random.default_rng(0)
    honest = generator.normal(0, 2, (20_000, 4)).astype(np.float32)
    probabilities = softmax(honest, 1).astype(np.float64)
    labels = (probabilities.cumsum(1) < generator.random((20_000, 1))).sum(1)

    assert fit_temperature(honest * 3, labels) == pytest.approx(3, rel=0.05)


def test_softmax_does_not_overflow() -> None:
    assert softmax(np.array([[1e4, 0]], np.float32), 0.05).tolist() == [[1, 0]]


def test_a_threshold_keeps_its_share_of_the_right_answers() -> None:
    confidence = np.linspace(0.6, 1, 1000, dtype=np.float32)
    scores = np.stack([confidence, 1 - confidence], axis=1)
    thresholds = fit_thresholds(scores, np.zeros(1000, np.int64), keep=0.99)

    assert (confidence >= thresholds[0]).mean() == 0.99


def test_wrong_answers_do_not_move_a_threshold() -> None:
    scores = np.tile(np.array([[0.9, 0.1]], np.float32), (200, 1))
    scores[:100] = [0.55, 0.45]
    labels = np.array([1] * 100 + [0] * 100)

    assert fit_thresholds(scores, labels, 0.99)[0] == np.float32(0.9)


def test_a_class_with_few_right_answers_takes_the_common_threshold() -> None:
    scores = np.tile(np.array([[0.9, 0.1]], np.float32), (300, 1))
    scores[:2] = [0.2, 0.8]
    labels = np.array([1] * 2 + [0] * 298)

    assert fit_thresholds(scores, labels, 0.99).tolist() == pytest.approx([0.9, 0.9])


def test_without_any_right_answer_nothing_is_rejected() -> None:
    assert fit_thresholds(np.array([[0.9, 0.1]], np.float32), np.array([1]), 0.99).tolist() == [0, 0]
