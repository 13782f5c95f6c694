"""The gates of a recipe: each gives checks, and a check that fails is a reason against the version."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.comparison import Comparison, SliceComparison
from pipelines.metrics import Evaluation
from pipelines.recipe import Gates

OFF = 1.0
"""The value of `drop`, `slice_drop` and `corrupted_drop` that asks for no comparison."""


@dataclass(frozen=True)
class Check:
    """One value against one limit."""

    gate: str
    """The key in the recipe's [gates]."""
    what: str
    value: float
    limit: float
    is_floor: bool
    """Whether the limit is the least that passes; else it is the most."""
    is_passed: bool
    unit: str = ""
    note: str = ""

    @property
    def reason(self) -> str:
        """The check as what speaks against a version: what came, and what is accepted."""
        unit = f" {self.unit}" if self.unit else ""
        note = f" ({self.note})" if self.note else ""
        accepted = f"at {'least' if self.is_floor else 'most'} {self.limit:g}{unit}"
        value = f"{self.value:.4f}" if abs(self.value) >= 0.001 or not self.value else f"{self.value:.2g}"
        return f"{self.what} is {value}{unit}{note}; {accepted}"


@dataclass(frozen=True)
class Blessing:
    """The verdict on a version, with what speaks against it."""

    is_blessed: bool
    reasons: list[str]


def bless(checks: Iterable[Check]) -> Blessing:
    """The verdict of the checks."""
    reasons = [check.reason for check in checks if not check.is_passed]
    return Blessing(not reasons, reasons)


def tightest(checks: Iterable[Check]) -> dict[str, dict[str, Any]]:
    """Of each gate the check that comes closest to failing, or fails most: what, value, limit and whether it is passed."""
    chosen: dict[str, Check] = {}
    for check in checks:
        if check.gate not in chosen or _room(check) < _room(chosen[check.gate]):
            chosen[check.gate] = check
    return {
        gate: {"what": check.what, "value": check.value, "limit": check.limit, "is_passed": check.is_passed}
        for gate, check in chosen.items()
    }


def _room(check: Check) -> tuple[bool, float]:
    return check.is_passed, check.value - check.limit if check.is_floor else check.limit - check.value


def at_least(gate: str, what: str, value: float, limit: float) -> Check:
    return Check(gate, what, value, limit, True, value >= limit)


def at_most(gate: str, what: str, value: float, limit: float, unit: str = "") -> Check:
    return Check(gate, what, value, limit, False, value <= limit, unit)


def quality(evaluation: Evaluation, gates: Gates, labels: tuple[str, ...]) -> list[Check]:
    """The checks on the test images: accuracy, recall of each class, calibration."""
    recalls = [
        at_least("recall", f"recall of {label!r}", recall, gates.recall)
        for label, recall in zip(labels, evaluation.recall, strict=True)
    ]
    return [
        at_least("accuracy", "accuracy", evaluation.accuracy, gates.accuracy),
        *recalls,
        at_most("ece", "expected calibration error", evaluation.ece, gates.ece),
    ]


def cost(size_mb: float, latency_ms: float, gates: Gates) -> list[Check]:
    """The checks of what the version takes: its size, and the time for one image."""
    return [
        at_most("size_mb", "size", size_mb, gates.size_mb, "MB"),
        at_most("latency_ms", "p99 latency of one image", latency_ms, gates.latency_ms, "ms"),
    ]


def robustness(accuracies: dict[str, float], gates: Gates) -> list[Check]:
    """The checks on corrupted test images: `accuracies` by corruption."""
    mean = sum(accuracies.values()) / len(accuracies)
    worst = min(accuracies, key=accuracies.__getitem__)
    return [
        at_least("corrupted", "mean accuracy with corruptions", mean, gates.corrupted),
        at_least("corrupted_worst", f"accuracy with the corruption {worst}", accuracies[worst], gates.corrupted_worst),
    ]


def rejection(accepted_share: float, gates: Gates) -> list[Check]:
    """The check on images of no character."""
    return [at_most("outliers_accepted", "share of outliers accepted", accepted_share, gates.outliers_accepted)]


def relative(comparison: Comparison, gates: Gates) -> list[Check]:
    """The checks against the stable version: as a whole, in each slice, and on corrupted images.

    A slice fails where it loses more than its limit and McNemar's test rejects chance; each of K slices is tested at the
    significance divided by K, so that K slices together refuse an equally good version no more often (Bonferroni).
    """
    checks = []
    if gates.drop < OFF:
        checks.append(_no_drop("drop", "accuracy", comparison.overall, gates.drop, gates.significance, comparison.version))
    if gates.slice_drop < OFF and comparison.slices:
        level = gates.significance / len(comparison.slices)
        checks += [
            _no_drop("slice_drop", f"accuracy in {part.name}", part, gates.slice_drop, level, comparison.version)
            for part in comparison.slices
        ]
    if gates.corrupted_drop < OFF:
        what = "accuracy on corrupted images"
        checks.append(
            _no_drop("corrupted_drop", what, comparison.corrupted, gates.corrupted_drop, gates.significance, comparison.version)
        )
    return checks


def _no_drop(gate: str, what: str, part: SliceComparison, limit: float, level: float, version: int) -> Check:
    note = f"{part.accuracy:.4f} against {part.stable_accuracy:.4f} of {part.images:,} images, p = {part.p_value:.2g}"
    is_passed = part.drop <= limit or part.p_value > level
    return Check(gate, f"drop of {what} from stable version {version}", part.drop, limit, False, is_passed, note=note)


def size_mb(folder: Path) -> float:
    """What all files below the folder take, in MB of a million bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
