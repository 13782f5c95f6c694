"""The evaluation as one HTML file that needs nothing else: measures, confusion, calibration, the worst errors as pictures."""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.comparison import Comparison, SliceComparison
from pipelines.data.images import LabelledImages
from pipelines.gates import Check
from pipelines.metrics import Evaluation, Scores, risk_coverage
from pipelines.page import (
    classes_table,
    confusion_plot,
    page,
    percent,
    reliability_plot,
    risk_coverage_plot,
    section,
    sheet,
    table,
    tensor_picture,
)
from pipelines.rejection import accepted, most_confident_first

CONFUSION = "Row: what it is. Column: what it was taken for. Errors are shaded by their share of the row."
CALIBRATION = "Of the answers with a given confidence (across), how many are right (up). On the line is honest."
RISK = "If only the surest answers are kept (across), how many of them are wrong (up)."

_TEMPERATURE = (
    "The network's scores are divided by a temperature of {temperature:.3g}, fitted to images held out from training."
)
_GATES = "What the recipe asks for, and what came. Of slices: those that fail, and the largest drop of the others."
_STABLE = (
    "Both versions on the same images. Worse: the stable version alone is right; better: this one alone. p: how probable so "
    "many worse ones are by chance, where neither version is better (McNemar, exact, one-sided)."
)
_CORRUPTIONS = "Accuracy on test images that were corrupted on purpose, and the first of them."
_MAX_ERRORS = 60
_SHOWN_CORRUPTED = 8


@dataclass(frozen=True)
class Outliers:
    """Images that show none of the labels, and what the version answers for them."""

    images: NDArray[np.uint8]
    """uint8 (N, 28, 28)."""
    scores: Scores


@dataclass(frozen=True)
class GateResults:
    """What the gates looked at."""

    checks: list[Check]
    comparison: Comparison | None
    corruptions: dict[str, float]
    """The accuracy by corruption."""
    corrupted: dict[str, LabelledImages]


def write_report(
    path: Path,
    card: dict[str, Any],
    evaluation: Evaluation,
    test: LabelledImages,
    scores: Scores,
    outliers: Outliers | None,
    results: GateResults,
) -> None:
    """Writes the report on one version to `path`."""
    labels, blessing = card["labels"], card["blessing"]
    wrong = np.flatnonzero(scores.argmax(1) != test.labels)
    worst = wrong[np.argsort(-scores[wrong].max(1))][:_MAX_ERRORS]
    measures = [[key.replace("_", " "), f"{value:.6g}"] for key, value in card["metrics"].items()]
    text = page(
        f"{card['name']}, preset {card['preset']}, seed {card['seed']}",
        "Blessed." if blessing["is_blessed"] else "Not blessed: " + "; ".join(blessing["reasons"]) + ".",
        "#2a7" if blessing["is_blessed"] else "#c33",
        [
            section("Gates", _GATES, _gates_table(results.checks)),
            section("Measures", "", table(["", ""], measures)),
            section("Classes", "", classes_table(labels, evaluation, card["thresholds"])),
            section("Confusion", CONFUSION, confusion_plot(labels, np.array(evaluation.confusion))),
            section("Calibration", f"{CALIBRATION} {_TEMPERATURE.format(**card)}", reliability_plot(evaluation.reliability)),
            section("Risk and coverage", RISK, risk_coverage_plot(risk_coverage(scores, test.labels))),
            *([_comparison(results.comparison)] if results.comparison else []),
            section("Corruptions", _CORRUPTIONS, _corruptions(results)),
            section(
                "Worst errors",
                f"The most confident of {len(wrong)} wrong answers.",
                sheet(_figure(test, scores, labels, index) for index in worst),
            ),
            *([_rejection(outliers, card)] if outliers else []),
        ],
    )
    path.write_text(text, encoding="utf-8")


def _gates_table(checks: list[Check]) -> str:
    """A row for each check; of the slices that pass only the one that comes closest to its limit."""
    slices = [check for check in checks if check.gate == "slice_drop" and check.is_passed]
    hidden = sorted(slices, key=lambda check: check.value)[:-1]
    rows = [
        [
            "passed" if check.is_passed else "failed",
            check.what,
            f"{check.value:.4f}",
            f"at {'least' if check.is_floor else 'most'} {check.limit:g} {check.unit}".rstrip(),
            check.note,
        ]
        for check in checks
        if check not in hidden
    ]
    return table(["", "what", "came", "accepted", ""], rows)


def _comparison(comparison: Comparison) -> str:
    """The challenger beside the stable version, slice by slice."""

    def row(part: SliceComparison) -> list[str]:
        both = [percent(part.accuracy, 2), percent(part.stable_accuracy, 2)]
        return [part.name, f"{part.images:,}", *both, str(part.worse), str(part.better), f"{part.p_value:.2g}"]

    head = ["slice", "images", "this version", "stable", "worse", "better", "p"]
    parts = (*comparison.slices, *comparison.corruptions, comparison.corrupted, comparison.overall)
    return section(f"Against stable version {comparison.version}", _STABLE, table(head, [row(part) for part in parts], sums=2))


def _corruptions(results: GateResults) -> str:
    """For each corruption its accuracy and what it looks like."""
    return "".join(
        f"<h3>{html.escape(name)}: {percent(results.corruptions[name], 2)}</h3>"
        + sheet(f"<figure>{tensor_picture(image)}</figure>" for image in part.images[:_SHOWN_CORRUPTED])
        for name, part in results.corrupted.items()
    )


def _figure(test: LabelledImages, scores: Scores, labels: list[str], index: int) -> str:
    right, taken = labels[test.labels[index]], labels[int(scores[index].argmax())]
    caption = f"{html.escape(right)} taken for {html.escape(taken)}<br>{percent(scores[index].max())}, image {index}"
    return f"<figure>{tensor_picture(test.images[index])}<figcaption>{caption}</figcaption></figure>"


def _rejection(outliers: Outliers, card: dict[str, Any]) -> str:
    """How many of the outliers are accepted, and the most confident of them."""
    is_accepted = accepted(outliers.scores, np.array(card["thresholds"], np.float32))
    keeping = percent(card["metrics"]["outliers_accepted_keeping_97"])
    text = (
        f"Of {len(is_accepted):,} images that show none of the classes and were not trained on, {int(is_accepted.sum()):,} "
        f"({percent(is_accepted.mean())}) reach the threshold of the class that they are taken for; {keeping} where the "
        "thresholds keep 97 % of the right answers. The most confident:"
    )
    shown = most_confident_first(outliers.scores, is_accepted)[:_MAX_ERRORS]
    return section("Outliers accepted", text, sheet(_outlier_figure(outliers, card["labels"], index) for index in shown))


def _outlier_figure(outliers: Outliers, labels: list[str], index: int) -> str:
    scores = outliers.scores[index]
    caption = f"taken for {html.escape(labels[int(scores.argmax())])}<br>{percent(scores.max())}, image {index}"
    return f"<figure>{tensor_picture(outliers.images[index])}<figcaption>{caption}</figcaption></figure>"
