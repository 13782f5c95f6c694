"""What each gate lets pass, and what it says of what it does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines import gates
from pipelines.comparison import Comparison, SliceComparison, compare
from pipelines.gates import Blessing, bless
from pipelines.metrics import evaluate
from pipelines.recipe import Gates

SCORES = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9]], np.float32)
EVALUATION = evaluate(SCORES, np.array([0, 0, 1, 1]))
LOOSE = Gates(accuracy=0, recall=0, ece=1)


def reasons(checks: list[gates.Check]) -> list[str]:
    return bless(checks).reasons


def test_a_version_that_passes_every_gate_is_blessed() -> None:
    checks = gates.quality(EVALUATION, Gates(accuracy=0.75, recall=0.5, ece=0.5), ("ä", "ö"))

    assert bless(checks) == Blessing(True, [])
    assert [check.gate for check in checks] == ["accuracy", "recall", "recall", "ece"]


def test_each_gate_of_quality_that_is_missed_is_a_reason() -> None:
    blessing = bless(gates.quality(EVALUATION, Gates(accuracy=0.8, recall=0.6, ece=0.1), ("ä", "ö")))

    assert not blessing.is_blessed
    assert blessing.reasons[:2] == ["accuracy is 0.7500; at least 0.8", "recall of 'ö' is 0.5000; at least 0.6"]
    assert blessing.reasons[2].startswith("expected calibration error is 0.")


def test_a_version_that_is_too_large_or_too_slow_is_refused_with_value_and_limit() -> None:
    limits = replace(LOOSE, size_mb=2, latency_ms=5)

    assert reasons(gates.cost(2.5, 7.25, limits)) == [
        "size is 2.5000 MB; at most 2 MB",
        "p99 latency of one image is 7.2500 ms; at most 5 ms",
    ]
    assert reasons(gates.cost(2.0, 5.0, limits)) == []


def test_the_corruption_that_hurts_most_is_named() -> None:
    accuracies = {"noise": 0.9, "fog": 0.2, "blur": 0.7}

    assert reasons(gates.robustness(accuracies, replace(LOOSE, corrupted=0.7, corrupted_worst=0.3))) == [
        "mean accuracy with corruptions is 0.6000; at least 0.7",
        "accuracy with the corruption fog is 0.2000; at least 0.3",
    ]
    assert reasons(gates.robustness(accuracies, replace(LOOSE, corrupted=0.6, corrupted_worst=0.2))) == []


def test_accepting_too_much_of_what_is_no_character_is_refused() -> None:
    assert reasons(gates.rejection(0.4, replace(LOOSE, outliers_accepted=0.3))) == [
        "share of outliers accepted is 0.4000; at most 0.3"
    ]


def compared(overall: SliceComparison, slices: list[SliceComparison], corrupted: SliceComparison | None = None) -> Comparison:
    """Both versions equally good on corrupted images, unless said otherwise."""
    return Comparison(3, overall, slices, corrupted or one("corrupted images", 9000, 0, 0), [])


def one(name: str, images: int, worse: int, better: int) -> SliceComparison:
    """A slice in which both versions are right on all other images."""
    challenger, stable = np.ones(images, bool), np.ones(images, bool)
    challenger[:worse], stable[worse : worse + better] = False, False
    return compare(name, challenger, stable)


@pytest.mark.parametrize(
    ("images", "worse", "better", "is_passed"),
    [
        (1000, 40, 0, False),  # 4 % lost, and not by chance
        (1000, 0, 40, True),  # better
        (1000, 9, 0, True),  # significant, but less than 1 %
        (1000, 200, 185, True),  # 1.5 % lost, as chance would have it
        (20, 2, 0, True),  # 10 % lost, of two images
    ],
)
def test_less_accuracy_than_the_stable_version_counts_where_it_is_much_and_no_chance(
    images: int, worse: int, better: int, is_passed: bool
) -> None:
    checks = gates.relative(compared(one("all", images, worse, better), []), replace(LOOSE, drop=0.01))

    assert [check.is_passed for check in checks if check.gate == "drop"] == [is_passed]


def test_a_slice_that_got_worse_is_refused_though_the_whole_got_better() -> None:
    comparison = compared(one("all", 1000, 20, 40), [one("class 7", 100, 20, 0), one("class 1", 100, 0, 20)])

    (reason,) = reasons(gates.relative(comparison, replace(LOOSE, drop=0.01, slice_drop=0.02)))

    assert reason == (
        "drop of accuracy in class 7 from stable version 3 is 0.2000 (0.8000 against 1.0000 of 100 images, p = 9.5e-07); "
        "at most 0.02"
    )


def test_many_slices_are_tested_more_strictly_each() -> None:
    suspect = one("class 7", 100, 6, 0)  # p = 0.016
    alone = gates.relative(compared(one("all", 1000, 0, 0), [suspect]), LOOSE)
    among_many = gates.relative(compared(one("all", 1000, 0, 0), [suspect, *[one("other", 100, 0, 0)] * 9]), LOOSE)

    assert (bless(alone).is_blessed, bless(among_many).is_blessed) == (False, True)


def test_less_accuracy_on_corrupted_images_is_refused() -> None:
    comparison = compared(one("all", 1000, 0, 0), [], one("corrupted images", 9000, 900, 0))

    (reason,) = reasons(gates.relative(comparison, LOOSE))

    assert reason.startswith("drop of accuracy on corrupted images from stable version 3 is 0.1000 (0.9000 against 1.0000")


def test_one_compares_nothing() -> None:
    everything = one("corrupted images", 100, 100, 0)
    comparison = compared(one("all", 1000, 1000, 0), [one("class 7", 100, 100, 0)], everything)

    assert gates.relative(comparison, replace(LOOSE, drop=1, slice_drop=1, corrupted_drop=1)) == []


def test_of_each_gate_the_check_that_comes_closest_is_told() -> None:
    checks = gates.quality(EVALUATION, Gates(accuracy=0.8, recall=0.6, ece=0.5), ("ä", "ö"))

    assert gates.tightest(checks)["recall"] == {"what": "recall of 'ö'", "value": 0.5, "limit": 0.6, "is_passed": False}


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "data").write_bytes(bytes(1_500_000))
    (tmp_path / "saved_model.pb").write_bytes(bytes(500_000))

    assert gates.size_mb(tmp_path) == 2.0
