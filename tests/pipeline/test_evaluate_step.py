"""The step `evaluate` on a data set with outliers, and an untrained network."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines import dataset
from pipelines.data.images import OUTLIER, LabelledImages
from pipelines.errors import VersionError
from pipelines.network import build
from pipelines.recipe import Network, parse_recipe
from pipelines.servable import export, score
from pipelines.step_process import be_quiet
from pipelines.steps.evaluate import REPORT, evaluate


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
