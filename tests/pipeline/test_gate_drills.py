"""A drill for each gate: a bad challenger is refused, with the reason."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handwriting import contract
from pipelines import dataset, infra_validation, servable
from pipelines.data.images import LabelledImages
from pipelines.errors import PipelineError, VersionError
from pipelines.gates import Blessing
from pipelines.infra_validation import Validation
from pipelines.recipe import Recipe, parse_recipe
from pipelines.step_process import be_quiet
from pipelines.steps.evaluate import evaluate, read_blessing
from pipelines.steps.prepare import prepare
from pipelines.steps.publish import publish
from pipelines.steps.train import train
from pipelines.steps.validate import validate
from tfserving.repository import Repository

Change = Callable[[LabelledImages], LabelledImages]
LABELS = ("○", "✕", "木")


@pytest.fixture(scope="module")
def recipe(recipe_text: str) -> Recipe:
    be_quiet()
    gates = "accuracy = 0.9\nrecall = 0.7\nece = 0.5\nlatency_ms = 5000\n"
    text = re.sub(r"(?s)(?<=\[gates\]\n).*?\n(?=\n)", gates, recipe_text)
    return parse_recipe(text, "shapes.toml")


@pytest.fixture(scope="module")
def data(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    prepare(recipe, folder, folder / "cache")
    return folder


def trained(recipe: Recipe, data: Path, folder: Path, change: Change = lambda images: images) -> Path:
    """A version that was trained on the data with that change."""
    changed = folder / "data"
    shutil.copytree(data, changed)
    for part in ("train", "validation"):
        dataset.write_part(changed, part, change(dataset.read_part(data, part)))
    train(recipe, changed, folder / "model", state_dir=folder / "state")
    return folder / "model"


@pytest.fixture(scope="module")
def good(recipe: Recipe, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(recipe, data, tmp_path_factory.mktemp("good"))


def verdict(recipe: Recipe, data: Path, version: Path, folder: Path, repository: Path | None = None) -> Blessing:
    """What `evaluate` says."""
    evaluate(recipe, data, version, folder / "challenger", folder / "evaluation", repository)
    return read_blessing(folder / "evaluation")


def shuffled(images: LabelledImages) -> LabelledImages:
    return LabelledImages(images.images, np.random.default_rng(5).permutation(images.labels))


def inverted(images: LabelledImages) -> LabelledImages:
    return LabelledImages(255 - images.images, images.labels)


def without_a_tree(images: LabelledImages) -> LabelledImages:
    """Every 木 is said to be a ✕."""
    return LabelledImages(images.images, np.where(images.labels == 2, 1, images.labels))


@pytest.fixture(scope="module")
def treeless(recipe: Recipe, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(recipe, data, tmp_path_factory.mktemp("treeless"), without_a_tree)


@pytest.fixture
def repository(recipe: Recipe, good: Path, tmp_path: Path) -> Path:
    """A repository in which the good version is stable."""
    Repository(tmp_path / "repository").open()
    Repository(tmp_path / "repository").publish(recipe.name, good)
    return tmp_path / "repository"


def test_a_good_challenger_passes(recipe: Recipe, data: Path, good: Path, tmp_path: Path) -> None:
    blessing = verdict(recipe, data, good, tmp_path)
    tried = validate(recipe, tmp_path / "challenger", tmp_path / "evaluation", tmp_path / "validation")

    assert blessing == tried == Blessing(True, [])
    (tmp_path / "repository").mkdir()
    assert publish(recipe.name, tmp_path / "challenger", tmp_path / "validation", tmp_path / "repository") == 1
    (entry,) = [one for one in Repository(tmp_path / "repository").events() if one["action"] == "publish"]
    assert entry["why"].startswith("blessed, and tried in ")


@pytest.mark.parametrize("change", [shuffled, inverted])
def test_shuffled_labels_and_inverted_preprocessing_are_refused(
    recipe: Recipe, data: Path, repository: Path, tmp_path: Path, change: Change
) -> None:
    blessing = verdict(recipe, data, trained(recipe, data, tmp_path, change), tmp_path, repository)

    assert re.fullmatch(r"accuracy is 0\.\d+; at least 0\.9", blessing.reasons[0]), blessing.reasons
    assert any(one.startswith("drop of accuracy from stable version 1 is") for one in blessing.reasons), blessing.reasons


def test_a_broken_class_is_refused(recipe: Recipe, data: Path, treeless: Path, tmp_path: Path) -> None:
    blessing = verdict(recipe, data, treeless, tmp_path)

    assert "recall of '木' is 0.0000; at least 0.7" in blessing.reasons


def test_a_broken_class_is_refused_by_its_slice_alone_where_the_absolute_gates_are_loose(
    recipe: Recipe, data: Path, treeless: Path, repository: Path, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    shutil.copytree(data, many)
    test = dataset.read_part(data, "test")
    dataset.write_part(many, "test", LabelledImages(np.repeat(test.images, 4, 0), np.repeat(test.labels, 4)))
    loose = replace(recipe, gates=replace(recipe.gates, accuracy=0.5, recall=0.0, drop=1.0, corrupted_drop=1.0))

    blessing = verdict(loose, many, treeless, tmp_path, repository)

    assert blessing.reasons[0].startswith("drop of accuracy in class 木 from stable version 1 is 1.0000 (0.0000 against 1.0000")


def test_an_oversized_challenger_is_refused(recipe: Recipe, data: Path, good: Path, tmp_path: Path) -> None:
    large = shutil.copytree(good, tmp_path / "large")
    (large / "assets.extra" / "ballast").write_bytes(bytes(3_000_000))
    limited = replace(recipe, gates=replace(recipe.gates, size_mb=2))

    (reason,) = verdict(limited, data, large, tmp_path).reasons

    assert re.fullmatch(r"size is 3\.\d+ MB; at most 2 MB", reason)


# Challengers that are made by hand


class Answering:
    """Stands in for a network: logits from a function of the images, without weights."""

    variables: tuple[Any, ...] = ()

    def __init__(self, logits: Callable[[Any], Any]) -> None:
        self._logits = logits

    def __call__(self, images: Any, training: bool) -> Any:
        return self._logits(images)


def equal(images: Any) -> Any:
    """The same for each class."""
    import tensorflow as tf

    return tf.zeros((tf.shape(images)[0], len(LABELS)))


def handmade(folder: Path, logits: Callable[[Any], Any], has_warmup: bool = False) -> Path:
    """A version with those logits; its golden scores are equal for each class."""
    thresholds = np.zeros(len(LABELS), np.float32)
    card = {"name": "shapes", "preset": "default", "seed": 1, "temperature": 1.0, "labels": LABELS, "thresholds": [0.0] * 3}
    images = np.random.default_rng(1).integers(0, 256, (300, 28, 28), np.uint8)
    servable.export(Answering(logits), 1.0, LABELS, thresholds, card, folder)  # type: ignore[arg-type]
    servable.write_golden(folder, images, np.full((len(images), len(LABELS)), 1 / len(LABELS), np.float32))
    if has_warmup:
        servable.write_warmup(folder, "shapes", images)
    else:
        (folder / contract.WARMUP_FILE).touch()
    return folder


def slow(images: Any) -> Any:
    """Some ten milliseconds of multiplications."""
    import tensorflow as tf

    def multiply(step: Any, square: Any) -> tuple[Any, Any]:
        return step + 1, square @ square / 600

    _, square = tf.while_loop(lambda step, _: step < 5, multiply, (0, tf.ones((600, 600)) * images[0, 0, 0, 0]))
    return equal(images) + 1e-9 * tf.reduce_sum(square)


def no_numbers(images: Any) -> Any:
    return equal(images) * float("nan")


def crashing(images: Any) -> Any:
    import tensorflow as tf

    with tf.control_dependencies([tf.raw_ops.Abort(error_msg="on purpose")]):
        return equal(images)


def hanging(images: Any) -> Any:
    import tensorflow as tf

    (step,) = tf.while_loop(lambda step: step >= 0, lambda step: (step * 0,), (0,))
    return equal(images) + tf.cast(step, tf.float32)


def tried(recipe: Recipe, version: Path, **gates: float) -> Validation:
    """What a model server makes of it; a call is given up after two seconds."""
    return infra_validation.validate(recipe.name, version, replace(recipe.gates, **gates), call_seconds=2)


def test_a_slow_challenger_is_refused_by_itself_and_in_a_model_server(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    version = handmade(tmp_path / "model", slow)
    limited = replace(recipe, gates=replace(recipe.gates, latency_ms=1))

    reasons = verdict(limited, data, version, tmp_path).reasons
    (served,) = tried(recipe, version, latency_ms=1).reasons

    assert any(re.fullmatch(r"p99 latency of one image is \d+\.\d+ ms; at most 1 ms", one) for one in reasons), reasons
    assert re.fullmatch(r"p99 latency of one image through .+ is \d+\.\d+ ms; at most 1 ms", served)


def test_weights_that_are_no_numbers_are_refused_before_and_in_a_model_server(
    recipe: Recipe, data: Path, tmp_path: Path
) -> None:
    version = handmade(tmp_path / "model", no_numbers)

    with pytest.raises(VersionError, match="scores are no numbers"):
        verdict(recipe, data, version, tmp_path)
    (reason,) = tried(recipe, version).reasons
    assert reason.endswith("golden inputs: the model server's answer holds something else than finite numbers")


def test_another_signature_is_refused_before_and_in_a_model_server(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    version, module = handmade(tmp_path / "model", equal), tf.Module()
    module.answer = tf.function(lambda images: {"scores": images}, input_signature=[tf.TensorSpec([None], tf.float32)])
    (version / "saved_model.pb").unlink()
    tf.saved_model.save(module, str(version), signatures={"characters_v0": module.answer})

    with pytest.raises(VersionError, match=r"has no signature characters_v1; it has .*characters_v0"):
        verdict(recipe, data, version, tmp_path)
    (reason,) = tried(recipe, version).reasons
    assert "classes_v1" in reason


@pytest.mark.parametrize("has_warmup", [True, False])
def test_what_crashes_the_model_server_is_refused(recipe: Recipe, tmp_path: Path, has_warmup: bool) -> None:
    (reason,) = tried(recipe, handmade(tmp_path / "model", crashing, has_warmup)).reasons

    when = "while it loaded the version" if has_warmup else r"when it was asked for 256 golden inputs"
    assert re.search(rf" ended with signal SIGABRT {when}: ", reason), reason


def test_what_hangs_the_model_server_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    (reason,) = tried(recipe, handmade(tmp_path / "model", hanging)).reasons

    assert reason.endswith(" gave no answer to 256 golden inputs within 2 s")


def test_what_is_not_loaded_in_time_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    (reason,) = tried(recipe, handmade(tmp_path / "model", hanging, has_warmup=True), load_seconds=4).reasons

    assert "has not loaded the version within 4 s" in reason


def test_scores_that_are_not_the_trainers_are_refused(recipe: Recipe, good: Path, tmp_path: Path) -> None:
    other = shutil.copytree(good, tmp_path / "other")
    images, scores = servable.read_golden(good)
    servable.write_golden(other, images, np.roll(scores, 1, axis=1))

    found = tried(recipe, other)

    assert re.fullmatch(r"largest difference of a served score from the trainer's is 0\.\d+; at most 1e-05", found.reasons[0])
    assert found.metrics["golden_inputs"] == len(images)


def test_a_version_that_was_changed_after_it_was_tried_is_not_published(
    recipe: Recipe, data: Path, good: Path, tmp_path: Path
) -> None:
    verdict(recipe, data, good, tmp_path)
    validate(recipe, tmp_path / "challenger", tmp_path / "evaluation", tmp_path / "validation")
    (tmp_path / "challenger" / "fingerprint.pb").write_bytes(b"another")

    with pytest.raises(PipelineError, match="is not the one that was tried in a model server"):
        publish(recipe.name, tmp_path / "challenger", tmp_path / "validation", tmp_path / "repository")
