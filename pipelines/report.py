"""The evaluation as one HTML file that needs nothing else: measures, confusion, calibration, the worst errors as pictures."""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import LabelledImages
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
_MAX_ERRORS = 60


@dataclass(frozen=True)
class Outliers:
    """Images that show none of the labels, and what the version answers for them."""

    images: NDArray[np.uint8]
    """uint8 (N, 28, 28)."""
    scores: Scores


def write_report(
    path: Path, card: dict[str, Any], evaluation: Evaluation, test: LabelledImages, scores: Scores, outliers: Outliers | None
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
            section("Measures", "", table(["", ""], measures)),
            section("Classes", "", classes_table(labels, evaluation, card["thresholds"])),
            section("Confusion", CONFUSION, confusion_plot(labels, np.array(evaluation.confusion))),
            section("Calibration", f"{CALIBRATION} {_TEMPERATURE.format(**card)}", reliability_plot(evaluation.reliability)),
            section("Risk and coverage", RISK, risk_coverage_plot(risk_coverage(scores, test.labels))),
            section(
                "Worst errors",
                f"The most confident of {len(wrong)} wrong answers.",
                sheet(_figure(test, scores, labels, index) for index in worst),
            ),
            *([_rejection(outliers, card)] if outliers else []),
        ],
    )
    path.write_text(text, encoding="utf-8")


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
