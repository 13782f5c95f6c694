"""The evaluation as one HTML file that needs nothing else: measures, confusion, calibration, the worst errors as pictures."""

import html
from pathlib import Path
from typing import Any

import numpy as np

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

CONFUSION = "Row: what it is. Column: what it was taken for. Errors are shaded by their share of the row."
CALIBRATION = "Of the answers with a given confidence (across), how many are right (up). On the line is honest."
RISK = "If only the surest answers are kept (across), how many of them are wrong (up)."

_MAX_ERRORS = 60


def write_report(path: Path, card: dict[str, Any], evaluation: Evaluation, test: LabelledImages, scores: Scores) -> None:
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
            section("Calibration", CALIBRATION, reliability_plot(evaluation.reliability)),
            section("Risk and coverage", RISK, risk_coverage_plot(risk_coverage(scores, test.labels))),
            section(
                "Worst errors",
                f"The most confident of {len(wrong)} wrong answers.",
                sheet(_figure(test, scores, labels, index) for index in worst),
            ),
        ],
    )
    path.write_text(text, encoding="utf-8")


def _figure(test: LabelledImages, scores: Scores, labels: list[str], index: int) -> str:
    right, taken = labels[test.labels[index]], labels[int(scores[index].argmax())]
    caption = f"{html.escape(right)} taken for {html.escape(taken)}<br>{percent(scores[index].max())}, image {index}"
    return f"<figure>{tensor_picture(test.images[index])}<figcaption>{caption}</figcaption></figure>"
