"""Another alphabet from fonts alone, through all steps: labels of several bytes, merged characters, unequal counts."""

from pathlib import Path
from types import ModuleType

import pytest

from handwriting import contract
from pipelines.recipe import Recipe, load_recipe, parse_recipe
from pipelines.servable import read_card
from pipelines.step_process import be_quiet
from pipelines.steps.evaluate import evaluate
from pipelines.steps.prepare import prepare
from pipelines.steps.publish import publish
from pipelines.steps.train import train
from pipelines.steps.validate import validate
from tfserving.repository import Repository

LABELS = ["ㄱ", "ㅁ", "ㅎ"]


@pytest.fixture(scope="module")
def tf() -> ModuleType:
    be_quiet()
    import tensorflow

    return tensorflow


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Three Korean letters and two that are merged into one of them, so that it has three times as many images."""
    content = load_recipe("jamo").text
    before, rest = content.split("labels = [", 1)
    changes = [
        ('name = "jamo"', 'name = "jamo+few"'),
        ("[data]", '[merged]\n"ㅁ" = ["ㅂ", "ㅍ"]\n\n[data]'),
        ('source = "omniglot"', 'source = "fonts"'),
        ("fonts = 30_000", "fonts = 300"),
        ("restyled = 8_000\n", ""),
        ("outliers = 3_000", "outliers = 12"),
        ("epochs = 9", "epochs = 5"),
        ("channels = [24, 48, 96]", "channels = [8, 16, 16]"),
        ("batch = 128", "batch = 16"),
        ("accuracy = ", "accuracy = 0.5 # "),
        ("recall = ", "recall = 0.0 # "),
        ("ece = ", "ece = 0.5 # "),
    ]
    content = f"{before}labels = {LABELS}{rest.partition(']')[2]}".replace("'", '"')
    for old, new in changes:
        assert old in content
        content = content.replace(old, new, 1)
    return parse_recipe(content, "test")


@pytest.fixture(scope="module")
def repository(tf: ModuleType, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the first version, if it was blessed."""
    root = tmp_path_factory.mktemp("alphabet")
    prepare(recipe, root / "data", root / "cache")
    train(recipe, root / "data", root / "trained", state_dir=root / "cache")
    evaluate(recipe, root / "data", root / "trained", root / "challenger", root / "evaluation")
    Repository(root / "repository").open()
    validate(recipe, root / "challenger", root / "evaluation", root / "validation")
    publish(recipe.name, root / "challenger", root / "validation", root / "repository")
    return root / "repository"


def test_an_alphabet_trains_on_fonts_alone_and_is_published_under_a_name_with_a_plus(repository: Path) -> None:
    (version,) = Repository(repository).versions("jamo+few")

    assert version.card["metrics"]["accuracy"] > 0.8
    assert version.card["data"]["source"]["name"] == "fonts"


def test_the_counts_in_the_card_are_unequal_and_those_of_merged_characters_together(repository: Path) -> None:
    counts = read_card(repository / "jamo+few" / "1")["data"]["counts"]["train"]

    assert set(counts) == {*LABELS, ""}
    assert counts["ㅁ"] == pytest.approx(3 * counts["ㄱ"], abs=4)
    assert counts[""] == 12


def test_a_version_tells_labels_of_several_bytes(tf: ModuleType, repository: Path) -> None:
    version = tf.saved_model.load(str(repository / "jamo+few" / "1"))
    answer = version.signatures[contract.CLASSES_SIGNATURE](index=tf.constant([0, 1, 2], tf.int32))

    assert [label.decode() for label in answer[contract.LABEL].numpy()] == LABELS
