"""Measures, on predictions small enough to count by hand."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from pipelines.metrics import calibration_error, confusion_matrix, evaluate, reliability, risk_coverage, wilson_interval

SCORES = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.7, 0.3, 0]], np.float32)
LABELS = np.array([0, 0, 1, 1])


def test_the_confusion_matrix_has_the_right_class_in_its_rows() -> None:
    assert confusion_matrix(SCORES.argmax(1), LABELS, 3).tolist() == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_rates_are_counted_by_class() -> None:
    result = evaluate(SCORES, LABELS)

    assert result.accuracy == 0.75
    assert result.recall == [1, 0.5, 0]
    assert result.precision == pytest.approx([2 / 3, 1, 0])


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    result = evaluate(SCORES, LABELS)

    assert result.ece == pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4)


def test_predictions_of_one_bin_are_compared_together() -> None:
    scores = np.tile(np.array([[0.75, 0.25]], np.float32), (4, 1))

    assert evaluate(scores, np.array([0, 0, 0, 1])).ece == pytest.approx(0)
    assert calibration_error([(4, 0.75, 0.5), (0, 0, 0)]) == 0.25


def test_the_likelihood_of_an_impossible_answer_is_finite() -> None:
    assert np.isfinite(evaluate(np.array([[1, 0]], np.float32), np.array([1])).nll)


def test_all_measures_fit_into_json_without_nan() -> None:
    json.dumps(asdict(evaluate(SCORES, LABELS)), allow_nan=False)


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(81, 100, 0.7222, 0.8749), (100, 100, 0.9630, 1), (0, 10, 0, 0.2775), (0, 0, 0, 1)],
)
def test_the_interval_of_a_share_is_wilsons(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=1e-4)


def test_the_risk_is_the_share_of_the_surest_answers_that_is_wrong() -> None:
    points = risk_coverage(SCORES, LABELS)  # from the surest on: right, right, wrong, right

    assert points == [(0.25, 0), (0.5, 0), (0.75, 1 / 3), (1, 0.25)]


def test_answers_of_equal_confidence_are_kept_together() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6]], np.float32)

    assert risk_coverage(scores, np.array([0, 0, 0])) == [(1 / 3, 0), (1, 1 / 3)]


def test_no_answers_have_no_calibration_error_and_no_risk() -> None:
    nothing = np.zeros((0, 3), np.float32)

    assert calibration_error(reliability(nothing, LABELS[:0])) == 0
    assert risk_coverage(nothing, LABELS[:0]) == []
