"""What is rendered beside the source's own images: its labels, its look, and that it is the same every time."""

import os
import string
from pathlib import Path

import numpy as np
import pytest

from pipelines.data import pen, rendered, style
from pipelines.data.faces import faces, shape
from pipelines.data.images import OUTLIER, LabelledImages
from pipelines.errors import DataError
from pipelines.recipe import load_recipe

LABELS = ("1", "7", "8")


def test_every_label_is_rendered_equally_often(tmp_path: Path) -> None:
    made = rendered.fonts(LABELS, 60, "", 1, tmp_path, print)

    assert np.bincount(made.labels).tolist() == [20, 20, 20]
    assert made.images.shape == (60, 28, 28)
    assert made.images.dtype == np.uint8


def test_what_is_rendered_looks_as_the_preprocessing_makes_it(tmp_path: Path) -> None:
    made = rendered.fonts(LABELS, 60, "", 1, tmp_path, print)

    for image in made.images:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) == 19


def test_the_seed_decides_and_not_the_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered, "_CHUNK", 7)
    alone, together, other = tmp_path / "alone", tmp_path / "together", tmp_path / "other"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    first = rendered.fonts(LABELS, 40, "", 1, alone, print)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    again = rendered.fonts(LABELS, 40, "", 1, together, print)
    another = rendered.fonts(LABELS, 40, "", 2, other, print)

    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.images != another.images).any()


def test_what_has_been_rendered_is_taken_from_the_cache(tmp_path: Path) -> None:
    lines: list[str] = []
    first = rendered.fonts(LABELS, 12, "", 1, tmp_path, lines.append)
    again = rendered.fonts(LABELS, 12, "", 1, tmp_path, lines.append)

    assert len(lines) == 1
    np.testing.assert_array_equal(first.images, again.images)


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    first = rendered.fonts(LABELS, 12, "", 1, tmp_path, print)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])

    np.testing.assert_array_equal(rendered.fonts(LABELS, 12, "", 1, tmp_path, print).images, first.images)


def test_training_and_test_share_no_face() -> None:
    train, test = (rendered._faces(LABELS, "", is_held_out) for is_held_out in (False, True))

    assert not {face.path for face in train} & {face.path for face in test}


def test_a_label_that_no_font_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in none at all: 木"):
        rendered.fonts(("1", "木"), 10, "", 1, tmp_path, print)


def test_restyled_images_keep_their_labels(tmp_path: Path) -> None:
    source = rendered.fonts(("0", "1"), 20, "", 1, tmp_path, print)
    made = rendered.restyled(LabelledImages(source.images[source.labels == 1], np.full(10, 5)), 30, 1, tmp_path, print)

    assert set(made.labels) == {5}
    assert made.images.shape == (30, 28, 28)


def test_outliers_have_no_label(tmp_path: Path) -> None:
    made = rendered.outliers(LABELS, 40, "", 1, tmp_path, print)

    assert set(made.labels) == {OUTLIER}
    assert (made.images.reshape(40, -1).max(axis=1) > 0).mean() > 0.9


def test_no_lookalike_of_a_label_is_an_outlier() -> None:
    assert not set("OoIlZzSsBGbgq|") & set(rendered.others(tuple("0123456789")))
    assert {"k", "m", "W", "x"} <= set(rendered.others(tuple("0123456789")))
    assert not set("aAbB") & set(rendered.others(("a", "B")))


def test_an_outlier_beside_letters_is_no_letter_and_none_of_their_lookalikes() -> None:
    beside = set(rendered.others(tuple(string.ascii_letters)))

    assert {"#", "%", "=", "?"} <= beside
    assert not beside & set(string.ascii_letters + "012345689|!()[]/+^@$")


def test_an_outlier_beside_other_scripts_looks_like_none_of_their_characters() -> None:
    beside = set(rendered.others(load_recipe("jamo").labels))

    assert {"S", "B", "g", "5", "%"} <= beside
    assert not beside & set("oO0lI1|-_TLE7^")


@pytest.mark.parametrize("label", pen.VARIANTS)
def test_a_drawn_variant_is_higher_than_wide_or_nearly_so(label: str) -> None:
    generator = np.random.default_rng(1)
    for _ in range(50):
        height, width = pen.drawn(pen.VARIANTS[label](generator), generator).shape
        assert 40 < height < 160
        assert width < (2.2 if label == "0" else 1.4) * height


def test_a_seven_mostly_has_a_bar() -> None:
    generator = np.random.default_rng(1)
    counts = [len(pen.seven(generator)) for _ in range(100)]

    assert sum(count > 2 for count in counts) > 60


def test_pictures_have_many_sizes_lights_and_widths() -> None:
    generator = np.random.default_rng(1)
    character = shape(faces()[0], "8")
    assert character is not None
    pictures = [style.picture(character, generator, (character, character)) for _ in range(60)]

    sides = [max(picture.shape) for picture in pictures]
    assert min(sides) < 30
    assert max(sides) > 90
    brightness = [int(np.median(picture)) for picture in pictures]
    assert min(brightness) < 100 < 200 < max(brightness)
