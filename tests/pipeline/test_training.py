"""Training, export and evaluation of a tiny alphabet, in this process."""

import json
import multiprocessing
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from handwriting import contract
from pipelines import checkpoint, dataset, finished, provenance
from pipelines.recipe import Network, Recipe, load_recipe, recipe_names
from pipelines.servable import read_card, score
from pipelines.step_process import be_quiet
from pipelines.steps.prepare import prepare
from pipelines.steps.train import fit, train


@pytest.fixture(scope="module")
def tf() -> ModuleType:
    be_quiet()
    import tensorflow

    return tensorflow


@pytest.fixture(scope="module")
def recipe(recipe_text: str) -> Recipe:
    return load_recipe(recipe_text)


@pytest.fixture(scope="module")
def data(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    prepare(recipe, folder, folder / "cache")
    return folder


@pytest.fixture(scope="module")
def version(tf: ModuleType, recipe: Recipe, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("version") / "1"
    train(recipe, data, folder, state_dir=data / "cache")
    return folder


def train_in_a_process(recipe_text: str, data: Path, folder: Path, cache: Path) -> None:
    be_quiet()
    train(load_recipe(recipe_text), data, folder, state_dir=cache)


def test_a_training_that_is_killed_loses_one_epoch_at_most_and_ends_as_if_it_had_not_been(
    recipe: Recipe, version: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (recipe.text, data, tmp_path / "killed", tmp_path)
    training = multiprocessing.get_context("spawn").Process(target=train_in_a_process, args=arguments)
    training.start()
    deadline = time.monotonic() + 120
    while not (folders := list((tmp_path / checkpoint.FOLDER).glob("*"))) or checkpoint.epochs_done(folders[0]) < 2:
        assert training.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    training.kill()  # SIGKILL
    training.join()
    done = checkpoint.epochs_done(folders[0])

    train(recipe, data, tmp_path / "resumed", state_dir=tmp_path)

    told = capsys.readouterr().out
    assert f"going on after epoch {done} of 8" in told
    assert [int(number) for number in re.findall(r"epoch +(\d+)/", told)] == list(range(done + 1, 9))
    assert not list((tmp_path / checkpoint.FOLDER).glob("*"))
    images = dataset.read_part(data, "test").images
    assert (score(version, images) == score(tmp_path / "resumed", images)).all()


@pytest.mark.parametrize("averaging", [False, True])
def test_weights_do_not_depend_on_an_interruption(
    tf: ModuleType, recipe: Recipe, data: Path, tmp_path: Path, averaging: bool
) -> None:
    import keras

    from pipelines import network

    preset = recipe.preset("default")
    short = replace(preset, training=replace(preset.training, epochs=3, averaging=averaging))
    parts = [dataset.read_part(data, part) for part in ("train", "validation")]

    def fitted() -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        model = network.build(short.network, 3)
        fit(model, *parts, short, 1, tmp_path)
        return list(model.get_weights())

    whole = fitted()
    (last,) = tmp_path.glob("0003-*")
    last.unlink()
    resumed = fitted()

    assert [float(np.abs(one - other).max()) for one, other in zip(whole, resumed, strict=True)] == [0.0] * len(whole)


def test_a_training_that_is_killed_before_its_version_is_safe_loses_no_epoch(
    recipe: Recipe,
    version: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full_disk)
        with pytest.raises(OSError, match="No space left"):
            train(recipe, data, tmp_path / "failed", state_dir=tmp_path)
    capsys.readouterr()

    train(recipe, data, tmp_path / "again", state_dir=tmp_path)

    told = capsys.readouterr().out
    assert "going on after epoch 8 of 8" in told
    assert "epoch 8/8" not in told
    images = dataset.read_part(data, "test").images
    assert (score(version, images) == score(tmp_path / "again", images)).all()


def test_what_a_killed_process_left_half_written_is_passed_over(tf: ModuleType, tmp_path: Path) -> None:
    from pipelines import network

    model = network.build(Network(channels=(1, 2, 3), blocks=0, dropout=0.0), class_count=2)
    model.compile(optimizer="adam")
    model.optimizer.build(model.trainable_variables)
    for epochs in (1, 2, 3):
        checkpoint.save(model, tmp_path, epochs)
    (tmp_path / ".0004-0123456789abcdef.npz-x1y2").write_bytes(b"half of epoch 4")
    (newest,) = tmp_path.glob("0003-*")
    newest.write_bytes(newest.read_bytes()[:1000])

    assert checkpoint.restore(model, tmp_path) == 2
    assert len(list(tmp_path.glob("0*"))) == 2


def test_of_trainings_that_nobody_went_on_with_the_newest_stay(tmp_path: Path) -> None:
    for age in range(8):
        folder = tmp_path / f"training-{age}"
        folder.mkdir()
        os.utime(folder, (10_000 - age, 10_000 - age))

    checkpoint.discard(tmp_path / "training-0")

    assert sorted(path.name for path in tmp_path.iterdir()) == [f"training-{age}" for age in range(1, 6)]


def test_the_same_training_is_not_done_twice(
    recipe: Recipe, version: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = train(recipe, data, tmp_path / "again", state_dir=data / "cache")

    assert "not trained again: the same data, recipe, seed, code and packages" in capsys.readouterr().out
    assert card == read_card(version)
    files = {
        folder: {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (version, tmp_path / "again")
    }
    assert files[version] == files[tmp_path / "again"]


def test_a_kept_version_that_was_changed_since_is_trained_anew(recipe: Recipe, version: Path, tmp_path: Path) -> None:
    inputs = {"data": "1"}
    finished.keep(tmp_path, inputs, version)
    assert finished.take(tmp_path, inputs, tmp_path / "taken")
    assert not finished.take(tmp_path, {"data": "2"}, tmp_path / "other")
    with (tmp_path / finished.key(inputs) / "saved_model.pb").open("ab") as graph:
        graph.write(b"x")

    assert not finished.take(tmp_path, inputs, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_card_names_all_that_the_version_was_made_of(recipe: Recipe, version: Path, data: Path) -> None:
    card, manifest = read_card(version), dataset.read_manifest(data)
    inputs = provenance.inputs(recipe, "default", recipe.seed, manifest["sha256"])

    assert provenance.inputs_of(card) == inputs
    assert None not in inputs.values()
    assert provenance.changed(card, inputs | {"seed": 4, "data": {}}) == ["data", "seed"]
    assert provenance.changed({"name": "of old"}, inputs) == list(inputs)
    assert card["code_revision"] == provenance.code_revision()
    assert card["lock_sha256"] == provenance.lock_digest()
    assert card["metrics"] is None
    assert card["blessing"] == {"is_blessed": False, "reasons": ["not evaluated"]}


def test_preparing_twice_gives_the_same_data(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    manifest = prepare(recipe, tmp_path, tmp_path / "cache")

    assert manifest == dataset.read_manifest(data)


def test_every_label_is_in_every_part(recipe: Recipe, data: Path) -> None:
    for part in dataset.PARTS:
        assert set(dataset.read_part(data, part).labels) == {0, 1, 2}


def test_a_version_has_the_signatures_of_the_contract(tf: ModuleType, version: Path) -> None:
    signatures = tf.saved_model.load(str(version)).signatures

    shape = (None, contract.IMAGE_SIZE, contract.IMAGE_SIZE)
    for name in (contract.SIGNATURE, "serving_default"):
        _, inputs = signatures[name].structured_input_signature
        assert (tuple(inputs[contract.IMAGES].shape), inputs[contract.IMAGES].dtype) == (shape, tf.uint8)
        assert signatures[name].structured_outputs[contract.SCORES].dtype == tf.float32
    assert set(signatures) == {contract.SIGNATURE, contract.CLASSES_SIGNATURE, contract.CARD_SIGNATURE, "serving_default"}


def test_scores_are_probabilities_in_any_batch(version: Path, data: Path) -> None:
    images = dataset.read_part(data, "test").images

    together, alone = score(version, images), score(version, images, batch=1)

    assert together.shape == (len(images), 3)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_version_tells_its_classes_and_thresholds(tf: ModuleType, version: Path) -> None:
    answer = tf.saved_model.load(str(version)).signatures[contract.CLASSES_SIGNATURE](index=tf.constant([2, 0], tf.int32))

    assert [label.decode() for label in answer[contract.LABEL].numpy()] == ["木", "○"]
    assert ((answer[contract.THRESHOLD].numpy() >= 0) & (answer[contract.THRESHOLD].numpy() <= 1)).all()


def test_a_version_tells_its_card_whatever_the_index_and_wherever_it_lies(
    tf: ModuleType, version: Path, tmp_path: Path
) -> None:
    elsewhere = version.rename(tmp_path / "elsewhere")
    answer = tf.saved_model.load(str(elsewhere)).signatures[contract.CARD_SIGNATURE](index=tf.constant([0, 7], tf.int32))
    elsewhere.rename(version)

    cards = [json.loads(card) for card in answer[contract.CARD].numpy()]
    assert cards[0] == cards[1] == json.loads((version / contract.CARD_FILE).read_text(encoding="utf-8"))
    assert cards[0]["name"] == "shapes"


def test_warmup_requests_are_answered(tf: ModuleType, version: Path) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    signatures = tf.saved_model.load(str(version)).signatures
    asked = []
    for record in tf.data.TFRecordDataset(str(version / contract.WARMUP_FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        signatures[request.model_spec.signature_name](**{name: tf.constant(value) for name, value in inputs.items()})
        asked.append((request.model_spec.name, request.model_spec.signature_name, len(next(iter(inputs.values())))))

    names = (contract.SIGNATURE, contract.SIGNATURE, contract.CLASSES_SIGNATURE, contract.CARD_SIGNATURE)
    assert asked == [("shapes", name, count) for name, count in zip(names, (1, 16, 1, 1), strict=True)]


def test_the_same_seed_gives_the_same_version(recipe: Recipe, version: Path, data: Path, tmp_path: Path) -> None:
    train(recipe, data, tmp_path / "again", state_dir=tmp_path)

    images = dataset.read_part(data, "test").images
    assert (score(version, images) == score(tmp_path / "again", images)).all()


def test_another_seed_gives_another_version(recipe: Recipe, version: Path, data: Path, tmp_path: Path) -> None:
    train(recipe, data, tmp_path / "other", preset="averaged", seed=4, state_dir=tmp_path)

    images = dataset.read_part(data, "test").images
    assert (score(version, images) != score(tmp_path / "other", images)).any()


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.parametrize(("preset", "most"), [("default", 8e6), ("quick", 8e6), ("best", 25e6)])
def test_the_networks_stay_small(tf: ModuleType, name: str, preset: str, most: float) -> None:
    from pipelines import network

    recipe = load_recipe(name)
    assert network.multiply_adds(network.build(recipe.preset(preset).network, len(recipe.labels))) <= most


def test_multiply_adds_are_counted_as_by_hand(tf: ModuleType) -> None:
    from pipelines import network

    model = network.build(Network(channels=(1, 2, 3), blocks=1, dropout=0.0), class_count=5)

    stem, second = 14 * 14 * 16, 14 * 14 * 9
    middle = 49 * 9 * (1 * 2 + 2 * 2 + 2 * 2)
    last, dense = 16 * 9 * 2 * 3, 16 * 3 * 5
    assert network.multiply_adds(model) == stem + second + middle + last + dense


def test_augmented_images_keep_within_range_and_depend_on_the_seed(tf: ModuleType, recipe: Recipe, data: Path) -> None:
    from pipelines.augment import training_batches

    images = dataset.read_part(data, "train")
    augmentation = recipe.preset("default").augmentation
    first, again, other = (next(iter(training_batches(images, 3, 8, augmentation, seed)))[0].numpy() for seed in (1, 1, 2))

    assert first.shape == (8, 28, 28, 1)
    assert 0 <= first.min() < first.max() <= 1
    assert (first == again).all()
    assert (first != other).any()


def test_an_outlier_is_trained_towards_no_class(tf: ModuleType, recipe: Recipe, data: Path) -> None:
    from pipelines.augment import training_batches
    from pipelines.data.images import OUTLIER, LabelledImages

    images = dataset.read_part(data, "train").images[:8]
    some = LabelledImages(images, np.array([OUTLIER, 0, 1, 2] * 2, np.int64))
    targets = next(iter(training_batches(some, 3, 8, recipe.preset("default").augmentation, 1)))[1].numpy()

    np.testing.assert_allclose(sorted(targets.max(axis=1)), [1 / 3] * 2 + [1] * 6)
    np.testing.assert_allclose(targets.sum(axis=1), 1)
