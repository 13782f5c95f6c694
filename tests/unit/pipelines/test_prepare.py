from pathlib import Path

import numpy as np
import pytest

from pipelines import dataset
from pipelines.data.images import OUTLIER, LabelledImages
from pipelines.errors import DataError
from pipelines.recipe import FOLDER, Recipe, parse_recipe
from pipelines.steps.prepare import held_out, prepare

_ANYTHING = "leaked = 1\nalike = 1\nduplicates = 1\nconflicts = 1\nblank = 1\nbalance = 0"
"""Checks that pass what test_validation.py has refused: images that are made up here."""


def recipe_of_fonts(*changes: tuple[str, str]) -> Recipe:
    """The digits from fonts alone, 200 of them, with the changes."""
    content = (FOLDER / "digits.toml").read_text(encoding="utf-8")
    counts = [("fonts = 20_000", "fonts = 200"), ("restyled = 4_000", "restyled = 30"), ("fields = 28_000", "fields = 0")]
    for old, new in [('"mnist"', '"fonts"'), *counts, ("outliers = 8_000", "outliers = 20"), *changes]:
        assert old in content
        content = content.replace(old, new, 1)
    return parse_recipe(f"{content}\n[checks]\n{_ANYTHING}", "test")


def labelled(*labels: int) -> LabelledImages:
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    return LabelledImages(images, np.array(labels, np.int64))


def test_each_class_holds_out_its_share() -> None:
    data = labelled(*[0] * 40, *[1] * 20, *[2] * 3)
    chosen = held_out(data, 0.1, class_count=3)

    assert np.bincount(data.labels[chosen]).tolist() == [4, 2, 1]
    assert np.bincount(data.labels[~chosen]).tolist() == [36, 18, 2]


def test_a_class_with_one_image_keeps_it_for_training() -> None:
    chosen = held_out(labelled(0, 0, 1), 0.2, class_count=2)

    assert not chosen[2]


def test_fonts_alone_are_a_source(tmp_path: Path) -> None:
    manifest = prepare(recipe_of_fonts(("fields = 0", "fields = 40")), tmp_path / "data", tmp_path / "cache")

    train = dataset.read_part(tmp_path / "data", "train")
    assert 20 <= (train.labels == OUTLIER).sum() == manifest["counts"]["train"][""] < 20 + 40
    assert len(train) == 190 + 30 + 40 + 20
    for part in ("validation", "test"):
        assert set(dataset.read_part(tmp_path / "data", part).labels) == set(range(10))
    assert not dataset.has_part(tmp_path / "data", dataset.FONTS)
    assert set(dataset.read_part(tmp_path / "data", dataset.OUTLIERS).labels) == {OUTLIER}


def test_preparing_again_from_the_cache_gives_the_same(tmp_path: Path) -> None:
    first = prepare(recipe_of_fonts(), tmp_path / "one", tmp_path / "cache")

    assert prepare(recipe_of_fonts(), tmp_path / "two", tmp_path / "cache") == first


def test_too_few_images_for_the_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.fonts is 5; source fonts needs at least one image of each label"):
        prepare(recipe_of_fonts(("fonts = 200", "fonts = 5")), tmp_path / "data", tmp_path / "cache")


def test_without_an_image_to_hold_out_nothing_is_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.data import sources

    def one_each(*_: object) -> sources.SourceData:
        return sources.SourceData(labelled(*range(10)), labelled(*range(10)), {"name": "few"})

    monkeypatch.setitem(sources.SOURCES, "mnist", one_each)
    with pytest.raises(DataError, match="at least one label needs 3 different images"):
        prepare(recipe_of_fonts(('"fonts"', '"mnist"')), tmp_path / "data", tmp_path / "cache")


def test_mnist_joins_another_source_where_digits_are_among_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.data import mnist, sources

    own = sources.SourceData(labelled(*[7] * 9, *[2] * 3), labelled(2, 7))
    monkeypatch.setattr(mnist, "load", lambda *_: own)
    changes = (("restyled = 30", "restyled = 0"), ("fonts = 200", "fonts = 200\nmnist = 8"), ('"1", "2"', '"1", "a"'))
    with_mnist = prepare(recipe_of_fonts(*changes), tmp_path / "data", tmp_path / "cache")

    assert with_mnist["counts"]["train"] == dict.fromkeys("013456789a", 19) | {"7": 19 + 8, "": 20}


def test_fonts_beside_a_source_come_with_a_part_of_unseen_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.data import sources

    def few(*_: object) -> sources.SourceData:
        return sources.SourceData(labelled(*range(10), *range(10)), labelled(*range(10)), {"name": "few"})

    monkeypatch.setitem(sources.SOURCES, "mnist", few)
    recipe = recipe_of_fonts(('"fonts"', '"mnist"'), ("restyled = 30", "restyled = 0"))

    prepare(recipe, tmp_path / "data", tmp_path / "cache")

    assert len(dataset.read_part(tmp_path / "data", "train")) == 10 + 200 + 20
    assert len(dataset.read_part(tmp_path / "data", dataset.FONTS)) == 20
    assert len(dataset.read_part(tmp_path / "data", "test")) == 10


def test_merged_characters_are_rendered_as_their_label(tmp_path: Path) -> None:
    two = [(r'labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]', 'labels = ["a", "%", "x"]'), ("30", "0")]
    recipe = recipe_of_fonts(*two, ("[data]", '[merged]\na = ["A"]\nx = ["X"]\n[data]'))

    prepare(recipe, tmp_path / "data", tmp_path / "cache")

    rest, held_out = (dataset.read_part(tmp_path / "data", part) for part in ("train", "validation"))
    labels = np.concatenate([rest.labels, held_out.labels])
    assert np.bincount(labels[labels != OUTLIER]).tolist() == [80, 40, 80]
    assert set(dataset.read_part(tmp_path / "data", "test").labels) == {0, 1, 2}


def test_a_source_may_say_what_is_held_out_and_what_is_not_to_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.data import rendered, sources

    drawn = rendered.fonts(tuple("0123456789"), 20, "", 1, tmp_path, print)

    def by_writers(*_: object) -> sources.SourceData:
        return sources.SourceData(drawn, drawn, {"name": "writers"}, validation=drawn)

    def stand_in(*_: object) -> sources.SourceData:
        return sources.SourceData(drawn, drawn, {"name": "fonts"}, is_stand_in=True)

    recipe = recipe_of_fonts(('"fonts"', '"mnist"'))
    monkeypatch.setitem(sources.SOURCES, "mnist", by_writers)
    prepare(recipe, tmp_path / "writers", tmp_path / "cache")
    monkeypatch.setitem(sources.SOURCES, "mnist", stand_in)
    prepare(recipe, tmp_path / "fonts", tmp_path / "cache")

    held_out = dataset.read_part(tmp_path / "writers", "validation")
    np.testing.assert_array_equal(held_out.images[:20], drawn.images)
    assert len(held_out) == 20 + 20 * 20
    assert len(dataset.read_part(tmp_path / "writers", "train")) == 20 + 200 + 30 + 20
    assert len(dataset.read_part(tmp_path / "fonts", "train")) == 10 + 20
    assert not dataset.has_part(tmp_path / "fonts", dataset.FONTS)
