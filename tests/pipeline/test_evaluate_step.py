"""The step `evaluate` on a data set with outliers, and an untrained network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines import dataset
from pipelines.data.images import OUTLIER, LabelledImages
from pipelines.errors import VersionError
from pipelines.network import build
from pipelines.recipe import Gates, Network, Recipe, parse_recipe
from pipelines.servable import export, score
from pipelines.step_process import be_quiet
from pipelines.steps.evaluate import METRICS, REPORT, evaluate, read_blessing
from tfserving.repository import Repository


def some_images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


@pytest.mark.parametrize("has_outliers", [True, False])
def test_accepted_outliers_are_measured_where_the_data_set_has_some(
    has_outliers: bool, recipe_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    be_quiet()
    recipe = parse_recipe(recipe_text, "shapes.toml")
    thresholds = np.array([0.0, 0.0, 0.0], np.float32)
    card = {"name": "shapes", "preset": "default", "seed": 1, "temperature": 1.0, "thresholds": thresholds.tolist()}
    network = build(Network(channels=(4, 4, 4), blocks=1, dropout=0.0), 3)
    export(network, 1.0, recipe.labels, thresholds, card | {"labels": list(recipe.labels)}, tmp_path / "model")
    images = some_images(30, 1)
    (tmp_path / "data").mkdir()
    predicted = score(tmp_path / "model", images).argmax(1).astype(np.int64)
    dataset.write_part(tmp_path / "data", "test", LabelledImages(images, predicted))
    if has_outliers:
        outliers = LabelledImages(some_images(20, 2), np.full(20, OUTLIER))
        dataset.write_part(tmp_path / "data", dataset.OUTLIERS, outliers)

    measured = evaluate(recipe, tmp_path / "data", tmp_path / "model", tmp_path / "challenger", tmp_path / "evaluation")
    report = (tmp_path / "evaluation" / REPORT).read_text(encoding="utf-8")

    assert ("outliers_accepted" in measured["metrics"]) == has_outliers
    assert measured["metrics"].get("outliers_accepted", 1.0) == 1.0  # every threshold is 0
    assert 0 <= measured["metrics"].get("outliers_accepted_keeping_97", 0) <= 1
    assert ("Outliers accepted" in report) == has_outliers
    assert ("outliers that it was not trained on: 100.0 % accepted" in capsys.readouterr().out) == has_outliers
    json.dumps(measured, allow_nan=False)


def version_with(folder: Path, recipe: Recipe, bias: tuple[float, float, float]) -> Path:
    """A version whose last layer has this bias and whose other weights say nothing: its answer is always the same class."""
    card = {"name": "shapes", "preset": "default", "seed": 1, "temperature": 1.0, "labels": list(recipe.labels)}
    network = build(Network(channels=(4, 4, 4), blocks=1, dropout=0.0), 3)
    weights = [np.zeros_like(one) for one in network.get_weights()]
    weights[-1] = np.array(bias, np.float32)
    network.set_weights(weights)
    export(network, 1.0, recipe.labels, np.zeros(3, np.float32), card | {"thresholds": [0.0, 0.0, 0.0]}, folder)
    return folder


@pytest.fixture
def shapes(recipe_text: str) -> Recipe:
    be_quiet()
    return replace(parse_recipe(recipe_text, "shapes.toml"), gates=Gates(accuracy=0.0, recall=0.0, ece=1.0))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty images of noise, said to be of the first class, and twenty of the second."""
    (tmp_path / "data").mkdir()
    labels = np.array([0] * 40 + [1] * 20)
    dataset.write_part(tmp_path / "data", "test", LabelledImages(some_images(60, 1), labels))
    dataset.write_part(tmp_path / "data", dataset.FONTS, LabelledImages(some_images(10, 2), labels[30:40]))
    dataset.write_part(tmp_path / "data", dataset.FEEDBACK, LabelledImages(some_images(4, 3), labels[38:42]))
    return tmp_path / "data"


def test_a_version_is_compared_with_the_stable_one_on_the_same_images(
    shapes: Recipe, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "repository"
    Repository(repository).open()
    Repository(repository).publish("shapes", version_with(tmp_path / "stable", shapes, (1, 0, 0)))
    worse = version_with(tmp_path / "model", shapes, (0, 1, 0))

    card = evaluate(shapes, data, worse, tmp_path / "challenger", tmp_path / "evaluation", repository)

    blessing = read_blessing(tmp_path / "evaluation")
    assert not blessing.is_blessed
    assert blessing.reasons[:2] == [
        "drop of accuracy from stable version 1 is 0.3333 (0.3333 against 0.6667 of 60 images, p = 0.0067); at most 0.005",
        "drop of accuracy in class ○ from stable version 1 is 1.0000 (0.0000 against 1.0000 of 40 images, p = 9.1e-13); "
        "at most 0.02",
    ]
    assert (card["compared_with"], card["gates"]["drop"]["is_passed"]) == (1, False)
    metrics = json.loads((tmp_path / "evaluation" / METRICS).read_text(encoding="utf-8"))
    slices = {part["name"]: part["stable_accuracy"] - part["accuracy"] for part in metrics["comparison"]["slices"]}
    assert slices["class ✕"] == -1
    assert len(metrics["comparison"]["corruptions"]) == 9
    assert slices["source fonts"] == 1
    assert slices["source feedback"] == 0
    assert card["metrics"]["feedback_accuracy"] == 0.5
    assert {"source folder", "stroke thin", "slant left"} <= set(slices)
    report = (tmp_path / "evaluation" / REPORT).read_text(encoding="utf-8")
    assert "Against stable version 1" in report
    assert "<td>failed</td><td>drop of accuracy from stable version 1</td>" in report
    assert "stable version 1: accuracy 66.67 %; right alone on 40 images, this one on 20" in capsys.readouterr().out


def test_where_nothing_is_stable_nothing_is_compared(shapes: Recipe, data: Path, tmp_path: Path) -> None:
    version = version_with(tmp_path / "model", shapes, (1, 0, 0))

    card = evaluate(shapes, data, version, tmp_path / "challenger", tmp_path / "evaluation", tmp_path / "no-repository")

    assert card["blessing"] == {"is_blessed": True, "reasons": []}
    assert card["compared_with"] is None
    assert {"size_mb", "latency_ms", "corrupted", "corrupted_worst"} <= set(card["gates"])
    assert "Against stable" not in (tmp_path / "evaluation" / REPORT).read_text(encoding="utf-8")


def test_a_stable_version_that_cannot_be_run_is_named_with_what_helps(shapes: Recipe, data: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    Repository(repository).open()
    stable = version_with(tmp_path / "stable", shapes, (1, 0, 0))
    (stable / "saved_model.pb").write_bytes(b"no graph")
    Repository(repository).publish("shapes", stable)
    version = version_with(tmp_path / "model", shapes, (1, 0, 0))

    with pytest.raises(
        VersionError, match=r"stable version 1: .* cannot be run: .*drop = 1, slice_drop = 1 and corrupted_drop = 1"
    ):
        evaluate(shapes, data, version, tmp_path / "challenger", tmp_path / "evaluation", repository)

    loose = replace(shapes, gates=replace(shapes.gates, drop=1.0, slice_drop=1.0, corrupted_drop=1.0))
    card = evaluate(loose, data, version, tmp_path / "challenger", tmp_path / "evaluation", repository)
    assert card["compared_with"] is None


def tiny(folder: Path, weight: float) -> Path:
    """A version of an untrained network, each of whose weights is that number."""
    be_quiet()
    network = build(Network(channels=(4, 4, 4), blocks=1, dropout=0.0), 3)
    network.set_weights([np.full_like(weights, weight) for weights in network.get_weights()])
    export(network, 1.0, ("a", "b", "c"), np.zeros(3, np.float32), {"name": "shapes"}, folder)
    return folder


def test_a_version_with_weights_that_are_no_numbers_is_refused(tmp_path: Path) -> None:
    version = tiny(tmp_path / "model", float("nan"))

    with pytest.raises(VersionError, match="scores are no numbers for 5 of 5 images"):
        score(version, some_images(5, 1))


def test_a_version_with_another_signature_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.answer = tf.function(lambda images: {"scores": images}, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, str(tmp_path), signatures={"characters_v0": module.answer})

    with pytest.raises(VersionError, match=r"has no signature characters_v1; it has .*characters_v0"):
        score(tmp_path, some_images(5, 1))
