"""A challenger beside the stable version."""

import numpy as np
import pytest
from scipy.stats import binomtest

from pipelines.comparison import compare, compare_slices, is_right
from pipelines.metrics import mcnemar


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (0, 7), (1, 0), (5, 5), (12, 3), (3, 12), (400, 350), (3000, 2800)])
def test_mcnemar_is_the_exact_binomial_test(worse: int, better: int) -> None:
    expected = binomtest(worse, worse + better, 0.5, "greater").pvalue if worse + better else 1.0

    assert mcnemar(worse, better) == pytest.approx(expected, rel=1e-9)


def test_disagreements_are_counted_on_the_same_images() -> None:
    challenger, stable = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 1, 0], bool)

    found = compare("all", challenger, stable)

    assert (found.images, found.worse, found.better, found.accuracy, found.stable_accuracy) == (5, 2, 1, 0.4, 0.6)
    assert found.drop == pytest.approx(0.2)
    assert found.p_value == pytest.approx(0.5)


def test_each_slice_is_compared_on_its_own() -> None:
    challenger, stable = np.array([1, 0, 1, 1], bool), np.array([1, 1, 0, 1], bool)
    masks = {"left": np.array([1, 1, 0, 0], bool), "right": np.array([0, 0, 1, 1], bool)}

    left, right = compare_slices(challenger, stable, masks)

    assert (left.name, left.drop) == ("left", 0.5)
    assert (right.name, right.drop) == ("right", -0.5)


def test_versions_with_other_classes_are_compared_by_the_character_that_they_name() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)

    assert is_right(scores, ("b", "a"), ["b", "a"]).tolist() == [True, True]
    assert is_right(scores, ("a", "b"), ["b", "a"]).tolist() == [False, False]
    assert is_right(scores, ("a", "b"), ["c", "b"]).tolist() == [False, True]
