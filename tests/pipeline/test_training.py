"""Training, export and evaluation of a tiny alphabet, in this process."""

import json
import multiprocessing
import re
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from handwriting import contract
from pipelines import checkpoint, dataset
from pipelines.recipe import Network, Recipe, load_recipe, recipe_names
from pipelines.servable import score
from pipelines.step_process import be_quiet
from pipelines.steps.prepare import prepare
from pipelines.steps.train import train


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
    train(recipe, data, folder, cache_dir=data / "cache")
    return folder


def train_in_a_process(recipe_text: str, data: Path, folder: Path, cache: Path) -> None:
    be_quiet()
    train(load_recipe(recipe_text), data, folder, cache_dir=cache)


def test_an_interrupted_training_goes_on_after_its_last_whole_epoch(
    recipe_text: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs = 40
    longer = re.sub(r"(?m)^epochs = .*", f"epochs = {epochs}", recipe_text)
    cache = tmp_path / "cache"
    context = multiprocessing.get_context("spawn")
    training = context.Process(target=train_in_a_process, args=(longer, data, tmp_path / "killed", cache))
    training.start()
    deadline = time.monotonic() + 120
    while not (backups := list((cache / checkpoint.FOLDER).glob("*"))) or checkpoint.epochs_done(backups[0]) < 2:
        assert training.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    training.kill()
    training.join()
    done = checkpoint.epochs_done(backups[0])

    train(load_recipe(longer), data, tmp_path / "resumed", cache_dir=cache)

    told = capsys.readouterr().out
    assert f"going on after epoch {done} of {epochs}" in told
    assert re.findall(r"epoch +(\d+)/40", told)[0] == str(done + 1)
    assert not list((cache / checkpoint.FOLDER).glob("*"))
    test = dataset.read_part(data, "test")
    assert (score(tmp_path / "resumed", test.images).argmax(1) == test.labels).all()


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
    train(recipe, data, tmp_path / "again", cache_dir=tmp_path)

    images = dataset.read_part(data, "test").images
    assert (score(version, images) == score(tmp_path / "again", images)).all()


def test_another_seed_gives_another_version(recipe: Recipe, version: Path, data: Path, tmp_path: Path) -> None:
    train(recipe, data, tmp_path / "other", preset="averaged", seed=4, cache_dir=tmp_path)

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
