"""Trained version → its measures, the verdict of the recipe's gates, a report, and the version with all that in its card.

What is measured is the exported graph, through the signature that is served.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines import gates, measurement, servable
from pipelines.calibration import fit_thresholds
from pipelines.comparison import Comparison
from pipelines.errors import PipelineError, VersionError
from pipelines.gates import Blessing, Check, bless
from pipelines.latency import p99
from pipelines.measurement import Answers, Sets
from pipelines.metrics import Evaluation
from pipelines.metrics import evaluate as measure
from pipelines.progress import say
from pipelines.recipe import Recipe
from pipelines.rejection import KEEP, accepted
from pipelines.report import GateResults, Outliers, write_report
from pipelines.scorer import scorer
from pipelines.servable import read_card, score, write_card
from tfserving.errors import RepositoryError
from tfserving.repository import STABLE, Repository

METRICS, BLESSING, PREDICTIONS, REPORT = "metrics.json", "blessing.json", "predictions.npz", "report.html"


def evaluate(
    recipe: Recipe,
    dataset_dir: Path,
    model_dir: Path,
    challenger_dir: Path,
    evaluation_dir: Path,
    repository: Path | None = None,
) -> dict[str, Any]:
    """The card of the measured version.

    Writes the version with metrics and blessing in its card to `challenger_dir`, and to `evaluation_dir` metrics.json,
    blessing.json, predictions.npz (for each test image: label, predicted, confidence) and report.html. It is compared with the
    model's stable version in the repository, where there is one.

    Raises:
        DataError: the data set is missing or damaged.
        VersionError: the version, or the stable one, cannot be run, lacks the signature that is served, or its scores are no
            numbers.
    """
    sets = measurement.read_sets(dataset_dir, recipe.data.source)
    answers = measurement.answers(sets, lambda images: score(model_dir, images))
    evaluation = measure(answers.test, sets.test.labels)
    card = read_card(model_dir)
    corrupted = measurement.accuracies(sets.corrupted, answers.corrupted)
    metrics = summary(evaluation) | _beside(sets, answers, np.array(card["thresholds"], np.float32))
    metrics |= {"corrupted_accuracy": float(np.mean([*corrupted.values()])), "corrupted_worst": min(corrupted.values())}
    metrics |= _cost(model_dir, sets, recipe)
    comparison = _comparison(recipe, sets, answers, repository) if repository else None
    checks = _checks(recipe, evaluation, metrics, corrupted, comparison)
    blessing = bless(checks)
    card |= {"metrics": metrics, "blessing": asdict(blessing), "gates": gates.tightest(checks)}
    card |= {"compared_with": comparison.version if comparison else None}
    evaluation_dir.mkdir(parents=True, exist_ok=True)
    measures = asdict(evaluation) | {"labels": list(recipe.labels), "corruptions": corrupted}
    measures |= {"gates": [asdict(check) for check in checks], "comparison": asdict(comparison) if comparison else None}
    _write_json(evaluation_dir / METRICS, measures)
    _write_json(evaluation_dir / BLESSING, asdict(blessing))
    predictions = {"label": sets.test.labels, "predicted": answers.test.argmax(1), "confidence": answers.test.max(1)}
    np.savez(evaluation_dir / PREDICTIONS, **predictions)  # type: ignore[arg-type]
    outliers = Outliers(sets.outliers, answers.outliers) if len(sets.outliers) else None
    results = GateResults(checks, comparison, corrupted, sets.corrupted)
    write_report(evaluation_dir / REPORT, card, evaluation, sets.test, answers.test, outliers, results)
    shutil.copytree(model_dir, challenger_dir, dirs_exist_ok=True)
    write_card(challenger_dir, card)
    for line in _lines(recipe, evaluation, metrics, corrupted, comparison):
        say(line)
    say("blessed" if blessing.is_blessed else f"not blessed: {'; '.join(blessing.reasons)}")
    return card


def read_metrics(evaluation_dir: Path) -> dict[str, Any]:
    """All measures that `evaluate` wrote."""
    metrics: dict[str, Any] = json.loads((evaluation_dir / METRICS).read_text(encoding="utf-8"))
    return metrics


def read_blessing(folder: Path) -> Blessing:
    """The verdict that `evaluate`, or `validate`, wrote."""
    return Blessing(**json.loads((folder / BLESSING).read_text(encoding="utf-8")))


def summary(evaluation: Evaluation) -> dict[str, float]:
    """The measures that a card holds."""
    return {
        "accuracy": evaluation.accuracy,
        "ece": evaluation.ece,
        "nll": evaluation.nll,
        "worst_recall": min(evaluation.recall),
        "test_images": float(sum(map(sum, evaluation.confusion))),
    }


def _beside(sets: Sets, answers: Answers, thresholds: NDArray[np.float32]) -> dict[str, float]:
    """What is measured beside the test images: the accuracy on each other source, and the share of outliers accepted, by the
    version's thresholds and by those that keep 97 % of the right answers.
    """
    by_source = list(measurement.accuracies(sets.sources, answers.sources).items())[1:]
    measures = {f"{source}_accuracy": accuracy for source, accuracy in by_source}
    if len(sets.outliers):
        keeping = fit_thresholds(answers.test, sets.test.labels, KEEP)
        measures["outliers_accepted"] = float(accepted(answers.outliers, thresholds).mean())
        measures["outliers_accepted_keeping_97"] = float(accepted(answers.outliers, keeping).mean())
    return measures


def _cost(model_dir: Path, sets: Sets, recipe: Recipe) -> dict[str, float]:
    """The version's size, and the 99th percentile of the time for one image."""
    seconds = servable.latencies(model_dir, sets.test.images, recipe.gates.latency_ms / 1000)
    return {"size_mb": gates.size_mb(model_dir), "latency_p99_ms": 1000 * p99(seconds)}


def _comparison(recipe: Recipe, sets: Sets, answers: Answers, repository: Path) -> Comparison | None:
    """The challenger beside the model's stable version; None where there is none, or the recipe wants no comparison."""
    limits = recipe.gates
    try:
        repo = Repository(repository)
        if STABLE not in repo.labels(recipe.name) or (limits.drop == limits.slice_drop == limits.corrupted_drop == gates.OFF):
            return None
        stable = repo.find(recipe.name, STABLE)
    except RepositoryError as error:
        raise PipelineError(f"cannot compare with the stable version: {error}") from error
    try:
        asked = scorer(stable.path, stable.card)
        others = measurement.answers(sets, asked.scores)
    except VersionError as error:
        raise VersionError(
            f"cannot compare with the stable version {stable.number}: {error}. Make another one stable (hcr promote), or "
            "compare with none: drop = 1, slice_drop = 1 and corrupted_drop = 1 in [gates]"
        ) from error
    return measurement.compared(recipe, sets, answers, others, asked.classes, stable.number)


def _checks(
    recipe: Recipe,
    evaluation: Evaluation,
    metrics: dict[str, float],
    corrupted: dict[str, float],
    comparison: Comparison | None,
) -> list[Check]:
    """Every gate's checks."""
    limits = recipe.gates
    checks = gates.quality(evaluation, limits, recipe.labels)
    checks += gates.cost(metrics["size_mb"], metrics["latency_p99_ms"], limits)
    checks += gates.robustness(corrupted, limits)
    if "outliers_accepted" in metrics:
        checks += gates.rejection(metrics["outliers_accepted"], limits)
    return checks + (gates.relative(comparison, limits) if comparison else [])


def _lines(
    recipe: Recipe,
    evaluation: Evaluation,
    metrics: dict[str, float],
    corrupted: dict[str, float],
    comparison: Comparison | None,
) -> list[str]:
    """What the user is told."""
    lines = [describe(evaluation, recipe.labels)]
    if "fonts_accuracy" in metrics:
        lines.append(f"fonts that it was not trained on: accuracy {100 * metrics['fonts_accuracy']:.2f} %")
    if "feedback_accuracy" in metrics:
        lines.append(f"feedback that it was not trained on: accuracy {100 * metrics['feedback_accuracy']:.2f} %")
    if "outliers_accepted" in metrics:
        accepted_share, keeping = 100 * metrics["outliers_accepted"], 100 * metrics["outliers_accepted_keeping_97"]
        lines.append(
            f"outliers that it was not trained on: {accepted_share:.1f} % accepted, "
            f"{keeping:.1f} % where 97 % of what is right is kept"
        )
    worst = min(corrupted, key=corrupted.__getitem__)
    mean = 100 * metrics["corrupted_accuracy"]
    lines.append(f"corrupted images: accuracy {mean:.1f} % on average, {100 * corrupted[worst]:.1f} % at worst ({worst})")
    lines.append(f"{metrics['size_mb']:.1f} MB, one image within {metrics['latency_p99_ms']:.2g} ms (99th percentile)")
    if comparison:
        both = comparison.overall
        lines.append(
            f"stable version {comparison.version}: accuracy {100 * both.stable_accuracy:.2f} %; right alone on "
            f"{both.worse:,} images, this one on {both.better:,}"
        )
    return lines


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
