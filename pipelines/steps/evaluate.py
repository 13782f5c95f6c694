"""Trained version → its measures on the test images, a report, a blessing, and the version with all that in its card.

What is measured is the exported graph, through the signature that is served.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines import dataset
from pipelines.calibration import fit_thresholds
from pipelines.metrics import Evaluation, Labels, Scores
from pipelines.metrics import evaluate as measure
from pipelines.progress import say
from pipelines.recipe import Gates, Recipe
from pipelines.rejection import KEEP, accepted
from pipelines.report import Outliers, write_report
from pipelines.servable import read_card, score, write_card

METRICS, BLESSING, PREDICTIONS, REPORT = "metrics.json", "blessing.json", "predictions.npz", "report.html"


@dataclass(frozen=True)
class Blessing:
    """The verdict on a version, with what speaks against it."""

    is_blessed: bool
    reasons: list[str]


def evaluate(recipe: Recipe, dataset_dir: Path, model_dir: Path, challenger_dir: Path, evaluation_dir: Path) -> dict[str, Any]:
    """The card of the measured version.

    Writes the version with metrics and blessing in its card to `challenger_dir`, and to `evaluation_dir` metrics.json,
    blessing.json, predictions.npz (for each test image: label, predicted, confidence) and report.html.

    Raises:
        DataError: the data set is missing or damaged.
        VersionError: the version lacks the signature that is served, or its scores are no numbers.
    """
    test = dataset.read_part(dataset_dir, "test")
    scores = score(model_dir, test.images)
    evaluation = measure(scores, test.labels)
    blessing = bless(evaluation, recipe.gates, recipe.labels)
    outliers = _outliers(dataset_dir, model_dir)
    card = read_card(model_dir)
    metrics = summary(evaluation) | _beside(dataset_dir, model_dir)
    if outliers:
        metrics |= _rejection(scores, test.labels, outliers.scores, np.array(card["thresholds"], np.float32))
    card |= {"metrics": metrics, "blessing": asdict(blessing)}
    evaluation_dir.mkdir(parents=True, exist_ok=True)
    _write_json(evaluation_dir / METRICS, asdict(evaluation) | {"labels": list(recipe.labels)})
    _write_json(evaluation_dir / BLESSING, asdict(blessing))
    predictions = {"label": test.labels, "predicted": scores.argmax(1), "confidence": scores.max(1)}
    np.savez(evaluation_dir / PREDICTIONS, **predictions)  # type: ignore[arg-type]
    write_report(evaluation_dir / REPORT, card, evaluation, test, scores, outliers)
    shutil.copytree(model_dir, challenger_dir, dirs_exist_ok=True)
    write_card(challenger_dir, card)
    say(describe(evaluation, recipe.labels))
    if "fonts_accuracy" in metrics:
        say(f"fonts that it was not trained on: accuracy {100 * metrics['fonts_accuracy']:.2f} %")
    if outliers:
        shares = (100 * metrics[name] for name in ("outliers_accepted", "outliers_accepted_keeping_97"))
        say(
            "outliers that it was not trained on: {:.1f} % accepted, {:.1f} % where 97 % of what is right is kept".format(
                *shares
            )
        )
    say("blessed" if blessing.is_blessed else f"not blessed: {'; '.join(blessing.reasons)}")
    return card


def read_metrics(evaluation_dir: Path) -> dict[str, Any]:
    """All measures that `evaluate` wrote."""
    metrics: dict[str, Any] = json.loads((evaluation_dir / METRICS).read_text(encoding="utf-8"))
    return metrics


def read_blessing(evaluation_dir: Path) -> Blessing:
    """The verdict that `evaluate` wrote."""
    return Blessing(**json.loads((evaluation_dir / BLESSING).read_text(encoding="utf-8")))


def bless(evaluation: Evaluation, gates: Gates, labels: tuple[str, ...]) -> Blessing:
    """The verdict of the recipe's gates."""
    reasons = []
    if evaluation.accuracy < gates.accuracy:
        reasons.append(f"accuracy is {evaluation.accuracy:.4f}; at least {gates.accuracy:g}")
    for label, recall in zip(labels, evaluation.recall, strict=True):
        if recall < gates.recall:
            reasons.append(f"recall of {label!r} is {recall:.4f}; at least {gates.recall:g}")
    if evaluation.ece > gates.ece:
        reasons.append(f"expected calibration error is {evaluation.ece:.4f}; at most {gates.ece:g}")
    return Blessing(not reasons, reasons)


def summary(evaluation: Evaluation) -> dict[str, float]:
    """The measures that a card holds."""
    return {
        "accuracy": evaluation.accuracy,
        "ece": evaluation.ece,
        "nll": evaluation.nll,
        "worst_recall": min(evaluation.recall),
        "test_images": float(sum(map(sum, evaluation.confusion))),
    }


def _beside(dataset_dir: Path, model_dir: Path) -> dict[str, float]:
    """What is measured beside the test images and decides nothing: the accuracy on unseen fonts, where there are any."""
    if not dataset.has_part(dataset_dir, dataset.FONTS):
        return {}
    unseen = dataset.read_part(dataset_dir, dataset.FONTS)
    return {"fonts_accuracy": float((score(model_dir, unseen.images).argmax(1) == unseen.labels).mean())}


def _outliers(dataset_dir: Path, model_dir: Path) -> Outliers | None:
    """The held-out outliers and what the version answers for them, where there are any."""
    if not dataset.has_part(dataset_dir, dataset.OUTLIERS):
        return None
    images = dataset.read_part(dataset_dir, dataset.OUTLIERS).images
    return Outliers(images, score(model_dir, images))


def _rejection(scores: Scores, labels: Labels, outliers: Scores, thresholds: NDArray[np.float32]) -> dict[str, float]:
    """The share of outliers that is accepted: by the version's thresholds, and by those that keep 97 % of the right answers."""
    keeping = fit_thresholds(scores, labels, KEEP)
    return {
        "outliers_accepted": float(accepted(outliers, thresholds).mean()),
        "outliers_accepted_keeping_97": float(accepted(outliers, keeping).mean()),
    }


def describe(evaluation: Evaluation, labels: tuple[str, ...]) -> str:
    """The measures in one line."""
    worst = int(np.argmin(evaluation.recall))
    wrong = sum(map(sum, evaluation.confusion)) - int(np.trace(evaluation.confusion))
    return (
        f"accuracy {100 * evaluation.accuracy:.2f} % ({wrong} wrong of {sum(map(sum, evaluation.confusion)):,}), "
        f"worst recall {100 * evaluation.recall[worst]:.2f} % ({labels[worst]}), calibration error {100 * evaluation.ece:.2f} %"
    )


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8")
